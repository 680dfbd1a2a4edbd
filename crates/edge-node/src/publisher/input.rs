//! A person's own file or pipe as a source. Pictures are decoded where need be and encoded anew, so that every viewer
//! gets layers and can be helped after a loss; Opus sound passes through.

use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use edge_codec::audio::packet_duration_us;
use edge_codec::container::source::{self, Demuxer, Frames, Hint, Input};
use edge_codec::container::{Error as ContainerError, OpusPacket, Packet, wav};
use edge_codec::video::{Decoder, Frame};

use super::capture::{Pictures, Samples, Sound};
use crate::Error;

/// Rate assumed where one picture is all there is.
const DEFAULT_RATE: (u32, u32) = (30, 1);
/// Decoded pictures and packets of sound that may wait for their turn.
const MAX_AHEAD: usize = 256;

/// An open movie with a running media time of its own, which goes on when the movie starts again.
pub(super) struct Movie {
    name: String,
    hint: Hint,
    reel: Reel,
    forever: bool,
    offset_us: u64,
    last_us: Option<u64>,
    step_us: u64,
    end_us: u64,
    sounds_sent: u64,
    rate: (u32, u32),
    size: (u32, u32),
}

/// One pass through the input.
struct Reel {
    reading: Reading,
    frames: VecDeque<Frame>,
    sounds: VecDeque<OpusPacket>,
}

enum Reading {
    Raw(Frames, u64),
    Encoded(Box<Demuxer>, Decoder),
    Ended,
}

/// A WAV file as sound beside a picture.
pub(super) struct Recording {
    name: String,
    reader: wav::Reader<Box<dyn Read + Send>>,
}

impl Recording {
    /// Opens `name`, which must hold samples at a rate that Opus takes.
    pub(super) fn open(name: &str) -> Result<Self, Error> {
        match source::open(Path::new(name), Hint::Probe).map_err(|error| failed(name, error))? {
            Input::Samples(reader) => Ok(Self { name: name.to_owned(), reader }),
            _ => Err(failed(name, NoSound)),
        }
    }
}

impl Samples for Recording {
    fn rate_hz(&self) -> u32 {
        self.reader.format().sample_rate_hz
    }

    fn channels(&self) -> u8 {
        self.reader.format().channels
    }

    fn fill(&mut self, out: &mut [i16]) -> Result<bool, Error> {
        let blocks = out.len() / usize::from(self.channels().max(1));
        let read = self.reader.read(blocks).map_err(|error| failed(&self.name, error))?;
        let filled = read.filter(|samples| samples.len() == out.len());
        if let Some(samples) = &filled {
            out.copy_from_slice(samples);
        }
        Ok(filled.is_some())
    }
}

/// Opens `name`, as `hint` says; only files can be played more than once.
pub(super) fn open(name: &str, hint: Hint, forever: bool, duration: Option<Duration>) -> Result<Movie, Error> {
    let end_us = duration.map_or(u64::MAX, |length| u64::try_from(length.as_micros()).unwrap_or(u64::MAX));
    let mut reel = Reel::open(name, hint)?;
    let rate = reel.rate(name)?;
    let size = reel.size(name)?;
    let step_us = 1_000_000 * u64::from(rate.1) / u64::from(rate.0.max(1));
    Ok(Movie {
        name: name.to_owned(),
        hint,
        reel,
        forever: forever && name != source::STDIN,
        offset_us: 0,
        last_us: None,
        step_us,
        end_us,
        sounds_sent: 0,
        rate,
        size,
    })
}

impl Movie {
    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Frames per second as (numerator, denominator).
    pub(super) fn rate(&self) -> (u32, u32) {
        self.rate
    }

    /// Channels of sound; 0 without.
    pub(super) fn channels(&self) -> u8 {
        match &self.reel.reading {
            Reading::Encoded(demuxer, _) => demuxer.audio().map_or(0, |track| track.channels),
            _ => 0,
        }
    }

    /// Starts again where the last picture ended.
    fn rewind(&mut self) -> Result<(), Error> {
        self.offset_us = self.last_us.map_or(0, |last| last.saturating_add(self.step_us));
        self.reel = Reel::open(&self.name, self.hint)?;
        Ok(())
    }
}

impl Pictures for Movie {
    fn next(&mut self) -> Result<Option<Frame>, Error> {
        let mut frame = self.reel.next(&self.name)?;
        if frame.is_none() && self.forever && self.last_us.is_some() {
            self.rewind()?;
            frame = self.reel.next(&self.name)?;
        }
        let Some(frame) = frame else { return Ok(None) };
        let mut pts_us = self.offset_us.saturating_add(frame.pts_us);
        if self.last_us.is_some_and(|last| pts_us <= last) {
            pts_us = self.last_us.unwrap_or(0).saturating_add(self.step_us);
        }
        self.last_us = Some(pts_us);
        Ok((pts_us < self.end_us).then(|| frame.at(pts_us, 0)))
    }

