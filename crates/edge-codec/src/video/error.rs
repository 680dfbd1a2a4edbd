use re_rav1d::dav1d;

/// Why a picture could not be made, encoded or decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field of the configuration is out of bounds.
    #[error("video configuration: {field} must be {requirement}")]
    InvalidConfig {
        /// The field.
        field: &'static str,
        /// What it must be.
        requirement: &'static str,
    },
    /// A picture's size or its bytes do not make an I420 picture.
    #[error("picture: {width}x{height} with {len} bytes is not I420 with even sides from 16x16 to 4096x2304")]
    InvalidFrame {
        /// Luma columns.
        width: u32,
        /// Luma rows.
        height: u32,
        /// Bytes given for the three planes.
        len: usize,
    },
    /// The picture has another size than the encoder.
    #[error("encode: expected {expected_w}x{expected_h}, got {actual_w}x{actual_h}")]
    DimensionsMismatch {
        /// Columns that the encoder was made for.
        expected_w: u32,
        /// Rows that the encoder was made for.
        expected_h: u32,
        /// Columns of the picture.
        actual_w: u32,
        /// Rows of the picture.
        actual_h: u32,
    },
    /// Presentation times must ascend.
    #[error("encode: presentation time {pts_us} µs does not follow {previous_us} µs")]
    TimeNotAscending {
        /// The picture's time.
        pts_us: u64,
        /// The time of the picture before.
        previous_us: u64,
    },
    /// The AV1 encoder library refused.
    #[error("encode: the AV1 library failed; the next picture will be a key frame")]
    EncodeFailed(#[source] AomFailure),
    /// The bytes are not AV1 that the decoder accepts; feed it a key frame next.
    #[error("decode: the AV1 data is damaged or not supported; decoding resumes at the next key frame")]
    DecodeFailed(#[source] dav1d::Error),
    /// The picture is not 8-bit 4:2:0; feed the decoder a key frame next.
    #[error("decode: only 8-bit 4:2:0 pictures are supported")]
    UnsupportedPicture,
    /// A temporal unit is empty or too long.
    #[error("decode: a temporal unit of {len} bytes is out of bounds")]
    UnitLength {
        /// Its bytes.
        len: usize,
    },
    /// The decoder has nothing to predict from; feed it a key frame.
    #[error("decode: waiting for a key frame")]
    NeedsKeyFrame,
}

/// A call into the AV1 encoder library that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call} returned status {status}")]
pub struct AomFailure {
    /// The library function or control.
    pub call: &'static str,
    /// Its `aom_codec_err_t`; 0 = it succeeded but produced no packet.
    pub status: u32,
}
