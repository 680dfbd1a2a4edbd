use super::Split;
use crate::video::{Encoder, EncoderConfig, Error, Frame, LayerFrame, Recovery};

/// One encoded picture of a stream that is cut into descriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// Number of the picture in the whole stream.
    pub number: u64,
    /// The description that has it.
    pub description: u8,
    /// Its layers; their numbers, unit ids and references count within the description.
    pub layers: Vec<LayerFrame>,
}

/// One encoder for each description; together they keep to the rate of one.
#[derive(Debug)]
pub struct Encoders {
    split: Split,
    encoders: Vec<Encoder>,
    next: u64,
}

impl Encoders {
    /// Makes the encoders of a stream whose total is `config`: each gets its share of bit rate and frame rate, and the
    /// first picture of each is a key frame. Fails as [`Encoder::new`], bounds counting for each share.
    pub fn new(config: &EncoderConfig, split: Split) -> Result<Self, Error> {
        let count = u64::from(split.count());
        let counter = config.first_frame_number.div_ceil(count);
        let (num, den) = config.frame_rate;
        let share = EncoderConfig {
            bitrate_kbps: config.bitrate_kbps / u32::from(split.count()),
            frame_rate: (num, den.saturating_mul(split.count().into())),
            first_frame_number: counter,
            ..config.clone()
        };
        let encoders = (0..split.count()).map(|_| Encoder::new(share.clone())).collect::<Result<_, _>>()?;
        Ok(Self { split, encoders, next: counter.saturating_mul(count) })
    }

    /// Encodes one picture in the description whose turn it is. Fails as [`Encoder::encode`]; a picture that the
    /// library failed on has used up its turn.
    pub fn encode(&mut self, frame: &Frame) -> Result<Described, Error> {
        let (number, description) = (self.next, self.split.description(self.next));
        let Some(encoder) = self.encoders.get_mut(usize::from(description)) else {
            return Err(Error::InvalidConfig { field: "descriptions", requirement: "1, 2 or 4" });
        };
        let before = encoder.next_frame_number();
        let layers = encoder.encode(frame);
        self.next += u64::from(encoder.next_frame_number() != before);
        Ok(Described { number, description, layers: layers? })
    }

    /// Makes the next picture of `description` one to recover with; the others go on undisturbed. A description that
    /// the stream does not have is ignored.
    pub fn request(&mut self, description: u8, recovery: Recovery) {
        if let Some(encoder) = self.encoders.get_mut(usize::from(description)) {
            encoder.request(recovery);
        }
    }

    /// Changes the rate of all descriptions together, in kbit/s; fails as [`Encoder::set_bitrate`], before any changed
    /// if the share is out of bounds.
    pub fn set_bitrate(&mut self, bitrate_kbps: u32) -> Result<(), Error> {
        let share = bitrate_kbps / u32::from(self.split.count());
        self.encoders.iter_mut().try_for_each(|encoder| encoder.set_bitrate(share))
    }

    /// How the stream is cut.
    pub fn split(&self) -> Split {
        self.split
    }

    /// Number of the next picture in the whole stream.
    pub fn next_number(&self) -> u64 {
        self.next
    }
}
