//! Datagrams into messages.

use std::collections::BTreeMap;

use super::symbol::{Header, MESSAGE_LEN_MAX};
use crate::block;

/// Most messages in progress.
pub const MESSAGES_MAX: usize = 64;
/// Most bytes kept for messages in progress, [`SYMBOL_COST`] for each symbol included.
pub const BYTES_MAX: usize = 8 << 20;
/// Bytes that keeping one symbol costs besides its own.
pub const SYMBOL_COST: usize = 64;
/// How long a message may be in progress, in ms.
pub const AGE_MS_MAX: u64 = 1_000;
/// Messages behind the newest that may still arrive; a multiple of 64.
pub const WINDOW: u64 = 1024;
/// How often one message's block is tried. A ninth symbol more than needed is never missing unless ids were chosen so.
pub const ATTEMPTS_MAX: u8 = 8;

/// Where counting starts, so that messages from before the first that was seen have a number, too.
const FIRST_TURN: u64 = 1 << 32;
const WORDS: usize = (WINDOW / 64) as usize;

const _: () = assert!(WINDOW.is_multiple_of(64) && WINDOW < FIRST_TURN);

/// Why a datagram was refused. The message that it names goes on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a symbol.
    #[error("malformed symbol")]
    Wire(#[from] edge_wire::Error),
    /// Another length or other counts than the message's first symbol said.
    #[error("a symbol of message {seq} disagrees with the first one")]
    Disagrees {
        /// The message.
        seq: u32,
    },
    /// The message is longer than this decoder's limit.
    #[error("message {seq} has {len} bytes, above the limit of {max}")]
    TooLong {
        /// The message.
        seq: u32,
        /// Its length in bytes.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// The codec refused the block; the message is given up.
    #[error("message {seq} cannot be decoded")]
    Block {
        /// The message.
        seq: u32,
        /// What the codec said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What one neighbour may make a decoder hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages in progress.
    pub messages: usize,
    /// Bytes kept over all messages, [`SYMBOL_COST`] for each symbol included.
    pub bytes: usize,
    /// Bytes of one message.
    pub message_len: usize,
    /// Age of a message in progress, in ms since its first symbol.
    pub age_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { messages: MESSAGES_MAX, bytes: BYTES_MAX, message_len: MESSAGE_LEN_MAX, age_ms: AGE_MS_MAX }
    }
}

/// What happened so far, in symbols and messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Well-formed symbols.
    pub symbols: u64,
    /// Symbols that were already there.
    pub duplicates: u64,
    /// Symbols of messages that were delivered, given up, or are behind the window.
    pub late: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Those among them that needed repair symbols.
    pub repaired: u64,
    /// Messages given up.
    pub abandoned: u64,
}

/// Puts the messages of one hop together.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    messages: BTreeMap<u64, Message>,
    bytes: usize,
    settled: Settled,
    oldest_ms: u64,
    stats: Stats,
}

impl Decoder {
    /// A decoder without messages. Limits above this module's constants count as those.
    pub fn new(limits: Limits) -> Self {
        let limits = Limits {
            messages: limits.messages.clamp(1, MESSAGES_MAX),
            bytes: limits.bytes.min(BYTES_MAX),
            message_len: limits.message_len.min(MESSAGE_LEN_MAX),
            age_ms: limits.age_ms.min(AGE_MS_MAX),
        };
        let (messages, settled) = (BTreeMap::new(), Settled::default());
        Self { limits, messages, bytes: 0, settled, oldest_ms: u64::MAX, stats: Stats::default() }
    }

    /// Takes one datagram; gives a message when this was the symbol it waited for.
    pub fn push(&mut self, now_ms: u64, datagram: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        self.expire(now_ms);
        let (header, symbol) = Header::parse(datagram)?;
        self.check_len(&header)?;
        self.stats.symbols += 1;
        let seq = self.settled.extend(header.seq);
        let first = self.settled.advance(seq);
        self.give_up_behind(first);
        if self.settled.contains(seq) {
            self.stats.late += 1;
            return Ok(None);
        }
        self.keep(now_ms, seq, header, symbol)
    }

