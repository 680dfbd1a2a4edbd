use re_rav1d::dav1d::{self, PixelLayout, PlanarImageComponent};

use super::{Error, Frame, MAX_HEIGHT, MAX_WIDTH, obu};

/// Longest temporal unit that is decoded, in bytes.
pub const MAX_UNIT_BYTES: usize = 8 << 20;
/// Most pictures taken from the decoder for one unit.
const MAX_PICTURES: usize = 8;
const MAX_THREADS: u8 = 16;

/// An AV1 decoder of one stream: one temporal unit in, at most one picture out of the same call.
///
/// It shows the highest spatial layer that is in the unit, so a picture may be smaller than the one before. AV1 cannot
/// tell a missing reference from a present one: feed it only what [`Assembler`](super::Assembler) releases.
pub struct Decoder {
    inner: dav1d::Decoder,
    threads: u8,
    started: bool,
}

impl Decoder {
    /// Makes a decoder with 1 to 16 threads (others are clamped); with 1 it decodes on the caller's thread. Fails with
    /// [`Error::DecodeFailed`] when the library refuses.
    pub fn new(threads: u8) -> Result<Self, Error> {
        let threads = threads.clamp(1, MAX_THREADS);
        Ok(Self { inner: open(threads)?, threads, started: false })
    }

    /// Decodes one temporal unit, that is the layer frames of one picture one after the other, lowest first.
    ///
    /// After an error, and at the start, units are refused with [`Error::NeedsKeyFrame`] until a key frame comes.
    pub fn decode(&mut self, unit: &[u8], pts_us: u64) -> Result<Vec<Frame>, Error> {
        if unit.is_empty() || unit.len() > MAX_UNIT_BYTES {
            return Err(Error::UnitLength { len: unit.len() });
        }
        if !self.started && !obu::has_sequence_header(unit) {
            return Err(Error::NeedsKeyFrame);
        }
        self.started = true;
        self.feed(unit, pts_us).inspect_err(|_| self.reset())
    }

    /// Takes out whatever pictures are left, at the end of the stream. Nothing is thrown away.
    pub fn flush(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        while frames.len() < MAX_PICTURES
            && let Ok(picture) = self.inner.get_picture()
        {
            frames.extend(copy(&picture).ok());
        }
        frames
    }

    /// Whether only a key frame can be decoded now.
    pub fn needs_key_frame(&self) -> bool {
        !self.started
    }

    fn feed(&mut self, unit: &[u8], pts_us: u64) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::new();
        let time = i64::try_from(pts_us).unwrap_or(i64::MAX);
        let mut sent = self.inner.send_data(unit.to_vec(), None, Some(time), None);
        for _ in 0..MAX_PICTURES {
            match self.inner.get_picture() {
                Ok(picture) => frames.push(copy(&picture)?),
                Err(dav1d::Error::Again) if sent.is_ok() => return Ok(frames),
                Err(dav1d::Error::Again) => {}
                Err(error) => return Err(Error::DecodeFailed(error)),
            }
            sent = match sent {
                Err(dav1d::Error::Again) => self.inner.send_pending_data(),
                Err(error) => return Err(Error::DecodeFailed(error)),
                Ok(()) => Ok(()),
            };
        }
        Err(Error::DecodeFailed(dav1d::Error::Again))
    }

    /// A decoder that failed is replaced: its references cannot be trusted.
    fn reset(&mut self) {
        self.started = false;
        if let Ok(fresh) = open(self.threads) {
            self.inner = fresh;
        }
    }
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Decoder").field("started", &self.started).finish_non_exhaustive()
    }
}

fn open(threads: u8) -> Result<dav1d::Decoder, Error> {
    let mut settings = dav1d::Settings::new();
    settings.set_n_threads(threads.into());
    settings.set_max_frame_delay(1);
    settings.set_operating_point(0);
    settings.set_all_layers(false);
    settings.set_apply_grain(true);
    settings.set_frame_size_limit(MAX_WIDTH * MAX_HEIGHT);
    dav1d::Decoder::with_settings(&settings).map_err(Error::DecodeFailed)
}

/// Copies the visible rows out; a picture of odd size loses its last column or row.
fn copy(picture: &dav1d::Picture) -> Result<Frame, Error> {
    if picture.bit_depth() != 8 || picture.pixel_layout() != PixelLayout::I420 {
        return Err(Error::UnsupportedPicture);
    }
    let (width, height) = (picture.width() & !1, picture.height() & !1);
    let (columns, rows) = (width as usize, height as usize);
    let mut data = Vec::with_capacity(columns * rows / 2 * 3);
    for (component, columns, rows) in [
        (PlanarImageComponent::Y, columns, rows),
        (PlanarImageComponent::U, columns / 2, rows / 2),
        (PlanarImageComponent::V, columns / 2, rows / 2),
    ] {
        let stride = picture.stride(component) as usize;
        let plane = picture.plane(component);
        plane
            .chunks(stride.max(1))
            .take(rows)
            .for_each(|row| data.extend_from_slice(row.get(..columns).unwrap_or(&[])));
    }
    let pts_us = picture.timestamp().and_then(|time| u64::try_from(time).ok()).unwrap_or_default();
    Ok(Frame::new(width, height, data)?.at(pts_us, 0))
}
