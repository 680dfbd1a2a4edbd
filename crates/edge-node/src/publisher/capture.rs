//! Capture and encoding on threads of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use edge_codec::audio;
use edge_codec::description::{Described, Encoders, MAX_DESCRIPTIONS, Split};
use edge_codec::pattern::{Tone, Video};
use edge_codec::video::{EncoderConfig, Frame, Recovery};
use tokio::sync::mpsc;

use crate::{Error, clock};

/// Encoded frames that may wait for the sealer; a full queue makes the capture skip frames.
pub(super) const MAX_WAITING: usize = 16;

/// One encoded picture or packet of sound.
#[derive(Debug)]
pub(super) enum Unit {
    /// All layer frames of a picture, in the description whose turn it is.
    Video(Described),
    /// One Opus packet.
    Audio(Sound),
}

/// One Opus packet with its times.
#[derive(Debug)]
pub(super) struct Sound {
    pub(super) number: u64,
    pub(super) pts_us: u64,
    pub(super) captured_us: u64,
    pub(super) duration_us: u32,
    pub(super) data: Bytes,
}

/// What the rest of the publisher shares with the capture threads.
#[derive(Debug, Default)]
pub(super) struct Controls {
    /// By description.
    wanted: [AtomicU8; MAX_DESCRIPTIONS],
    stop: AtomicU8,
    pub(super) skipped: AtomicU64,
    pub(super) encoded: AtomicU64,
    pub(super) encode_us: AtomicU64,
}

impl Controls {
    /// Asks every encoder for a recovery frame.
    pub(super) fn request(&self, need: Recovery) {
        for wanted in &self.wanted {
            wanted.fetch_or(bit(need), Ordering::Relaxed);
        }
    }

    /// Asks the encoder of one description for a recovery frame.
    pub(super) fn request_of(&self, description: usize, need: Recovery) {
        if let Some(wanted) = self.wanted.get(description) {
            wanted.fetch_or(bit(need), Ordering::Relaxed);
        }
    }

    /// Ends the capture after the present frame.
    pub(super) fn stop(&self) {
        self.stop.store(1, Ordering::Relaxed);
    }

    /// Whether the capture was told to end.
    pub(super) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed) != 0
    }

    /// Mean encode time of a picture, in milliseconds.
    pub(super) fn encode_ms(&self) -> f64 {
        let encoded = self.encoded.load(Ordering::Relaxed).max(1);
        self.encode_us.load(Ordering::Relaxed) as f64 / encoded as f64 / 1000.0
    }

    fn pass_on(&self, encoders: &mut Encoders) {
        for (description, wanted) in (0..).zip(&self.wanted) {
            let wanted = wanted.swap(0, Ordering::Relaxed);
            for need in [Recovery::Switch, Recovery::LongTermReference, Recovery::KeyFrame] {
                if wanted & bit(need) != 0 {
                    encoders.request(description, need);
                }
            }
        }
    }
}

fn bit(need: Recovery) -> u8 {
    match need {
        Recovery::Switch => 1,
        Recovery::LongTermReference => 2,
        _ => 4,
    }
}

/// A picture source: gives each picture when it is due.
pub(super) trait Pictures: Send {
    /// The next picture with its media time, `None` at the end.
    fn next(&mut self) -> Result<Option<Frame>, Error>;
    /// Skips one picture without making it; `false` at the end.
    fn skip(&mut self) -> Result<bool, Error>;
    /// The source's own sound that is due by `until_us` of media time.
    fn sounds(&mut self, _until_us: u64) -> Vec<Sound> {
        Vec::new()
    }
}

/// The test pattern, for a number of frames.
#[derive(Debug)]
pub(super) struct Pattern {
    video: Video,
    next: u32,
    end: u32,
}

impl Pattern {
    /// A pattern of `frames` pictures.
    pub(super) fn new(width: u32, height: u32, rate: (u32, u32), frames: u32) -> Result<Self, Error> {
        Ok(Self { video: Video::new(width, height, rate)?, next: 0, end: frames })
    }
}

impl Pictures for Pattern {
    fn next(&mut self) -> Result<Option<Frame>, Error> {
        let number = self.next;
        if number >= self.end {
            return Ok(None);
        }
        self.next += 1;
        let pts_us = self.video.pts_us(number);
        Ok(Some(self.video.frame(number).at(pts_us, 0)))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        self.next += 1;
        Ok(self.next < self.end)
    }
}

