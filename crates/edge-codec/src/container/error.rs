use std::fmt;
use std::io;

use crate::{audio, video};

/// Why a file or a pipe could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading or writing failed.
    #[error("input or output failed")]
    Io(#[from] io::Error),
    /// The input ends inside a structure.
    #[error("{format}: ends in the middle of {field}")]
    Truncated {
        /// The format.
        format: &'static str,
        /// What was being read.
        field: &'static str,
    },
    /// The input breaks a rule of its format.
    #[error("{format}: {rule}")]
    Malformed {
        /// The format.
        format: &'static str,
        /// The rule, as a phrase.
        rule: &'static str,
    },
    /// A length or count is above its bound.
    #[error("{format}: {field} of {got} is above the bound {bound}")]
    TooLong {
        /// The format.
        format: &'static str,
        /// What the length is of.
        field: &'static str,
        /// Value found.
        got: u64,
        /// Largest value that is accepted.
        bound: u64,
    },
    /// The input is sound but of a kind that this program does not take.
    #[error("{format}: {what} is not supported; {remedy}")]
    Unsupported {
        /// The format.
        format: &'static str,
        /// What was found, printable.
        what: String,
        /// What to do instead.
        remedy: Remedy,
    },
    /// A picture has sides that are not supported.
    #[error("picture size is not supported; {remedy}", remedy = Remedy::EvenSides)]
    Picture(#[source] video::Error),
    /// An Opus packet is malformed.
    #[error("the audio track holds a packet that is not Opus")]
    Audio(#[from] audio::Error),
}

/// What a person can do about an input that is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Remedy {
    /// Decode the video elsewhere.
    Y4m,
    /// Decode the audio elsewhere.
    Wav,
    /// Encode the audio as Opus and keep the video.
    Opus,
    /// Put the same streams into another container.
    Remux,
    /// Remove interlacing.
    Deinterlace,
    /// Round the sides.
    EvenSides,
    /// Use a file instead of a pipe.
    File,
    /// Say the size of raw pictures.
    RawFormat,
}

impl fmt::Display for Remedy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Y4m => "convert it: ffmpeg -i FILE -pix_fmt yuv420p -f yuv4mpegpipe - | edge publish -",
            Self::Wav => "convert it: ffmpeg -i FILE -ar 48000 -ac 2 -c:a pcm_s16le OUT.wav",
            Self::Opus => "convert its audio: ffmpeg -i FILE -c:v copy -c:a libopus -ac 2 OUT.webm",
            Self::Remux => "rewrite it: ffmpeg -i FILE -c copy OUT.webm",
            Self::Deinterlace => {
                "deinterlace it: ffmpeg -i FILE -vf yadif -pix_fmt yuv420p -f yuv4mpegpipe - | edge publish -"
            }
            Self::EvenSides => {
                "sides must be even, from 16x16 to 4096x2304: ffmpeg -i FILE -vf scale=1280:-2 -pix_fmt yuv420p \
                 -f yuv4mpegpipe - | edge publish -"
            }
            Self::File => "it cannot be read from a pipe: give the name of a file",
            Self::RawFormat => "for raw I420 give width, height and frame rate",
        })
    }
}

/// Makes text found in a file fit to be printed: graphic ASCII only, and short.
pub(super) fn printable(bytes: &[u8]) -> String {
    const MAX_PRINTED: usize = 32;
    let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
    bytes.iter().take(MAX_PRINTED).map(shown).collect()
}
