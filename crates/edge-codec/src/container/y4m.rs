//! Y4M: uncompressed 8-bit 4:2:0 pictures, through pipes too.

use std::io::{Read, Write};

use super::error::printable;
use super::input::Input;
use super::{Error, Rate, Remedy};
use crate::video::Frame;

/// First bytes of a Y4M stream.
pub const MAGIC: &[u8] = b"YUV4MPEG2";
/// Longest header line, in bytes.
pub const MAX_HEADER_LEN: usize = 1_024;

const FORMAT: &str = "Y4M";
const FRAME: &[u8] = b"FRAME";

/// Reads pictures one by one.
pub struct Reader<R> {
    input: Input<R>,
    header: Header,
    next_frame: u64,
}

/// What a stream's first line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Luma columns.
    pub width: u32,
    /// Luma rows.
    pub height: u32,
    /// Frames a second.
    pub rate: Rate,
}

impl<R: Read> Reader<R> {
    /// Reads the header. Chroma other than 8-bit 4:2:0 and interlaced pictures are [`Error::Unsupported`], sides that
    /// no picture has [`Error::Picture`].
    pub fn new(reader: R) -> Result<Self, Error> {
        let mut input = Input::new(FORMAT, reader);
        let line = read_line(&mut input, MAX_HEADER_LEN)?.ok_or(input.truncated("the header"))?;
        let header = Header::parse(&line)?;
        Frame::black(header.width, header.height).map_err(Error::Picture)?;
        Ok(Self { input, header, next_frame: 0 })
    }

    /// Size and rate.
    pub fn header(&self) -> Header {
        self.header
    }

    /// The next picture at its time in the stream; none at a clean end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        let Some(line) = read_line(&mut self.input, MAX_HEADER_LEN)? else { return Ok(None) };
        if line.split(|byte| *byte == b' ').next() != Some(FRAME) {
            return Err(self.input.malformed("a picture must begin with FRAME"));
        }
        let Header { width, height, rate } = self.header;
        let data = super::raw::read_i420(&mut self.input, width, height)?.ok_or(self.input.truncated("a picture"))?;
        let frame = Frame::new(width, height, data).map_err(Error::Picture)?;
        let pts_us = rate.time_us(self.next_frame);
        self.next_frame += 1;
        Ok(Some(frame.at(pts_us, 0)))
    }
}

impl Header {
    fn parse(line: &[u8]) -> Result<Self, Error> {
        let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        if words.next() != Some(MAGIC) {
            return Err(malformed("a stream must begin with YUV4MPEG2"));
        }
        let (mut width, mut height, mut rate) = (None, None, None);
        for word in words {
            let Some((tag, value)) = word.split_first() else { continue };
            match tag {
                b'W' => width = number(value),
                b'H' => height = number(value),
                b'F' => rate = fraction(value),
                b'I' => check_progressive(value)?,
                b'C' => check_chroma(value)?,
                _ => {}
            }
        }
        Ok(Self {
            width: width.ok_or(malformed("the header must hold a width"))?,
            height: height.ok_or(malformed("the header must hold a height"))?,
            rate: rate.ok_or(malformed("the header must hold a frame rate above 0"))?,
        })
    }
}

fn check_progressive(value: &[u8]) -> Result<(), Error> {
    match value {
        b"p" | b"?" => Ok(()),
        _ => Err(unsupported("interlaced video".into(), Remedy::Deinterlace)),
    }
}

fn check_chroma(value: &[u8]) -> Result<(), Error> {
    match value {
        b"420" | b"420jpeg" | b"420mpeg2" | b"420paldv" => Ok(()),
        other => Err(unsupported(format!("chroma {}", printable(other)), Remedy::Y4m)),
    }
}

fn number(value: &[u8]) -> Option<u32> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn fraction(value: &[u8]) -> Option<Rate> {
    let colon = value.iter().position(|byte| *byte == b':')?;
    Rate::new(number(value.get(..colon)?)?, number(value.get(colon + 1..)?)?)
}

/// A line without its end; none at a clean end.
fn read_line<R: Read>(input: &mut Input<R>, bound: usize) -> Result<Option<Vec<u8>>, Error> {
    let mut line = Vec::new();
    loop {
        match input.array_or_end("a line")? {
            None if line.is_empty() => return Ok(None),
            None => return Err(input.truncated("a line")),
            Some([b'\n']) => return Ok(Some(line)),
            Some(_) if line.len() == bound => {
                let (field, bound) = ("a line", bound as u64);
                return Err(Error::TooLong { format: FORMAT, field, got: bound + 1, bound });
            }
            Some([byte]) => line.push(byte),
        }
    }
}

/// Writes pictures one by one.
pub struct Writer<W> {
    out: W,
    header: Header,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    pub fn new(mut out: W, header: Header) -> Result<Self, Error> {
        let Header { width, height, rate } = header;
        writeln!(out, "YUV4MPEG2 W{width} H{height} F{}:{} Ip A1:1 C420jpeg", rate.num(), rate.den())?;
        Ok(Self { out, header })
    }

    /// Writes one picture; one of another size is scaled to the stream's.
    pub fn write(&mut self, frame: &Frame) -> Result<(), Error> {
        let scaled = frame.scale_to(self.header.width, self.header.height).map_err(Error::Picture)?;
        self.out.write_all(b"FRAME\n")?;
        self.out.write_all(scaled.i420())?;
        Ok(())
    }

    /// Flushes and gives the output back.
    pub fn finish(mut self) -> Result<W, Error> {
        self.out.flush()?;
        Ok(self.out)
    }
}

fn malformed(rule: &'static str) -> Error {
    Error::Malformed { format: FORMAT, rule }
}

fn unsupported(what: String, remedy: Remedy) -> Error {
    Error::Unsupported { format: FORMAT, what, remedy }
}