/// Encodes pictures at their pace until the source ends, their media time counted from a start, and hands them on
/// without waiting for the network.
pub(super) fn video_thread(
    (start_us, mut pictures): (u64, Box<dyn Pictures>),
    (config, split): (EncoderConfig, Split),
    controls: Arc<Controls>,
    out: mpsc::Sender<Unit>,
) -> Result<thread::JoinHandle<Result<(), Error>>, Error> {
    let mut encoders = Encoders::new(&config, split)?;
    let guard = controls.clone();
    let run = move || -> Result<(), Error> {
        let pace = Pace::start();
        while !controls.stopped() {
            let Some(frame) = pictures.next()? else { break };
            if !pace.wait_for(frame.pts_us) && pictures.skip()? {
                controls.skipped.fetch_add(1, Ordering::Relaxed);
            }
            let captured_us = clock::unix_us();
            controls.pass_on(&mut encoders);
            let source_us = frame.pts_us;
            let pts_us = start_us.saturating_add(source_us);
            let started = Instant::now();
            let picture = encoders.encode(&frame.at(pts_us, captured_us))?;
            let took = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
            controls.encode_us.fetch_add(took, Ordering::Relaxed);
            controls.encoded.fetch_add(1, Ordering::Relaxed);
            let sounds = pictures.sounds(source_us).into_iter().map(|sound| {
                let (pts_us, number) =
                    (start_us.saturating_add(sound.pts_us), sound.number.saturating_add(start_us / 1000));
                Unit::Audio(Sound { captured_us, pts_us, number, ..sound })
            });
            let units = std::iter::once(Unit::Video(picture)).chain(sounds);
            if units.into_iter().any(|unit| out.blocking_send(unit).is_err()) {
                break;
            }
        }
        Ok(())
    };
    spawn("video", guard, run)
}

/// A sound source of its own, beside the picture.
pub(super) trait Samples: Send {
    /// Samples a second, as Opus takes them.
    fn rate_hz(&self) -> u32;
    /// 1 or 2, interleaved.
    fn channels(&self) -> u8;
    /// Fills `out` with the next samples; `false` at the end.
    fn fill(&mut self, out: &mut [i16]) -> Result<bool, Error>;
}

impl Samples for Tone {
    fn rate_hz(&self) -> u32 {
        Self::SAMPLE_RATE
    }

    fn channels(&self) -> u8 {
        Self::channels(self)
    }

    fn fill(&mut self, out: &mut [i16]) -> Result<bool, Error> {
        Self::fill(self, out);
        Ok(true)
    }
}

/// Encodes sound at its pace, from a media time on and for a duration.
pub(super) fn sound_thread(
    mut samples: Box<dyn Samples>,
    (start_us, duration): (u64, Option<Duration>),
    controls: Arc<Controls>,
    out: mpsc::Sender<Unit>,
) -> Result<thread::JoinHandle<Result<(), Error>>, Error> {
    let (sample_rate_hz, channels) = (samples.rate_hz(), samples.channels());
    let config = audio::EncoderConfig { sample_rate_hz, channels, ..audio::EncoderConfig::VOICE };
    let mut encoder = audio::Encoder::new(config)?;
    let step_us = u64::from(config.frame_duration.micros());
    let end_us = duration.map_or(u64::MAX, |length| u64::try_from(length.as_micros()).unwrap_or(u64::MAX));
    let guard = controls.clone();
    let run = move || -> Result<(), Error> {
        let pace = Pace::start();
        let mut pcm = vec![0; config.samples()];
        for number in 0_u64.. {
            let pts_us = number.saturating_mul(step_us);
            if controls.stopped() || pts_us >= end_us || !samples.fill(&mut pcm)? {
                break;
            }
            pace.wait_for(pts_us);
            let captured_us = clock::unix_us();
            let packet = encoder.encode(&pcm)?;
            let duration_us = packet.duration_us;
            let (number, pts_us) = (number.saturating_add(start_us / 1000), start_us.saturating_add(pts_us));
            let sound = Sound { number, pts_us, captured_us, duration_us, data: packet.data.into() };
            if out.blocking_send(Unit::Audio(sound)).is_err() {
                break;
            }
        }
        Ok(())
    };
    spawn("audio", guard, run)
}

/// Ends the whole capture when its thread ends without success, by an error or a panic.
struct StopOnFailure {
    controls: Arc<Controls>,
    armed: bool,
}

impl Drop for StopOnFailure {
    fn drop(&mut self) {
        if self.armed {
            self.controls.stop();
        }
    }
}

fn spawn<F>(name: &str, controls: Arc<Controls>, run: F) -> Result<thread::JoinHandle<Result<(), Error>>, Error>
where
    F: FnOnce() -> Result<(), Error> + Send + 'static,
{
    let builder = thread::Builder::new().name(name.into());
    let guarded = move || {
        let mut guard = StopOnFailure { controls, armed: true };
        run()?;
        guard.armed = false;
        Ok(())
    };
    builder.spawn(guarded).map_err(|source| Error::File { action: "start the thread", path: name.into(), source })
}

/// Media time against the monotonic clock.
struct Pace(Instant);

impl Pace {
    /// More than this behind, a picture is skipped.
    const SLACK: Duration = Duration::from_millis(100);

    fn start() -> Self {
        Self(Instant::now())
    }

    /// Sleeps until `pts_us` is due; `false` when it is long past.
    fn wait_for(&self, pts_us: u64) -> bool {
        let due = self.0 + Duration::from_micros(pts_us);
        let now = Instant::now();
        if due > now {
            thread::sleep(due - now);
        }
        now < due + Self::SLACK
    }
}
