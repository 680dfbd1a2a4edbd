//! How often recent contacts with a peer succeeded, for each transport.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};

use edge_wire::id::KeyId;

/// Window of general use, in ms. Realtime planning wants a short one: see [`REALTIME_WINDOW_MS`].
pub const WINDOW_MS_DEFAULT: u64 = 300_000;
/// Window for realtime planning, in ms: long enough for a few sends, short enough to notice that a peer has gone.
pub const REALTIME_WINDOW_MS: u64 = 10_000;
/// Most outcomes kept for one peer and transport; the oldest go first.
pub const OUTCOMES_MAX: usize = 10_000;
/// Most pairs of peer and transport; the one that was silent longest goes first.
pub const PAIRS_MAX: usize = 4096;
/// Longest error class that is kept, in bytes; the rest is cut off.
pub const ERROR_CLASS_LEN_MAX: usize = 64;

/// A transport's id, as the recording side writes it and the planning side asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transport(Cow<'static, str>);

impl Transport {
    /// QUIC, this implementation's own.
    pub const QUIC: Self = Self::known("quic");
    /// HTTP.
    pub const HTTP: Self = Self::known("http");
    /// Reticulum.
    pub const RETICULUM: Self = Self::known("reticulum-rs");
    /// Leviculum.
    pub const LEVICULUM: Self = Self::known("leviculum");
    /// LoRa.
    pub const LORA: Self = Self::known("lora");
    /// A serial line.
    pub const SERIAL: Self = Self::known("serial");
    /// I2P.
    pub const I2P: Self = Self::known("i2p");

    /// A transport by any other id.
    pub fn other(id: impl Into<String>) -> Self {
        Self(Cow::Owned(id.into()))
    }

    /// The id.
    pub fn id(&self) -> &str {
        &self.0
    }

    const fn known(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }
}

/// How one contact with a peer ended. Borrowed text is an error class, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// A message was sent.
    SendSuccess,
    /// A message that had been kept for the peer was delivered.
    DurableDelivered,
    /// The peer attested something to us.
    AttestationReceived,
    /// The peer announced itself. It can be heard, which does not mean that it can be reached.
    AnnounceReceived,
    /// A message could not be sent.
    SendFailure {
        /// What kind of failure.
        error_class: &'a str,
    },
    /// A message that had been kept for the peer was given up.
    DurableAbandoned {
        /// Why.
        reason: &'a str,
    },
}

impl<'a> Outcome<'a> {
    fn failure(self) -> Option<&'a str> {
        match self {
            Self::SendFailure { error_class: class } | Self::DurableAbandoned { reason: class } => Some(class),
            Self::SendSuccess | Self::DurableDelivered | Self::AttestationReceived | Self::AnnounceReceived => None,
        }
    }
}

/// What the outcomes within the window add up to. There is none for a pair without such outcomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Contacts.
    pub attempts: u64,
    /// Those that succeeded.
    pub successes: u64,
    /// Those among the successes that were announces.
    pub announces: u64,
    /// When the last one succeeded, in ms, if one did.
    pub last_success_at_ms: Option<u64>,
    /// When the last one happened, in ms.
    pub last_attempt_at_ms: u64,
    /// Class of the last failure, if there was one.
    pub last_error_class: Option<String>,
    /// The window, in ms.
    pub window_ms: u64,
}

impl Snapshot {
    /// Successes per attempt, from 0 to 1.
    pub fn ratio(&self) -> f64 {
        share(self.successes, self.attempts)
    }

    /// The same without announces, as long as there is anything else to go by.
    pub fn sends_ratio(&self) -> f64 {
        match self.attempts.saturating_sub(self.announces) {
            0 => self.ratio(),
            sends => share(self.successes.saturating_sub(self.announces), sends),
        }
    }
}

/// Recent outcomes by peer and transport. Times are ms of one monotonic clock of the caller.
#[derive(Debug)]
pub struct Tracker {
    window_ms: u64,
    peers: HashMap<KeyId, Vec<(Transport, History)>>,
    pairs: usize,
}

impl Tracker {
    /// An empty tracker over a window of `window_ms`.
    pub fn new(window_ms: u64) -> Self {
        Self { window_ms, peers: HashMap::new(), pairs: 0 }
    }

    /// Records an outcome. A time before the pair's newest counts as the newest.
    pub fn record(&mut self, peer: &KeyId, transport: &Transport, outcome: Outcome<'_>, now_ms: u64) {
        let oldest_ms = now_ms.saturating_sub(self.window_ms);
        let history = self.history_or_new(peer, transport);
        history.forget_before(oldest_ms);
        history.push(outcome, now_ms);
    }

