use super::Decoder;

/// Longest run of lost sound that is filled with a guess, in µs; then comes silence.
pub const MAX_CONCEALED_US: u32 = 120_000;

/// Fills a run of lost frames: the codec's guess for [`MAX_CONCEALED_US`], one frame that fades out, then silence.
#[derive(Debug, Default)]
pub struct Concealer {
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Sound,
    Guessing {
        done_us: u32,
    },
    Silent,
}

/// What filled a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Concealed {
    /// The codec's guess of how the sound goes on.
    Guess,
    /// Zeros.
    Silence,
}

impl Concealer {
    /// Tells that real sound was played: the next hole starts anew.
    pub fn sound(&mut self) {
        self.state = State::Sound;
    }

    /// The next `micros` of the hole, a whole number of 2.5 ms steps and at most 120 ms. Silence when the codec fails.
    pub fn next(&mut self, decoder: &mut Decoder, micros: u32) -> (Vec<i16>, Concealed) {
        let done_us = match self.state {
            State::Sound => 0,
            State::Guessing { done_us } => done_us,
            State::Silent => return (silence(decoder, micros), Concealed::Silence),
        };
        let Ok(mut pcm) = decoder.conceal_us(micros) else {
            return (silence(decoder, micros), Concealed::Silence);
        };
        if done_us >= MAX_CONCEALED_US {
            fade_out(&mut pcm, usize::from(decoder.channels()));
            self.state = State::Silent;
        } else {
            self.state = State::Guessing { done_us: done_us.saturating_add(micros) };
        }
        (pcm, Concealed::Guess)
    }
}

fn silence(decoder: &Decoder, micros: u32) -> Vec<i16> {
    vec![0; super::config::samples(micros, decoder.sample_rate_hz()) * usize::from(decoder.channels())]
}

fn fade_out(pcm: &mut [i16], channels: usize) {
    let blocks = (pcm.len() / channels).max(1) as i64;
    for (at, block) in pcm.chunks_mut(channels).enumerate() {
        let left = (blocks - 1 - at as i64).max(0);
        block.iter_mut().for_each(|sample| *sample = (i64::from(*sample) * left / blocks) as i16);
    }
}
