//! What is published: the source with its encoder settings, and its performance from the first frame to the last.

use std::sync::Arc;
use std::time::Duration;

use edge_alm::path::Descriptions;
use edge_codec::container::source::Hint;
use edge_codec::container::{Rate, raw};
use edge_codec::description::Split;
use edge_codec::pattern::Tone;
use edge_codec::video::{EncoderConfig, Mode};
use edge_seal::EpochDek;
use edge_wire::id::Epoch;
use tokio::sync::{mpsc, watch};

use super::capture::{Controls, MAX_WAITING, Pattern, Pictures, Samples, sound_thread, video_thread};
use super::input;
use super::sealer::Sealer;
use super::{Options, Repeat, Source};
use crate::Error;
use crate::description::{self, Description};

/// Pixels from which two spatial layers pay.
const LARGE_PICTURE: u32 = 1280 * 720;

/// An opened source.
pub(super) struct Program {
    pictures: Box<dyn Pictures>,
    encoder: EncoderConfig,
    descriptions: Descriptions,
    split: Split,
    samples: Option<Box<dyn Samples>>,
    channels: u8,
    audience: usize,
    duration: Option<Duration>,
    start_us: u64,
}

impl Program {
    /// Opens the source and settles the encoder. `start_us` is the media time of the first frame.
    pub(super) fn open(options: &Options, start_us: u64) -> Result<Self, Error> {
        let movie = |name: &str, hint| input::open(name, hint, options.repeat == Repeat::Forever, options.duration);
        let (pictures, size, rate, own_channels): (Box<dyn Pictures>, _, _, _) = match &options.source {
            Source::Pattern { width, height, rate } => {
                let pattern = Pattern::new(*width, *height, *rate, frame_count(options.duration, *rate))?;
                (Box::new(pattern), (*width, *height), *rate, 0)
            }
            Source::Raw { name, width, height, rate } => {
                let rate = Rate::new(rate.0, rate.1).ok_or(Error::NoRate)?;
                let movie = movie(name, Hint::RawVideo(raw::Format { width: *width, height: *height, rate }))?;
                (Box::new(movie), (*width, *height), (rate.num(), rate.den()), 0)
            }
            Source::Input(name) => {
                let movie = movie(name, Hint::Probe)?;
                let (size, rate, channels) = (movie.size(), movie.rate(), movie.channels());
                (Box::new(movie), size, rate, channels)
            }
        };
        let samples: Option<Box<dyn Samples>> = match (&options.audio, &options.source) {
            (Some(name), _) => Some(Box::new(input::Recording::open(name)?)),
            (None, Source::Pattern { .. }) => Some(Box::new(Tone::new(1))),
            (None, _) => None,
        };
        Ok(Self {
            pictures,
            encoder: encoder(options, size, rate, start_us),
            descriptions: options.descriptions,
            split: description::split(options.descriptions)?,
            channels: samples.as_ref().map_or(own_channels, |samples| samples.channels()),
            samples,
            audience: options.wait_for.saturating_add(1),
            duration: options.duration,
            start_us,
        })
    }

    /// What newcomers are told.
    pub(super) fn description(&self) -> Description {
        let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
        Description {
            width: side(self.encoder.width),
            height: side(self.encoder.height),
            rate_num: self.encoder.frame_rate.0,
            rate_den: self.encoder.frame_rate.1.max(1),
            spatial_layers: self.encoder.mode.spatial_layers(),
            temporal_layers: self.encoder.mode.temporal_layers(),
            audio_channels: self.channels,
            descriptions: self.descriptions,
        }
    }

    /// Duration of one picture.
    pub(super) fn frame_duration_us(&self) -> u32 {
        let (num, den) = self.encoder.frame_rate;
        let micros = 1_000_000 * u64::from(den) / u64::from(num.max(1));
        u32::try_from(micros).unwrap_or(u32::MAX)
    }

    /// Waits for the audience, then captures, encodes and seals until the end.
    pub(super) async fn perform(
        self,
        controls: &Arc<Controls>,
        mut members: watch::Receiver<usize>,
        sealer: Sealer,
        keys: mpsc::Receiver<(Epoch, EpochDek)>,
    ) -> Result<(), Error> {
        let (units, sealing) = mpsc::channel(MAX_WAITING);
        let seal = sealer.run(sealing, keys);
        let capture = async {
            if members.wait_for(|present| *present >= self.audience).await.is_err() {
                return Ok(());
            }
            let mut threads = Vec::new();
            if let Some(samples) = self.samples {
                let span = (self.start_us, self.duration);
                threads.push(sound_thread(samples, span, controls.clone(), units.clone())?);
            }
            threads.push(video_thread(
                (self.start_us, self.pictures),
                (self.encoder, self.split),
                controls.clone(),
                units,
            )?);
            let ended = tokio::task::spawn_blocking(move || {
                threads
                    .into_iter()
                    .map(|thread| thread.join().unwrap_or(Err(Error::Crashed("the encoder"))))
                    .collect::<Vec<_>>()
            });
            ended.await.map_err(|_| Error::Crashed("the encoder"))?.into_iter().collect::<Result<(), Error>>()
        };
        let (captured, sealed) = tokio::join!(capture, seal);
        captured.and(sealed)
    }
}

fn frame_count(duration: Option<Duration>, (num, den): (u32, u32)) -> u32 {
    duration.map_or(u32::MAX, |length| {
        let frames = length.as_secs_f64() * f64::from(num) / f64::from(den.max(1));
        // Saturates: a float above the range becomes the largest count.
        frames.round() as u32
    })
}

/// About 0.09 bits a pixel suits the speed that live encoding runs at.
fn encoder(options: &Options, (width, height): (u32, u32), rate: (u32, u32), start_us: u64) -> EncoderConfig {
    let pixels = width.saturating_mul(height);
    let default_mode = if pixels >= LARGE_PICTURE { Mode::L2T3 } else { Mode::L1T3 };
    let per_second = u64::from(pixels) * u64::from(rate.0) / u64::from(rate.1.max(1));
    let default_kbps = u32::try_from(per_second * 9 / 100_000).unwrap_or(u32::MAX).clamp(64, 20_000);
    let kbps = options.bitrate_kbps.unwrap_or(default_kbps);
    let config = EncoderConfig::live(width, height, kbps).with_mode(options.mode.unwrap_or(default_mode));
    // A frame takes more than a millisecond, so numbers go on ascending after a restart.
    EncoderConfig { frame_rate: rate, first_frame_number: start_us / 1000, ..config }
}
