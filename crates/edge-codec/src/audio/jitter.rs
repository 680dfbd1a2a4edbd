use std::collections::BTreeMap;

use super::{Concealed, Concealer, Decoder, Error, MAX_PACKET_US, has_fec, packet_duration_us};

/// Most packets that wait to be played.
pub const MAX_WAITING: usize = 64;
/// A sequence number this far from the one that is due means that the sender began anew.
const MAX_JUMP: u64 = 500;
/// A caller that polls later than this starts over from now instead of catching up.
const MAX_BEHIND_US: u64 = 200_000;
/// Ticks over which the buffer must stay too full before one packet is skipped.
const SHRINK_TICKS: u32 = 50;
/// Length of a tick before the first packet has told another, in µs.
const DEFAULT_TICK_US: u32 = 20_000;

/// What a [`Jitter`] is made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JitterConfig {
    /// Rate of the samples that come out, one of Opus' five.
    pub sample_rate_hz: u32,
    /// Channels that come out, 1 or 2.
    pub channels: u8,
    /// Packets that wait before the first is played, 1 to 32; forward error correction needs 1.
    pub depth: u8,
}

impl JitterConfig {
    /// Allowed depths.
    pub const DEPTH: std::ops::RangeInclusive<u8> = 1..=32;

    /// Live voice: 48 kHz mono, 40 ms.
    pub const VOICE: Self = Self { sample_rate_hz: 48_000, channels: 1, depth: 2 };

    fn check(&self) -> Result<(), Error> {
        match Self::DEPTH.contains(&self.depth) {
            true => Ok(()),
            false => Err(Error::InvalidConfig { field: "depth", value: self.depth.into(), requirement: "1 to 32" }),
        }
    }
}

/// Turns packets as a network delivers them into one block of samples a tick.
///
/// [`Jitter::poll`] gives the next block when its time has come: the packet itself; or, when it is missing and the one
/// after it is there, the copy inside that one; or the codec's guess. While nothing at all arrives the place in the
/// stream stands still, so a network that pauses delays the sound instead of losing it, and a buffer that stays too
/// full gives up one packet a second until the delay is back.
pub struct Jitter {
    decoder: Decoder,
    concealer: Concealer,
    depth: usize,
    waiting: BTreeMap<u64, Waiting>,
    place: Option<Place>,
    tick_us: u32,
    shrink: Shrink,
    counters: Counters,
}

/// A packet that waits.
struct Waiting {
    pts_us: u64,
    duration_us: u32,
    data: Vec<u8>,
}

/// Where playing is.
#[derive(Clone, Copy)]
struct Place {
    seq: u64,
    pts_us: u64,
    due_us: u64,
    /// Whether anything was played from here on.
    begun: bool,
    /// Ticks that were filled while nothing had arrived: they stand for packets only if those turn out to be lost.
    stood_still: u64,
}

/// What became of a packet that was pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// It waits to be played.
    Queued,
    /// Its place has been played already.
    Late,
    /// It is waiting already.
    Duplicate,
    /// It is not an Opus packet.
    Malformed,
}

/// One block of sound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Played {
    /// Interleaved samples.
    pub pcm: Vec<i16>,
    /// Presentation time, in µs of the stream's media time.
    pub pts_us: u64,
    /// Where the samples come from.
    pub origin: Origin,
}

/// Where a block of sound comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Its own packet.
    Packet,
    /// The copy inside the packet after it.
    Fec,
    /// The codec's guess.
    Guess,
    /// Nothing: the hole is too long to guess.
    Silence,
}

/// What has happened so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Packets that were pushed.
    pub received: u64,
    /// Blocks played from their own packet.
    pub played: u64,
    /// Blocks recovered from the packet after.
    pub fec: u64,
    /// Blocks concealed, silence included.
    pub plc: u64,
    /// Packets that came after their place was played.
    pub late: u64,
    /// Packets that came twice.
    pub duplicate: u64,
    /// Packets that were not Opus or that the decoder refused.
    pub malformed: u64,
    /// Packets given up to bring the delay back.
    pub skipped: u64,
    /// Times that the sequence numbers began anew.
    pub restarts: u64,
}

/// Watches how full the buffer stays.
struct Shrink {
    ticks: u32,
    least: usize,
}

impl Jitter {
    /// Makes an empty buffer; fields out of bounds are [`Error::InvalidConfig`].
    pub fn new(config: JitterConfig) -> Result<Self, Error> {
        config.check()?;
        Ok(Self {
            decoder: Decoder::new(config.sample_rate_hz, config.channels)?,
            concealer: Concealer::default(),
            depth: config.depth.into(),
            waiting: BTreeMap::new(),
            place: None,
            tick_us: DEFAULT_TICK_US,
            shrink: Shrink::new(),
            counters: Counters::default(),
        })
    }

    /// Takes the packet number `seq`, whose sound begins at `pts_us`; numbers of one stream are consecutive.
    pub fn push(&mut self, seq: u64, pts_us: u64, packet: &[u8], now_us: u64) -> Arrival {
        self.counters.received += 1;
        let Ok(duration_us) = packet_duration_us(packet) else {
            self.counters.malformed += 1;
            return Arrival::Malformed;
        };
        self.restart_on_jump(seq);
        if self.is_late(seq) {
            self.counters.late += 1;
            return Arrival::Late;
        }
        if self.waiting.contains_key(&seq) {
            self.counters.duplicate += 1;
            return Arrival::Duplicate;
        }
        self.waiting.insert(seq, Waiting { pts_us, duration_us, data: packet.to_vec() });
        self.start(now_us);
        self.bound();
        Arrival::Queued
    }

