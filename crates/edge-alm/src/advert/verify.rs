//! Verification: the only way from a received advertisement to one that may be planned with.

use std::sync::Arc;

use edge_crypto::sign::{Signature, VerifyingKey};
use edge_identity::PublicBundle;
use edge_wire::id::{Epoch, Fingerprint, KeyId};

use super::canonical::rounded_mbps;
use super::{Advert, Error, Extended, Extension, Layout, Statement, json};

/// What the directory holds under the advertiser's name.
#[derive(Debug, Clone, Copy)]
pub enum PublicKeys<'a> {
    /// The bundle of one of our peers; the only kind that authenticates an [`Extension`].
    Bundle(&'a PublicBundle),
    /// Both signing keys and no more.
    Hybrid(&'a VerifyingKey),
    /// No ML-DSA-65 key, which verifies nothing.
    Ed25519Only,
}

/// An advertisement that its advertiser signed. Freshness is another matter: see
/// [`Capacity::check_time`](super::Capacity::check_time).
#[derive(Debug, Clone, PartialEq)]
pub struct Verified {
    statement: Statement,
    extension: Option<Extension>,
    json: Arc<[u8]>,
    digest: [u8; 32],
}

/// All that a signature in the narrow layout says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Narrow {
    /// Name of the relay's federation identity.
    pub advertiser: KeyId,
    /// Its uplink in whole Mbit/s.
    pub uplink_mbps: u32,
    /// The epoch.
    pub epoch: Epoch,
}

impl Advert {
    /// Verifies a signature in the wide layout and, with a bundle, the extension's.
    pub fn verify(self, keys: PublicKeys<'_>) -> Result<Verified, Error> {
        let key = self.signing_keys(keys)?;
        let signature = self.signature()?;
        let extended = match (keys, &self.extension) {
            (PublicKeys::Bundle(bundle), Some(extended)) => Some((bundle.fingerprint(), extended)),
            _ => None,
        };
        // The Ed25519 halves are cheap: all of them come before any ML-DSA-65 half.
        let ours = extended.map(|(who, extended)| extended.check_classical(who, &self.statement, key)).transpose()?;
        check(key, &Layout::CapV2Wide.canonical(&self.statement)?, &signature)?;
        if let Some((preimage, signature)) = &ours {
            check(key, preimage, signature)?;
        }
        let digest = self.digest();
        let extension = self.extension.filter(|_| ours.is_some()).map(|extended| extended.extension);
        Ok(Verified { statement: self.statement, extension, json: self.json, digest })
    }

    /// Verifies a signature in the narrow layout. What the layout leaves out is not in the result.
    pub fn verify_narrow(self, keys: PublicKeys<'_>) -> Result<Narrow, Error> {
        let key = self.signing_keys(keys)?;
        check(key, &Layout::CapV2Narrow.canonical(&self.statement)?, &self.signature()?)?;
        let Statement { advertiser, capacity, epoch, .. } = self.statement;
        Ok(Narrow { advertiser, uplink_mbps: rounded_mbps(capacity.uplink_mbps), epoch })
    }

    /// Both halves of the signature.
    pub fn signature(&self) -> Result<Signature, Error> {
        let halves = [json::decode(&self.signature.ed25519)?, json::decode(&self.signature.ml_dsa)?];
        match halves[0].len() == edge_crypto::sign::ED25519_SIGNATURE_LEN {
            true => Signature::from_slice(&halves.concat()).map_err(|_| Error::SignatureInvalid),
            false => Err(Error::SignatureInvalid),
        }
    }

    fn signing_keys<'k>(&self, keys: PublicKeys<'k>) -> Result<&'k VerifyingKey, Error> {
        match keys {
            PublicKeys::Bundle(bundle) if bundle.key_id() == &self.statement.advertiser => Ok(bundle.verifying()),
            PublicKeys::Bundle(_) => Err(Error::SignatureInvalid),
            PublicKeys::Hybrid(key) => Ok(key),
            PublicKeys::Ed25519Only => Err(Error::PqcPubkeyMissing),
        }
    }
}

impl Extended {
    /// Checks the Ed25519 half; gives what the whole signature is over, and the signature.
    fn check_classical(
        &self,
        advertiser: Fingerprint,
        statement: &Statement,
        key: &VerifyingKey,
    ) -> Result<(Vec<u8>, Signature), Error> {
        let preimage = self.extension.preimage(advertiser, statement)?;
        let signature = json::decode(&self.signature)?;
        let signature = Signature::from_slice(&signature).map_err(|_| Error::SignatureInvalid)?;
        key.verify_ed25519(&preimage, &signature.ed25519).map_err(|_| Error::SignatureInvalid)?;
        Ok((preimage, signature))
    }
}

impl Verified {
    /// Who says what.
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// What one of our peers added; `None` also when it could not be verified.
    pub fn extension(&self) -> Option<&Extension> {
        self.extension.as_ref()
    }

    /// The JSON form exactly as it was received, to be passed on.
    pub fn json(&self) -> &Arc<[u8]> {
        &self.json
    }

    /// SHA-256 over the JSON form.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }
}

/// Both halves, and no Ed25519 key or commitment of small order: under such a key one signature fits many messages.
fn check(key: &VerifyingKey, message: &[u8], signature: &Signature) -> Result<(), Error> {
    let commitment = signature.ed25519.first_chunk();
    if is_small_order(key.ed25519()) || commitment.is_none_or(is_small_order) {
        return Err(Error::SignatureInvalid);
    }
    key.verify(message, signature).map_err(|_| Error::SignatureInvalid)
}

/// Whether 32 bytes encode, canonically or not, one of the eight points of small order.
fn is_small_order(point: &[u8; 32]) -> bool {
    /// The y coordinates of the two pairs of order eight.
    const ORDER_EIGHT: [[u8; 32]; 2] = [
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ];
    let [first, middle @ .., last] = point;
    let last = last & 0x7f;
    let same = |[f, m @ .., l]: &[u8; 32]| f == first && m == middle && *l == last;
    let low = *first <= 1 && last == 0 && middle.iter().all(|byte| *byte == 0);
    let high = (0xec..=0xee).contains(first) && last == 0x7f && middle.iter().all(|byte| *byte == 0xff);
    low || high || ORDER_EIGHT.iter().any(same)
}

#[cfg(test)]
mod tests {
    use data_encoding::HEXLOWER;

    use super::is_small_order;

    #[test]
    fn points_of_small_order_are_known_with_either_sign() {
        let known = [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ];
        for text in known {
            let mut point: [u8; 32] = HEXLOWER.decode(text.as_bytes()).unwrap().try_into().unwrap();
            assert!(is_small_order(&point), "{text}");
            point[31] |= 0x80;
            assert!(is_small_order(&point), "{text} with the other sign");
            point[15] ^= 1;
            assert!(!is_small_order(&point), "{text} changed");
        }
        let mut base = [0x66; 32];
        base[0] = 0x58;
        assert!(!is_small_order(&base));
    }
}