    /// Gives up messages that are too old at `now_ms`. [`push`](Self::push) does so, too.
    pub fn expire(&mut self, now_ms: u64) {
        if now_ms.saturating_sub(self.oldest_ms) <= self.limits.age_ms {
            return;
        }
        let age_ms = self.limits.age_ms;
        let old = |message: &Message| now_ms.saturating_sub(message.since_ms) > age_ms;
        let expired: Vec<u64> = self.messages.iter().filter(|(_, message)| old(message)).map(|(seq, _)| *seq).collect();
        expired.into_iter().for_each(|seq| self.give_up(seq));
        self.oldest_ms = self.messages.values().map(|message| message.since_ms).min().unwrap_or(u64::MAX);
    }

    /// Messages in progress.
    pub fn in_progress(&self) -> usize {
        self.messages.len()
    }

    /// Bytes that are kept, [`SYMBOL_COST`] for each symbol included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counters since the start.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    fn check_len(&self, header: &Header) -> Result<(), Error> {
        let (len, max) = (header.message_len(), self.limits.message_len);
        if len > max { Err(Error::TooLong { seq: header.seq, len, max }) } else { Ok(()) }
    }

    fn keep(&mut self, now_ms: u64, seq: u64, header: Header, symbol: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        if header.source == 1 && !self.messages.contains_key(&seq) {
            return Ok(Some(self.deliver(seq, symbol.to_vec())));
        }
        if !self.make_room(seq, symbol.len() + SYMBOL_COST) {
            self.give_up(seq);
            return Ok(None);
        }
        let message = self.messages.entry(seq).or_insert_with(|| Message::new(header, now_ms));
        self.oldest_ms = self.oldest_ms.min(message.since_ms);
        if !message.header.same_message(&header) {
            return Err(Error::Disagrees { seq: header.seq });
        }
        if !message.insert(header.id, symbol) {
            self.stats.duplicates += 1;
            return Ok(None);
        }
        self.bytes += symbol.len() + SYMBOL_COST;
        self.try_decode(seq)
    }

    fn try_decode(&mut self, seq: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some(message) = self.messages.get_mut(&seq) else { return Ok(None) };
        let wire_seq = message.header.seq;
        let repaired = !message.has_all_pieces();
        match message.decode() {
            Ok(Outcome::Wait) => Ok(None),
            Ok(Outcome::Hopeless) => {
                self.give_up(seq);
                Ok(None)
            }
            Ok(Outcome::Whole(bytes)) => {
                self.stats.repaired += u64::from(repaired);
                Ok(Some(self.deliver(seq, bytes)))
            }
            Err(source) => {
                self.give_up(seq);
                Err(Error::Block { seq: wire_seq, source: source.into() })
            }
        }
    }

    /// Displaces the oldest messages until another symbol fits. A message older than all others makes no room.
    fn make_room(&mut self, seq: u64, len: usize) -> bool {
        loop {
            let known = self.messages.contains_key(&seq);
            let crowded = !known && self.messages.len() >= self.limits.messages;
            if !crowded && self.bytes + len <= self.limits.bytes {
                return true;
            }
            match self.messages.first_key_value() {
                Some((oldest, _)) if *oldest < seq => self.give_up(*oldest),
                _ => return false,
            }
        }
    }

    fn deliver(&mut self, seq: u64, bytes: Vec<u8>) -> Vec<u8> {
        self.settle(seq);
        self.stats.delivered += 1;
        bytes
    }

    fn give_up(&mut self, seq: u64) {
        self.settle(seq);
        self.stats.abandoned += 1;
    }

    fn give_up_behind(&mut self, first: u64) {
        while let Some((oldest, _)) = self.messages.first_key_value().filter(|(oldest, _)| **oldest < first) {
            self.give_up(*oldest);
        }
    }

    fn settle(&mut self, seq: u64) {
        if let Some(message) = self.messages.remove(&seq) {
            self.bytes -= message.bytes();
        }
        self.settled.insert(seq);
    }
}

/// What a message's symbols are worth.
enum Outcome {
    Wait,
    Hopeless,
    Whole(Vec<u8>),
}

