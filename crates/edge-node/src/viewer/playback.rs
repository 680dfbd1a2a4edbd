//! The picture side: assembles, decodes and records on a thread of its own.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use edge_codec::audio::{Arrival, Jitter, JitterConfig, Origin};
use edge_codec::description::{DEFAULT_MAX_WAIT_US, Merge, Split};
use edge_codec::video::{Assembler, AssemblerConfig, Decoder, Frame, LayerInput, Output, Recovery, Unit};
use edge_seal::Payload;
use edge_seal::payload::{Flags, Track};
use edge_wire::layer::Policy;
use tokio::sync::mpsc;

use super::record::Recorder;
use crate::description::Description;
use crate::event::{Event, Percentiles, Reporter, WatchStats};
use crate::{Error, clock};

/// Opened frames that may wait for the decoder.
pub(super) const MAX_WAITING: usize = 1024;

/// Latest latencies that the percentiles are of: ten minutes at thirty frames a second.
const MAX_SAMPLES: usize = 18_000;
/// Losses within this time of a change of epoch count as losses across it.
const REKEY_SPAN_US: u64 = 1_000_000;
const IDLE: Duration = Duration::from_millis(20);

/// What the network side hands over.
pub(super) enum Item {
    /// What the stream carries, and when this viewer was welcomed; the first item.
    Description(Description, Instant),
    /// An opened frame of a description.
    Payload(u8, Payload),
    /// The group moved on.
    Epoch(u64),
    /// Nothing more comes.
    End,
}

/// What the viewer's picture side is told at its start.
pub(super) struct Settings {
    pub(super) policy: Policy,
    pub(super) out: Option<PathBuf>,
    pub(super) picture: Option<PathBuf>,
    pub(super) trace: Option<PathBuf>,
    pub(super) reporter: Reporter,
    /// Takes a description and what it needs.
    pub(super) recover: mpsc::Sender<(u8, Recovery)>,
    pub(super) started: Instant,
}

/// The running picture side.
pub(super) struct Playback {
    items: SyncSender<Item>,
    stats: Arc<Mutex<WatchStats>>,
    thread: JoinHandle<Result<(), Error>>,
}

impl Playback {
    /// Starts the thread.
    pub(super) fn start(settings: Settings) -> Result<Self, Error> {
        let (items, waiting) = sync_channel(MAX_WAITING);
        let stats = Arc::new(Mutex::new(WatchStats { descriptions: 1, ..WatchStats::default() }));
        let shared = stats.clone();
        let player = Player::new(settings, shared)?;
        let thread = thread::Builder::new().name("decode".into()).spawn(move || player.run(&waiting));
        let thread =
            thread.map_err(|source| Error::File { action: "start the thread", path: "decode".into(), source })?;
        Ok(Self { items, stats, thread })
    }

    /// Another handle for handing items over; a full queue loses the item.
    pub(super) fn sender(&self) -> SyncSender<Item> {
        self.items.clone()
    }

    /// Whether the thread is gone, which before the end means that it failed.
    pub(super) fn ended(&self) -> bool {
        self.thread.is_finished()
    }

    /// Counters so far.
    pub(super) fn stats(&self) -> WatchStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets the decoder finish and closes the recordings.
    pub(super) fn finish(self) -> Result<WatchStats, Error> {
        // A thread that is gone already has its reason, which join tells.
        let _ = self.items.send(Item::End);
        self.thread.join().unwrap_or(Err(Error::Crashed("the decoder")))?;
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(stats)
    }
}

/// What one description needs; those of a cut stream decode without each other.
struct Part {
    assembler: Assembler,
    decoder: Decoder,
}

impl Part {
    fn new(policy: Policy) -> Result<Self, Error> {
        let config = AssemblerConfig { policy, ..AssemblerConfig::default() };
        Ok(Self { assembler: Assembler::new(config), decoder: Decoder::new(1)? })
    }
}

/// A decoded picture, and what it was decoded from.
struct Picture {
    unit: Unit,
    frame: Frame,
}

struct Player {
    settings: Settings,
    shared: Arc<Mutex<WatchStats>>,
    /// By description.
    parts: Vec<Part>,
    split: Split,
    merge: Merge<Picture>,
    jitter: Jitter,
    recorder: Option<Recorder>,
    trace: Option<BufWriter<File>>,
    description: Option<Description>,
    stats: WatchStats,
    samples: VecDeque<f64>,
    decode_us: u64,
    admitted: Option<Instant>,
    rekeyed_us: Option<u64>,
    lost_at_us: Vec<u64>,
    picture: Option<Frame>,
    published: Instant,
    /// Nothing more comes.
    ended: bool,
}

