use super::{Cause, Error, OPUS_RATE_HZ, opus};

/// Longest packet that is decoded, in bytes: six 20 ms frames at the highest rate, with their lengths.
pub const MAX_PACKET_LEN: usize = 8 * 1024;
/// Longest sound in one packet, in µs.
pub const MAX_PACKET_US: u32 = 120_000;

/// One Opus packet as the encoder made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The packet, table of contents first.
    pub data: Vec<u8>,
    /// Length of its sound, in µs.
    pub duration_us: u32,
}

/// Length of a packet's sound in µs, as the packet itself says. A packet that is empty, too long or malformed is
/// [`Error::DecodeFailed`].
pub fn packet_duration_us(packet: &[u8]) -> Result<u32, Error> {
    check(packet).map_err(Error::DecodeFailed)?;
    let samples = opus::packet_samples(packet, OPUS_RATE_HZ).map_err(Error::DecodeFailed)?;
    Ok(micros(samples))
}

/// Whether a packet carries a copy of the frame before it; false for one that cannot be decoded.
pub fn has_fec(packet: &[u8]) -> bool {
    check(packet).and_then(|()| opus::packet_has_fec(packet)).unwrap_or(false)
}

/// Refuses a packet that the decoder would refuse by its lengths.
pub(super) fn check(packet: &[u8]) -> Result<(), Cause> {
    match packet.len() {
        0 => Err(Cause::Empty),
        len if len > MAX_PACKET_LEN => Err(Cause::TooLong { len }),
        _ => opus::packet_parse(packet).map(drop),
    }
}

fn micros(samples: usize) -> u32 {
    let micros = samples as u64 * 1_000_000 / u64::from(OPUS_RATE_HZ);
    u32::try_from(micros).unwrap_or(MAX_PACKET_US)
}