    /// What is known about a pair at `now_ms`; `None` when nothing happened within the window.
    pub fn snapshot(&self, peer: &KeyId, transport: &Transport, now_ms: u64) -> Option<Snapshot> {
        let (_, history) = self.peers.get(peer)?.iter().find(|(id, _)| id == transport)?;
        history.snapshot(now_ms.saturating_sub(self.window_ms), self.window_ms)
    }

    /// Forgets a peer.
    pub fn forget(&mut self, peer: &KeyId) {
        self.pairs -= self.peers.remove(peer).map_or(0, |histories| histories.len());
    }

    /// Pairs of peer and transport that are kept.
    pub fn pairs(&self) -> usize {
        self.pairs
    }

    fn history_or_new(&mut self, peer: &KeyId, transport: &Transport) -> &mut History {
        let known = |histories: &[(Transport, History)]| histories.iter().position(|(id, _)| id == transport);
        let at = self.peers.get(peer).and_then(|histories| known(histories));
        if at.is_none() {
            self.make_room();
            self.pairs += 1;
        }
        let histories = self.peers.entry(peer.clone()).or_default();
        let at = at.unwrap_or_else(|| {
            histories.push((transport.clone(), History::default()));
            histories.len() - 1
        });
        &mut histories[at].1
    }

    fn make_room(&mut self) {
        if self.pairs < PAIRS_MAX {
            return;
        }
        let silent = self.peers.iter().flat_map(|(peer, histories)| {
            histories.iter().enumerate().map(move |(at, (_, history))| (history.newest_ms, peer, at))
        });
        let Some((_, peer, at)) = silent.min().map(|(ms, peer, at)| (ms, peer.clone(), at)) else { return };
        if let Some(histories) = self.peers.get_mut(&peer) {
            histories.remove(at);
            self.pairs -= 1;
            if histories.is_empty() {
                self.peers.remove(&peer);
            }
        }
    }
}

impl Default for Tracker {
    fn default() -> Self {
        Self::new(WINDOW_MS_DEFAULT)
    }
}

/// The outcomes of one pair, ascending by time, each with running totals, so that a window is one binary search.
#[derive(Debug, Default)]
struct History {
    entries: VecDeque<Entry>,
    totals: Totals,
    newest_ms: u64,
    /// Number of the next outcome; the front entry has `next - entries.len()`.
    next: u64,
    last_success: Option<(u64, u64)>,
    last_failure: Option<(u64, String)>,
}

#[derive(Debug)]
struct Entry {
    at_ms: u64,
    /// Totals before this outcome.
    before: Totals,
}

#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    successes: u64,
    announces: u64,
}

impl History {
    fn push(&mut self, outcome: Outcome<'_>, now_ms: u64) {
        self.newest_ms = self.newest_ms.max(now_ms);
        if self.entries.len() == OUTCOMES_MAX {
            self.entries.pop_front();
        }
        self.entries.push_back(Entry { at_ms: self.newest_ms, before: self.totals });
        match outcome.failure() {
            Some(class) => self.last_failure = Some((self.next, cut(class).to_owned())),
            None => {
                self.totals.successes += 1;
                self.totals.announces += u64::from(outcome == Outcome::AnnounceReceived);
                self.last_success = Some((self.next, self.newest_ms));
            }
        }
        self.next += 1;
    }

    fn forget_before(&mut self, oldest_ms: u64) {
        while self.entries.front().is_some_and(|entry| entry.at_ms < oldest_ms) {
            self.entries.pop_front();
        }
    }

    fn snapshot(&self, oldest_ms: u64, window_ms: u64) -> Option<Snapshot> {
        let first = self.entries.partition_point(|entry| entry.at_ms < oldest_ms);
        let before = self.entries.get(first)?.before;
        let attempts = (self.entries.len() - first) as u64;
        let live = |number: u64| number >= self.next - attempts;
        Some(Snapshot {
            attempts,
            successes: self.totals.successes - before.successes,
            announces: self.totals.announces - before.announces,
            last_success_at_ms: self.last_success.filter(|(number, _)| live(*number)).map(|(_, at_ms)| at_ms),
            last_attempt_at_ms: self.newest_ms,
            last_error_class: self.last_failure.as_ref().filter(|(number, _)| live(*number)).map(|(_, c)| c.clone()),
            window_ms,
        })
    }
}

fn share(part: u64, whole: u64) -> f64 {
    match whole {
        0 => 0.0,
        _ => (part as f64 / whole as f64).clamp(0.0, 1.0),
    }
}

fn cut(class: &str) -> &str {
    let end = class.floor_char_boundary(ERROR_CLASS_LEN_MAX);
    class.get(..end).unwrap_or_default()
}