/// A message in progress.
#[derive(Debug)]
struct Message {
    header: Header,
    since_ms: u64,
    attempts: u8,
    symbols: BTreeMap<u16, Vec<u8>>,
    pieces: u16,
}

impl Message {
    fn new(header: Header, since_ms: u64) -> Self {
        Self { header, since_ms, attempts: 0, symbols: BTreeMap::new(), pieces: 0 }
    }

    fn insert(&mut self, id: u16, symbol: &[u8]) -> bool {
        if self.symbols.contains_key(&id) {
            return false;
        }
        self.symbols.insert(id, symbol.to_vec());
        self.pieces += u16::from(id < self.header.source);
        true
    }

    fn bytes(&self) -> usize {
        self.symbols.len() * (self.header.symbol_len() + SYMBOL_COST)
    }

    fn has_all_pieces(&self) -> bool {
        self.pieces == self.header.source
    }

    fn decode(&mut self) -> Result<Outcome, block::Error> {
        if self.symbols.len() < usize::from(self.header.source) {
            return Ok(Outcome::Wait);
        }
        let block = match self.has_all_pieces() {
            true => Some(self.joined()),
            false => self.rebuilt()?,
        };
        self.attempts += 1;
        Ok(match block {
            Some(mut block) => {
                block.truncate(self.header.message_len());
                Outcome::Whole(block)
            }
            None if self.attempts >= ATTEMPTS_MAX => Outcome::Hopeless,
            None => Outcome::Wait,
        })
    }

    fn joined(&self) -> Vec<u8> {
        let mut block = Vec::with_capacity(usize::from(self.header.source) * self.header.symbol_len());
        let pieces = self.symbols.range(..self.header.source);
        pieces.for_each(|(_, piece)| block.extend_from_slice(piece));
        block
    }

    fn rebuilt(&self) -> Result<Option<Vec<u8>>, block::Error> {
        let symbol_len = u16::try_from(self.header.symbol_len()).unwrap_or(u16::MAX);
        let symbols = self.symbols.iter().map(|(id, symbol)| (u32::from(*id), symbol.as_slice()));
        block::rebuild(u32::from(self.header.source), symbol_len, symbols)
    }
}

/// Which messages need no more symbols: those behind the window, and marked ones within it.
#[derive(Debug, Default)]
struct Settled {
    newest: Option<u64>,
    marks: [u64; WORDS],
}

impl Settled {
    /// The message's number without wrapping: the one nearest to the newest.
    fn extend(&self, seq: u32) -> u64 {
        let Some(newest) = self.newest else { return FIRST_TURN + u64::from(seq) };
        let low = u32::try_from(newest & u64::from(u32::MAX)).unwrap_or(0);
        let ahead = i64::from(seq.wrapping_sub(low).cast_signed());
        newest.saturating_add_signed(ahead)
    }

    /// Moves the window so that it holds `seq`; gives its first message.
    fn advance(&mut self, seq: u64) -> u64 {
        let newest = self.newest.unwrap_or(seq);
        for passed in (newest.saturating_add(1)..=seq).take(usize::try_from(WINDOW).unwrap_or(usize::MAX)) {
            self.mark(passed, false);
        }
        let newest = newest.max(seq);
        self.newest = Some(newest);
        newest.saturating_add(1).saturating_sub(WINDOW)
    }

    fn contains(&self, seq: u64) -> bool {
        let behind = self.newest.is_some_and(|newest| seq.saturating_add(WINDOW) <= newest);
        behind || self.marks.get(word(seq)).is_some_and(|word| word & bit(seq) != 0)
    }

    fn insert(&mut self, seq: u64) {
        if self.newest.is_none_or(|newest| seq.saturating_add(WINDOW) > newest) {
            self.mark(seq, true);
        }
    }

    fn mark(&mut self, seq: u64, settled: bool) {
        if let Some(word) = self.marks.get_mut(word(seq)) {
            *word = if settled { *word | bit(seq) } else { *word & !bit(seq) };
        }
    }
}

fn word(seq: u64) -> usize {
    usize::try_from(seq % WINDOW / 64).unwrap_or(0)
}

fn bit(seq: u64) -> u64 {
    1 << (seq % 64)
}
