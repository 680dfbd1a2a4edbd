//! The one ciphersuite, its derivations, and what of them a vector checker needs.

use edge_crypto::Secret;
use edge_seal::EpochDek;
use edge_wire::{Writer, domain};
use openmls::prelude::{Ciphersuite, OpenMlsCrypto};
use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::types::{HashType, HpkeCiphertext};
use zeroize::Zeroize;

use crate::Error;

/// X-Wing, ChaCha20-Poly1305, SHA-256, Ed25519.
pub const MLS_CIPHERSUITE_XWING_ID: u16 = 0x004d;

pub(crate) const SUITE: Ciphersuite = Ciphersuite::MLS_256_XWING_CHACHA20POLY1305_SHA256_Ed25519;

/// Bytes of an X-Wing public key.
pub(crate) const XWING_PUBLIC_LEN: usize = 1216;

const SECRET_LEN: u16 = 32;

/// The epoch key as MLS defines it from an epoch's exporter secret. Sessions get the same bytes from the library.
pub fn epoch_dek(exporter_secret: &Secret<32>) -> Result<EpochDek, Error> {
    let crypto = crypto()?;
    let derived = expand_with_label(&crypto, exporter_secret.expose(), domain::EPOCH_DEK_EXPORTER, &[])?;
    let context = edge_crypto::hash::sha256(&[]);
    expand_with_label(&crypto, derived.expose(), "exported", &context).map(EpochDek::new)
}

/// Opens a single-shot HPKE message of the suite.
pub fn hpke_open(
    private: &Secret<32>,
    kem_output: &[u8],
    sealed: &[u8],
    context: Context<'_>,
) -> Result<Vec<u8>, Error> {
    let input = HpkeCiphertext { kem_output: kem_output.into(), ciphertext: sealed.into() };
    crypto()?
        .hpke_open(SUITE.hpke_config(), &input, private.expose(), context.info, context.aad)
        .map_err(|_| edge_crypto::Error::Aead.into())
}

/// What an HPKE message is bound to.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Key schedule info.
    pub info: &'a [u8],
    /// Additional data of the AEAD.
    pub aad: &'a [u8],
}

fn crypto() -> Result<CryptoProvider, Error> {
    CryptoProvider::new().map_err(|_| Error::CiphersuiteNotAvailable)
}

fn expand_with_label(
    crypto: &CryptoProvider,
    secret: &[u8; 32],
    label: &str,
    context: &[u8],
) -> Result<Secret<32>, Error> {
    let label = [b"MLS 1.0 ", label.as_bytes()].concat();
    let mut info = Writer::new();
    info.u16(SECRET_LEN).raw(&short_vector(&label)?).raw(&short_vector(context)?);
    let out = crypto
        .hkdf_expand(HashType::Sha2_256, secret, &info.finish(), SECRET_LEN.into())
        .map_err(|error| Error::ExportFailed(Error::cause(error)))?;
    secret32(out.as_slice().to_vec())
}

/// An MLS variable-length vector short enough for a one-byte length.
fn short_vector(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    const BOUND: usize = 63;
    match u8::try_from(bytes.len()) {
        Ok(len) if bytes.len() <= BOUND => Ok([&[len], bytes].concat()),
        _ => Err(edge_wire::Error::TooLong { field: "label", got: bytes.len(), bound: BOUND }.into()),
    }
}

/// Takes over an exported secret and wipes the copy.
pub(crate) fn secret32(mut bytes: Vec<u8>) -> Result<Secret<32>, Error> {
    let secret = Secret::from_slice(&bytes);
    bytes.zeroize();
    secret.ok_or_else(|| Error::ExportFailed(Error::cause(edge_crypto::Error::Key("epoch"))))
}
