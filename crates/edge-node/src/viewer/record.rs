//! Recordings and pictures of what a viewer saw.

use std::fs::File;
use std::io::{BufWriter, Stdout, Write};
use std::path::Path;

use edge_codec::container::{AudioTrack, EncodedUnit, OpusPacket, Rate, VideoTrack, ivf, wav, webm, y4m};
use edge_codec::png;
use edge_codec::video::{Frame, Unit};

use crate::Error;
use crate::description::Description;

/// Standard output's name.
const PIPE: &str = "-";
/// Length told for the last picture of a file, in µs.
const LAST_US: u64 = 33_333;
/// Samples a player drops at the start of the sound, at 48 kHz.
const PRE_SKIP: u16 = 312;

/// An open recording. WebM and IVF keep the received bytes; Y4M and WAV keep what was decoded.
pub(super) struct Recorder {
    name: String,
    description: Description,
    sink: Sink,
}

enum Sink {
    /// The format is known, the first key frame is not there yet.
    Waiting(Format, Option<Output>),
    File(webm::FileWriter<BufWriter<File>>),
    Live(webm::LiveWriter<BufWriter<Stdout>>),
    Ivf(ivf::Writer<BufWriter<File>>),
    Y4m(y4m::Writer<BufWriter<File>>),
    Wav(wav::Writer<BufWriter<File>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Webm,
    Ivf,
}

enum Output {
    File(File),
    Pipe,
}

impl Recorder {
    /// Creates the file; its ending says the format.
    pub(super) fn create(path: &Path, description: Description) -> Result<Self, Error> {
        let name = path.display().to_string();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or("");
        let open = || File::create(path).map_err(|source| failed("create", &name, source));
        let sink = match ending {
            _ if name == PIPE => Sink::Waiting(Format::Webm, Some(Output::Pipe)),
            "ivf" => Sink::Waiting(Format::Ivf, Some(Output::File(open()?))),
            "y4m" => Sink::Y4m(y4m_writer(open()?, description, &name)?),
            "wav" => {
                let format = wav::Format { channels: description.audio_channels.max(1), ..wav::Format::MONO_48K };
                let writer = wav::Writer::new(BufWriter::new(open()?), format);
                Sink::Wav(writer.map_err(|error| media("write", &name, error))?)
            }
            _ => Sink::Waiting(Format::Webm, Some(Output::File(open()?))),
        };
        Ok(Self { name, description, sink })
    }

    /// Takes a decoded picture with the description and the bytes it came from. What keeps received bytes keeps the
    /// first description.
    pub(super) fn picture(&mut self, (description, unit): (u8, &Unit), frame: &Frame) -> Result<(), Error> {
        // Received bytes of one description only make sense beside each other.
        if description > 0 && !matches!(self.sink, Sink::Y4m(_)) {
            return Ok(());
        }
        if let Sink::Waiting(format, output) = &mut self.sink {
            if !unit.key {
                return Ok(());
            }
            if let Some(output) = output.take() {
                self.sink = begin(*format, output, unit, self.description, &self.name)?;
            }
        }
        let encoded = || EncodedUnit { data: unit.data.to_vec(), key: unit.key, pts_us: unit.pts_us };
        let written = match &mut self.sink {
            Sink::File(writer) => writer.write_video(&encoded()),
            Sink::Live(writer) => writer.write_video(&encoded()).and_then(|()| writer.flush()),
            Sink::Ivf(writer) => writer.write(&encoded()),
            Sink::Y4m(writer) => {
                let (width, height) = (u32::from(self.description.width), u32::from(self.description.height));
                // A Y4M file has one size, whatever layers arrive.
                let scaled = if frame.width() == width { None } else { Some(frame.scale_to(width, height)?) };
                writer.write(scaled.as_ref().unwrap_or(frame))
            }
            Sink::Waiting(..) | Sink::Wav(_) => Ok(()),
        };
        written.map_err(|error| media("write", &self.name, error))
    }

    /// Takes a packet of sound as it came.
    pub(super) fn sound(&mut self, packet: &[u8], pts_us: u64) -> Result<(), Error> {
        let packet = OpusPacket { data: packet.to_vec(), pts_us };
        let written = match &mut self.sink {
            Sink::File(writer) => writer.write_audio(&packet),
            Sink::Live(writer) => writer.write_audio(&packet),
            _ => Ok(()),
        };
        written.map_err(|error| media("write", &self.name, error))
    }

    /// Takes decoded sound.
    pub(super) fn pcm(&mut self, samples: &[i16]) -> Result<(), Error> {
        match &mut self.sink {
            Sink::Wav(writer) => writer.write(samples).map_err(|error| media("write", &self.name, error)),
            _ => Ok(()),
        }
    }

    /// Completes the file.
    pub(super) fn finish(self) -> Result<(), Error> {
        let finished = match self.sink {
            Sink::File(writer) => writer.finish(LAST_US).map(drop),
            Sink::Live(writer) => writer.finish().map(drop),
            Sink::Ivf(writer) => writer.finish().map(drop),
            Sink::Y4m(writer) => writer.finish().map(drop),
            Sink::Wav(writer) => writer.finish_file().map(drop),
            Sink::Waiting(..) => Ok(()),
        };
        finished.map_err(|error| media("complete", &self.name, error))
    }
}

/// Writes a picture as PNG.
pub(super) fn write_png(path: &Path, frame: &Frame) -> Result<(), Error> {
    let name = path.display().to_string();
    let file = File::create(path).map_err(|source| failed("create", &name, source))?;
    let mut out = BufWriter::new(file);
    png::write_frame(&mut out, frame).map_err(|error| media("write", &name, error))?;
    out.flush().map_err(|source| failed("write", &name, source))
}

/// Starts an encoded recording at its first key frame, which tells the decoder's configuration.
fn begin(format: Format, output: Output, unit: &Unit, description: Description, name: &str) -> Result<Sink, Error> {
    let track = VideoTrack::from_key_unit(&unit.data).map_err(|error| media("write", name, error))?;
    let sink = match (format, output) {
        (Format::Ivf, Output::File(file)) => ivf::Writer::new(BufWriter::new(file), &track).map(Sink::Ivf),
        (_, Output::File(file)) => {
            webm::FileWriter::new(BufWriter::new(file), &tracks(track, description)).map(Sink::File)
        }
        (_, Output::Pipe) => {
            webm::LiveWriter::new(BufWriter::new(std::io::stdout()), &tracks(track, description)).map(Sink::Live)
        }
    };
    sink.map_err(|error| media("write", name, error))
}

fn tracks(video: VideoTrack, description: Description) -> webm::Tracks {
    let channels = description.audio_channels;
    let audio = (channels > 0).then_some(AudioTrack { channels, pre_skip: PRE_SKIP, sample_rate_hz: 48_000 });
    webm::Tracks { video: Some(video), audio }
}

fn y4m_writer(file: File, description: Description, name: &str) -> Result<y4m::Writer<BufWriter<File>>, Error> {
    let rate = Rate::new(description.rate_num, description.rate_den).or(Rate::new(30, 1));
    let Some(rate) = rate else { return Err(Error::Parent("a stream without a frame rate")) };
    let header = y4m::Header { width: description.width.into(), height: description.height.into(), rate };
    y4m::Writer::new(BufWriter::new(file), header).map_err(|error| media("write", name, error))
}

fn failed(action: &'static str, path: &str, source: std::io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

fn media(action: &'static str, path: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    failed(action, path, std::io::Error::other(error))
}
