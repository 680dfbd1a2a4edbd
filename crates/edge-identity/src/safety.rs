//! Safety codes: thirty digits that two people compare to know that they are alone in the same group and epoch.
//!
//! Specified in `docs/spec/safety-code.md`.

use std::fmt;

use edge_crypto::hash::sha256;
use edge_wire::domain;

/// Groups of digits in a code.
pub const GROUPS: usize = 6;

const BYTES_PER_GROUP: usize = 5;
const GROUP_MODULUS: u64 = 100_000;

/// A group's code in one epoch; `Display` prints six groups of five digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SafetyCode([u32; GROUPS]);

/// The code of the epoch whose MLS epoch authenticator is given.
pub fn code(epoch_authenticator: &[u8]) -> SafetyCode {
    let digest = sha256(&[domain::SAFETY_CODE, epoch_authenticator]);
    let mut groups = [0; GROUPS];
    for (group, bytes) in groups.iter_mut().zip(digest.chunks_exact(BYTES_PER_GROUP)) {
        // 40 bits against 100 000 values: the bias is below one part in ten million.
        let value = bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        *group = u32::try_from(value % GROUP_MODULUS).unwrap_or_default();
    }
    SafetyCode(groups)
}

impl SafetyCode {
    /// The six groups as numbers below 100 000.
    pub fn groups(&self) -> &[u32; GROUPS] {
        &self.0
    }
}

impl fmt::Display for SafetyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, group) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(f, "{gap}{group:05}")?;
        }
        Ok(())
    }
}