impl Player {
    fn new(settings: Settings, shared: Arc<Mutex<WatchStats>>) -> Result<Self, Error> {
        let trace = settings.trace.as_ref().map(File::create).transpose();
        let trace = trace.map_err(|source| Error::File { action: "create", path: "the trace file".into(), source })?;
        Ok(Self {
            shared,
            parts: vec![Part::new(settings.policy)?],
            split: Split::WHOLE,
            merge: Merge::new(Split::WHOLE, DEFAULT_MAX_WAIT_US),
            jitter: Jitter::new(JitterConfig::VOICE)?,
            recorder: None,
            trace: trace.map(BufWriter::new),
            description: None,
            stats: WatchStats { layers_received: vec![0; 3], descriptions: 1, ..WatchStats::default() },
            samples: VecDeque::new(),
            decode_us: 0,
            admitted: None,
            rekeyed_us: None,
            lost_at_us: Vec::new(),
            picture: None,
            published: Instant::now(),
            ended: false,
            settings,
        })
    }

    fn run(mut self, items: &Receiver<Item>) -> Result<(), Error> {
        loop {
            let parts = self.parts.iter().filter_map(|part| part.assembler.deadline_us());
            let due = parts.chain(self.merge.deadline_us()).min();
            let wait = due.map_or(IDLE, |due| Duration::from_micros(due.saturating_sub(clock::now_us())).min(IDLE));
            match items.recv_timeout(wait) {
                Ok(Item::End) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(item) => self.take(item)?,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.drain()?;
        }
        self.drain()?;
        self.publish();
        self.ended = true;
        // Nothing that a picture could wait for comes any more.
        self.show(u64::MAX)?;
        self.close()
    }

    fn take(&mut self, item: Item) -> Result<(), Error> {
        match item {
            Item::Description(description, welcomed) => {
                self.admitted = Some(welcomed);
                self.cut(&description)?;
                self.description = Some(description);
                if let (None, Some(path)) = (&self.recorder, &self.settings.out) {
                    self.recorder = Some(Recorder::create(path, description)?);
                }
            }
            Item::Payload(part, payload) => match payload.header.track {
                Track::VIDEO => self.video(part, payload),
                Track::AUDIO => self.audio(&payload)?,
                _ => {}
            },
            Item::Epoch(epoch) => {
                self.stats.epoch = epoch;
                self.stats.epochs += 1;
                self.rekeyed_us = Some(clock::now_us());
                let now_us = clock::now_us();
                let near = self.lost_at_us.iter().filter(|at| now_us.saturating_sub(**at) < REKEY_SPAN_US).count();
                self.stats.frames_lost_across_rekey += u64::try_from(near).unwrap_or(0);
                self.lost_at_us.clear();
            }
            Item::End => {}
        }
        Ok(())
    }

    /// Makes what every description needs, once.
    fn cut(&mut self, description: &Description) -> Result<(), Error> {
        let split = crate::description::split(description.descriptions)?;
        if split != self.split {
            let policy = self.settings.policy;
            self.parts = (0..split.count()).map(|_| Part::new(policy)).collect::<Result<_, _>>()?;
            self.merge = Merge::new(split, DEFAULT_MAX_WAIT_US);
            self.split = split;
        }
        Ok(())
    }

    fn video(&mut self, part: u8, payload: Payload) {
        let header = payload.header;
        if let Some(count) = self.stats.layers_received.get_mut(usize::from(header.layer.spatial)) {
            *count += 1;
        }
        let input = LayerInput {
            frame_number: header.frame_number,
            unit_id: header.unit_id,
            references: header.referenced_units().collect(),
            spatial: header.layer.spatial,
            temporal: header.layer.temporal,
            key: header.flags.contains(Flags::KEY_FRAME),
            switch: header.flags.contains(Flags::SWITCH_POINT),
            end_of_unit: header.flags.contains(Flags::END_OF_UNIT),
            data: payload.data,
            pts_us: header.pts_us,
            captured_us: header.captured_us,
        };
        if let Some(part) = self.parts.get_mut(usize::from(part)) {
            part.assembler.push(input, clock::now_us());
        }
    }

    fn audio(&mut self, payload: &Payload) -> Result<(), Error> {
        let header = &payload.header;
        let arrival = self.jitter.push(header.frame_number, header.pts_us, &payload.data, clock::now_us());
        if arrival == Arrival::Queued
            && let Some(recorder) = &mut self.recorder
        {
            recorder.sound(&payload.data, header.pts_us)?;
        }
        Ok(())
    }

    /// Everything that is due now: pictures, requests, losses, sound.
    fn drain(&mut self) -> Result<(), Error> {
        for description in 0..self.split.count() {
            while let Some(output) = self.assembled(description) {
                match output {
                    Output::Unit(unit) => self.decode(description, unit),
                    Output::NeedRecovery(need) => {
                        self.stats.recoveries += 1;
                        // A full queue holds requests already.
                        let _ = self.settings.recover.try_send((description, need));
                    }
                    Output::Lost { .. } => self.lost(),
                }
            }
        }
        self.show(clock::now_us())?;
        while let Some(played) = self.jitter.poll(clock::now_us()) {
            self.stats.audio_played += 1;
            self.stats.audio_concealed += u64::from(matches!(played.origin, Origin::Guess | Origin::Silence));
            if let Some(recorder) = &mut self.recorder {
                recorder.pcm(&played.pcm)?;
            }
        }
        if self.published.elapsed() >= Duration::from_millis(200) {
            self.publish();
        }
        Ok(())
    }

    fn assembled(&mut self, description: u8) -> Option<Output> {
        self.parts.get_mut(usize::from(description))?.assembler.poll(clock::now_us())
    }

    fn decode(&mut self, description: u8, unit: Unit) {
        let Some(part) = self.parts.get_mut(usize::from(description)) else { return };
        let started = Instant::now();
        let frames = match part.decoder.decode(&unit.data, unit.pts_us) {
            Ok(frames) => frames,
            Err(error) => {
                tracing::warn!(%error, frame = unit.frame_number, description, "a picture did not decode");
                return part.assembler.decoder_failed(clock::now_us());
            }
        };
        self.decode_us += u64::try_from(started.elapsed().as_micros()).unwrap_or(0);
        // One unit is one picture.
        if let Some(frame) = frames.into_iter().last() {
            self.merge.push(description, unit.frame_number, Picture { unit, frame }, clock::now_us());
        }
    }

    /// Shows every picture whose time has come.
    fn show(&mut self, now_us: u64) -> Result<(), Error> {
        while let Some(shown) = self.merge.poll(now_us) {
            let Picture { unit, frame } = shown.picture;
            self.shown(shown.number, &unit)?;
            if let Some(recorder) = &mut self.recorder {
                recorder.picture((shown.description, &unit), &frame)?;
            }
            self.picture = Some(frame);
        }
        Ok(())
    }

    fn shown(&mut self, number: u64, unit: &Unit) -> Result<(), Error> {
        let now_us = clock::unix_us();
        if self.stats.frames_decoded == 0 {
            let since = |at: Instant| at.elapsed().as_secs_f64() * 1000.0;
            self.settings.reporter.send(Event::FirstFrame {
                since_admitted_ms: since(self.admitted.unwrap_or(self.settings.started)),
                since_start_ms: since(self.settings.started),
            });
        }
        self.stats.frames_decoded += 1;
        self.stats.first_frame.get_or_insert(number);
        self.stats.last_frame = Some(number);
        self.stats.top_layer = (unit.spatial, unit.temporal);
        let latency_us = now_us.saturating_sub(unit.captured_us);
        self.samples.push_back(latency_us as f64 / 1000.0);
        if self.samples.len() > MAX_SAMPLES {
            self.samples.pop_front();
        }
        if let Some(trace) = &mut self.trace {
            let Unit { captured_us, spatial, temporal, .. } = unit;
            let line = writeln!(trace, "{number} {captured_us} {now_us} {spatial} {temporal}");
            line.map_err(|source| Error::File { action: "write", path: "the trace file".into(), source })?;
        }
        Ok(())
    }

    /// Losses before the first picture are none: decoding had not begun.
    fn lost(&mut self) {
        if self.stats.frames_decoded == 0 {
            return;
        }
        let now_us = clock::now_us();
        match self.rekeyed_us.is_some_and(|at| now_us.saturating_sub(at) < REKEY_SPAN_US) {
            true => self.stats.frames_lost_across_rekey += 1,
            false if self.lost_at_us.len() < MAX_WAITING => self.lost_at_us.push(now_us),
            false => {}
        }
    }

    fn publish(&mut self) {
        self.published = Instant::now();
        self.stats.base_frames_lost = self.base_frames_lost();
        if self.split != Split::WHOLE && !self.ended {
            self.stats.descriptions = self.merge.contributing(clock::now_us());
        }
        self.stats.decode_ms = self.decode_us as f64 / self.stats.frames_decoded.max(1) as f64 / 1000.0;
        self.stats.latency_ms = Percentiles::of(&mut self.samples.iter().copied().collect::<Vec<_>>());
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = self.stats.clone();
    }

    /// Gaps between the first and the last picture; a viewer that asked for fewer temporal layers has gaps on purpose,
    /// and counts what its assembler missed of the base.
    fn base_frames_lost(&self) -> u64 {
        let temporal_layers = self.description.map_or(1, |description| description.temporal_layers);
        let thinned = self.settings.policy.max_temporal.saturating_add(1) < temporal_layers;
        match (self.stats.first_frame, self.stats.last_frame) {
            (Some(first), Some(last)) if !thinned => {
                last.saturating_sub(first).saturating_add(1).saturating_sub(self.stats.frames_decoded)
            }
            _ => self.parts.iter().map(|part| part.assembler.counters().lost_base).sum(),
        }
    }

    fn close(mut self) -> Result<(), Error> {
        self.publish();
        if let Some(recorder) = self.recorder.take() {
            recorder.finish()?;
        }
        if let Some(mut trace) = self.trace.take() {
            let flushed = trace.flush();
            flushed.map_err(|source| Error::File { action: "write", path: "the trace file".into(), source })?;
        }
        match (&self.settings.picture, &self.picture) {
            (Some(path), Some(frame)) => super::record::write_png(path, frame),
            _ => Ok(()),
        }
    }
}