    fn skip(&mut self) -> Result<bool, Error> {
        Ok(self.next()?.is_some())
    }

    fn sounds(&mut self, until_us: u64) -> Vec<Sound> {
        let mut due = Vec::new();
        while self.reel.sounds.front().is_some_and(|packet| self.offset_us.saturating_add(packet.pts_us) <= until_us) {
            let Some(packet) = self.reel.sounds.pop_front() else { break };
            let Ok(duration_us) = packet_duration_us(&packet.data) else { continue };
            let pts_us = self.offset_us.saturating_add(packet.pts_us);
            let number = self.sounds_sent;
            self.sounds_sent += 1;
            due.push(Sound { number, pts_us, captured_us: 0, duration_us, data: packet.data.into() });
        }
        due
    }
}

impl Reel {
    fn open(name: &str, hint: Hint) -> Result<Self, Error> {
        let input = source::open(Path::new(name), hint).map_err(|error| failed(name, error))?;
        let reading = match input {
            Input::Frames(frames) => Reading::Raw(frames, 0),
            Input::Encoded(demuxer) => Reading::Encoded(Box::new(demuxer), Decoder::new(1)?),
            Input::Samples(_) => return Err(failed(name, NoPicture)),
        };
        Ok(Self { reading, frames: VecDeque::new(), sounds: VecDeque::new() })
    }

    fn next(&mut self, name: &str) -> Result<Option<Frame>, Error> {
        while self.frames.is_empty() && self.read(name)? {}
        Ok(self.frames.pop_front())
    }

    /// Reads one picture or packet; `false` at the end.
    fn read(&mut self, name: &str) -> Result<bool, Error> {
        match &mut self.reading {
            Reading::Raw(frames, number) => {
                let time_us = frames.format().rate.time_us(*number);
                *number += 1;
                let frame = frames.next_frame().map_err(|error| failed(name, error))?;
                match frame {
                    Some(frame) => self.frames.push_back(frame.at(time_us, 0)),
                    None => self.reading = Reading::Ended,
                }
            }
            Reading::Encoded(demuxer, decoder) => match demuxer.next_packet().map_err(|error| failed(name, error))? {
                Some(Packet::Video(unit)) => {
                    let frames = decoder.decode(&unit.data, unit.pts_us)?;
                    self.frames.extend(frames);
                }
                Some(Packet::Audio(packet)) => {
                    if self.sounds.len() < MAX_AHEAD {
                        self.sounds.push_back(packet);
                    }
                }
                None => {
                    let rest = decoder.flush();
                    self.frames.extend(rest);
                    self.reading = Reading::Ended;
                }
            },
            Reading::Ended => return Ok(false),
        }
        Ok(true)
    }

    /// The rate that the header tells, or that the first two pictures show.
    fn rate(&mut self, name: &str) -> Result<(u32, u32), Error> {
        if let Reading::Raw(frames, _) = &self.reading {
            let rate = frames.format().rate;
            return Ok((rate.num(), rate.den()));
        }
        while self.frames.len() < 2 && self.read(name)? {}
        let step_us = match (self.frames.front(), self.frames.get(1)) {
            (Some(first), Some(second)) => second.pts_us.saturating_sub(first.pts_us),
            _ => 0,
        };
        Ok(match u32::try_from(step_us) {
            Ok(step) if (4_000..=1_000_000).contains(&step) => (((1_000_000 + step / 2) / step).max(1), 1),
            _ => DEFAULT_RATE,
        })
    }

    fn size(&mut self, name: &str) -> Result<(u32, u32), Error> {
        while self.frames.is_empty() && self.read(name)? {}
        match self.frames.front() {
            Some(frame) => Ok((frame.width(), frame.height())),
            None => Err(failed(name, NoPicture)),
        }
    }
}

/// The input has sound only, or nothing at all.
#[derive(Debug, thiserror::Error)]
#[error("it holds no picture: publish needs video, for example `ffmpeg -i INPUT -pix_fmt yuv420p -f yuv4mpegpipe -`")]
struct NoPicture;

/// The input holds something else than samples.
#[derive(Debug, thiserror::Error)]
#[error("it is no WAV file: `ffmpeg -i INPUT -ar 48000 -c:a pcm_s16le OUT.wav` makes one")]
struct NoSound;

fn failed(name: &str, source: impl Into<Cause>) -> Error {
    Error::Source { name: name.to_owned(), source: source.into().0 }
}

/// Either kind of failure, boxed for the report.
struct Cause(Box<dyn std::error::Error + Send + Sync>);

impl From<ContainerError> for Cause {
    fn from(error: ContainerError) -> Self {
        Self(Box::new(error))
    }
}

impl From<NoSound> for Cause {
    fn from(error: NoSound) -> Self {
        Self(Box::new(error))
    }
}

impl From<NoPicture> for Cause {
    fn from(error: NoPicture) -> Self {
        Self(Box::new(error))
    }
}