    /// The next block of sound, once its time has come; call again until it gives nothing. Nothing comes before the
    /// first packet.
    pub fn poll(&mut self, now_us: u64) -> Option<Played> {
        let place = self.place?;
        if now_us < place.due_us {
            return None;
        }
        self.account_for_standstill();
        self.shrink();
        let played = self.next_block();
        self.schedule(now_us);
        Some(played)
    }

    /// When [`Jitter::poll`] has a block next, in µs; none before the first packet.
    pub fn next_due_us(&self) -> Option<u64> {
        self.place.map(|place| place.due_us)
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn restart_on_jump(&mut self, seq: u64) {
        if self.place.is_some_and(|place| seq.abs_diff(place.seq) > MAX_JUMP) {
            self.counters.restarts += 1;
            self.waiting.clear();
            self.place = None;
        }
    }

    fn is_late(&self, seq: u64) -> bool {
        self.place.is_some_and(|place| place.begun && seq < place.seq)
    }

    /// Until something is played, the first packet that waits sets the place.
    fn start(&mut self, now_us: u64) {
        let Some((seq, first)) = self.waiting.first_key_value() else { return };
        match self.place.as_mut() {
            Some(place) if !place.begun => (place.seq, place.pts_us) = (*seq, first.pts_us),
            Some(_) => {}
            None => {
                let wait_us = self.depth as u64 * u64::from(first.duration_us);
                let due_us = now_us.saturating_add(wait_us);
                self.place = Some(Place { seq: *seq, pts_us: first.pts_us, due_us, begun: false, stood_still: 0 });
                self.tick_us = first.duration_us;
            }
        }
    }

    fn bound(&mut self) {
        while self.waiting.len() > MAX_WAITING {
            self.skip_first();
        }
    }

    /// When packets come after a standstill, those missing before them were lost during it.
    fn account_for_standstill(&mut self) {
        let first = self.waiting.keys().next().copied();
        let (Some(place), Some(first)) = (self.place.as_mut(), first) else { return };
        place.seq += first.saturating_sub(place.seq).min(place.stood_still);
        place.stood_still = 0;
    }

    fn shrink(&mut self) {
        if self.shrink.too_full(self.waiting.len(), self.depth) {
            self.skip_first();
        }
    }

    fn skip_first(&mut self) {
        let Some((seq, _)) = self.waiting.pop_first() else { return };
        self.counters.skipped += 1;
        if let Some(place) = self.place.as_mut() {
            place.seq = seq.saturating_add(1);
        }
    }

    fn next_block(&mut self) -> Played {
        self.play_packet().or_else(|| self.play_fec()).unwrap_or_else(|| self.play_guess())
    }

    fn play_packet(&mut self) -> Option<Played> {
        let seq = self.place?.seq;
        let packet = self.waiting.remove(&seq)?;
        let Ok(pcm) = self.decoder.decode(&packet.data) else {
            self.counters.malformed += 1;
            return None;
        };
        self.counters.played += 1;
        self.concealer.sound();
        self.tick_us = packet.duration_us;
        self.advance(packet.pts_us);
        Some(Played { pcm, pts_us: packet.pts_us, origin: Origin::Packet })
    }

    fn play_fec(&mut self) -> Option<Played> {
        let next = self.waiting.get(&self.place?.seq.checked_add(1)?)?;
        let pcm = Some(&next.data).filter(|data| has_fec(data)).and_then(|data| self.decoder.decode_fec(data).ok())?;
        let pts_us = next.pts_us.saturating_sub(next.duration_us.into());
        self.counters.fec += 1;
        self.concealer.sound();
        self.tick_us = next.duration_us;
        self.advance(pts_us);
        Some(Played { pcm, pts_us, origin: Origin::Fec })
    }

    fn play_guess(&mut self) -> Played {
        let pts_us = self.place.map_or(0, |place| place.pts_us);
        let (pcm, concealed) = self.concealer.next(&mut self.decoder, self.tick_us);
        self.counters.plc += 1;
        match self.waiting.is_empty() {
            true => self.stand_still(),
            false => self.advance(pts_us),
        }
        Played { pcm, pts_us, origin: concealed.into() }
    }

    fn advance(&mut self, pts_us: u64) {
        if let Some(place) = self.place.as_mut() {
            place.seq = place.seq.saturating_add(1);
            place.pts_us = pts_us.saturating_add(self.tick_us.into());
        }
    }

    fn stand_still(&mut self) {
        if let Some(place) = self.place.as_mut() {
            place.stood_still = place.stood_still.saturating_add(1);
            place.pts_us = place.pts_us.saturating_add(self.tick_us.into());
        }
    }

    fn schedule(&mut self, now_us: u64) {
        let tick_us = u64::from(self.tick_us.clamp(1, MAX_PACKET_US));
        if let Some(place) = self.place.as_mut() {
            let behind = now_us.saturating_sub(place.due_us) > MAX_BEHIND_US;
            let from_us = if behind { now_us } else { place.due_us };
            place.due_us = from_us.saturating_add(tick_us);
            place.begun = true;
        }
    }
}

impl From<Concealed> for Origin {
    fn from(concealed: Concealed) -> Self {
        match concealed {
            Concealed::Guess => Self::Guess,
            Concealed::Silence => Self::Silence,
        }
    }
}

impl Shrink {
    fn new() -> Self {
        Self { ticks: 0, least: usize::MAX }
    }

    /// Counts one tick; true once the buffer held more than `depth` at every tick of a whole window.
    fn too_full(&mut self, waiting: usize, depth: usize) -> bool {
        self.least = self.least.min(waiting);
        self.ticks += 1;
        if self.ticks < SHRINK_TICKS {
            return false;
        }
        let too_full = self.least > depth.saturating_add(1);
        *self = Self::new();
        too_full
    }
}
