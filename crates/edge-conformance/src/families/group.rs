//! What the group key agreement is made of: the exporter and the KEM with its HPKE, on the provider that groups run on.

use edge_crypto::hash::{hkdf_sha256, hmac_sha256, sha256};
use edge_wire::domain;
use libcrux_kem::{Algorithm, Ct, PrivateKey, PublicKey, key_gen_derand};
use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{AeadType, HashType, HpkeAeadType, HpkeCiphertext, HpkeConfig, HpkeKdfType, HpkeKemType};

use crate::case::{Case, Reason, bad, must, same_bytes};

/// `KEM || KDF || AEAD` of the cipher suite's HPKE.
const SUITE: [u8; 6] = [0x64, 0x7a, 0x00, 0x01, 0x00, 0x03];
const CONFIG: HpkeConfig =
    HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305);
/// Longest secret that an exporter case may ask for, in bytes.
const EXPORT_LEN_MAX: usize = 255 * 32;

pub(crate) fn mls_exporter(case: &Case<'_>) -> Result<(), Reason> {
    let provider = must("crypto provider", CryptoProvider::new())?;
    let (label, context, len) = (case.text("label_utf8")?, case.bytes("context")?, case.size("length")?);
    case.expect_text("label_utf8", domain::EPOCH_DEK_EXPORTER)?;
    if len > EXPORT_LEN_MAX {
        return Err(bad("length", "is more than HKDF gives"));
    }
    let expand = |secret: &[u8], info: &[u8], len: usize| {
        let okm = provider.hkdf_expand(HashType::Sha2_256, secret, info, len);
        must("HKDF-Expand", okm).map(|okm| okm.as_slice().to_vec())
    };

    let derive_info = labelled(label, &[], 32)?;
    let derived = expand(&case.bytes("exporter_secret")?, &derive_info, 32)?;
    let context_hash = sha256(&[&context]);
    let export_info = labelled("exported", &context_hash, len)?;
    case.expect_bytes_if_given("derive_secret_info", &derive_info)?;
    case.expect_bytes_if_given("derived_secret", &derived)?;
    case.expect_bytes_if_given("context_hash", &context_hash)?;
    case.expect_bytes_if_given("exported_info", &export_info)?;
    case.expect_bytes("epoch_dek", &expand(&derived, &export_info, len)?)
}

pub(crate) fn xwing_hpke(case: &Case<'_>) -> Result<(), Reason> {
    let (ciphertext, shared) = kem(case)?;
    let (key, nonce) = key_schedule(&shared, &case.bytes("hpke_info")?)?;
    case.expect_bytes("hpke_suite_id", &SUITE)?;
    case.expect_bytes("hpke_key", &key)?;
    case.expect_bytes("hpke_base_nonce", &nonce)?;

    let provider = must("crypto provider", CryptoProvider::new())?;
    let (aad, plaintext) = (case.bytes("hpke_aad")?, case.bytes("hpke_plaintext")?);
    let sealed = provider.aead_encrypt(AeadType::ChaCha20Poly1305, &key, &plaintext, &nonce, &aad);
    case.expect_bytes("hpke_ciphertext", &must("sealing", sealed)?)?;

    let input =
        HpkeCiphertext { kem_output: ciphertext.into(), ciphertext: case.bytes("hpke_ciphertext")?.into() };
    let opened = provider.hpke_open(CONFIG, &input, &case.bytes("sk")?, &case.bytes("hpke_info")?, &aad);
    same_bytes("opened plaintext", &plaintext, &must("opening", opened)?)?;
    let own = provider.hpke_seal(CONFIG, &case.bytes("pk")?, &case.bytes("hpke_info")?, &aad, &plaintext);
    let own = provider.hpke_open(CONFIG, &must("sealing to pk", own)?, &case.bytes("sk")?, &case.bytes("hpke_info")?, &aad);
    same_bytes("own sealed plaintext", &plaintext, &must("opening with sk", own)?)
}

/// The KEM with the case's randomness, in both directions: ciphertext and shared secret.
fn kem(case: &Case<'_>) -> Result<(Vec<u8>, Vec<u8>), Reason> {
    let algorithm = Algorithm::XWingKemDraft06;
    let refused = |what: &str, error| must(what, Err::<(), _>(KemError(error))).err();
    let fail = |what: &'static str| move |error| refused(what, error).unwrap_or_else(|| bad(what, "failed"));

    let (_, public) = key_gen_derand(algorithm, &case.bytes("sk")?).map_err(fail("sk"))?;
    case.expect_bytes("pk", &public.encode())?;
    case.expect_digest_if_given("pk_sha256", &public.encode())?;

    let public = PublicKey::decode(algorithm, &case.bytes("pk")?).map_err(fail("pk"))?;
    let coins: [u8; 64] = case.array("encaps_seed_m_ekx")?;
    let (shared, ciphertext) = public.encapsulate_derand(&coins).map_err(fail("encapsulation"))?;
    case.expect_bytes("ct", &ciphertext.encode())?;
    case.expect_digest_if_given("ct_sha256", &ciphertext.encode())?;
    case.expect_bytes("ss", &shared.encode())?;

    let private = PrivateKey::decode(algorithm, &case.bytes("sk")?).map_err(fail("sk"))?;
    let received = Ct::decode(algorithm, &case.bytes("ct")?).map_err(fail("ct"))?;
    let opened = received.decapsulate(&private).map_err(fail("decapsulation"))?;
    case.expect_bytes("ss", &opened.encode())?;
    Ok((ciphertext.encode(), shared.encode()))
}

/// RFC 9180 §5.1 in base mode, by HKDF alone, so that a provider with another suite id is found out.
fn key_schedule(shared: &[u8], info: &[u8]) -> Result<([u8; 32], [u8; 12]), Reason> {
    let extract = |label: &[u8], ikm: &[u8]| hmac_sha256(&[], &[b"HPKE-v1HPKE", &SUITE, label, ikm]);
    let context = [&[0][..], &extract(b"psk_id_hash", &[]), &extract(b"info_hash", info)].concat();
    let secret_ikm = [b"HPKE-v1HPKE", &SUITE[..], b"secret"].concat();
    let info = |label: &'static [u8], len: u8| [&[0, len], &b"HPKE-v1HPKE"[..], &SUITE, label, &context].concat();
    let key = must("key", hkdf_sha256::<32>(&secret_ikm, shared, &[&info(b"key", 32)]))?;
    let nonce = must("base_nonce", hkdf_sha256::<12>(&secret_ikm, shared, &[&info(b"base_nonce", 12)]))?;
    Ok((*key.expose(), *nonce.expose()))
}

/// The `KDFLabel` of RFC 9420 §8.
fn labelled(label: &str, context: &[u8], len: usize) -> Result<Vec<u8>, Reason> {
    let label = [b"MLS 1.0 ", label.as_bytes()].concat();
    let wrong = || bad("label_utf8", "does not fit a KDF label");
    let short = |len: usize| u8::try_from(len).ok().filter(|len| *len < 64).ok_or_else(wrong);
    let len = u16::try_from(len).map_err(|_| bad("length", "is more than a KDF label holds"))?;
    Ok([&len.to_be_bytes()[..], &[short(label.len())?], &label, &[short(context.len())?], context].concat())
}

/// The KEM library's error as one with a message.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct KemError(libcrux_kem::Error);
