//! What the group key agreement is made of: the exporter and the KEM with its HPKE, on the provider that groups run on.

use edge_crypto::hash::{hkdf_sha256, hmac_sha256, sha256};
use edge_group::suite::{Context, epoch_dek, hpke_open};
use edge_wire::domain;
use libcrux_kem::{Algorithm, Ct, PrivateKey, PublicKey, key_gen_derand};
use openmls_libcrux_crypto::CryptoProvider;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{AeadType, HpkeAeadType, HpkeConfig, HpkeKdfType, HpkeKemType};

use crate::case::{Case, Reason, bad, must, same_bytes};

/// `KEM || KDF || AEAD` of the cipher suite's HPKE.
const SUITE: [u8; 6] = [0x64, 0x7a, 0x00, 0x01, 0x00, 0x03];
const CONFIG: HpkeConfig =
    HpkeConfig(HpkeKemType::XWingKemDraft6, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305);
const SECRET_LEN: u8 = 32;

pub(crate) fn mls_exporter(case: &Case<'_>) -> Result<(), Reason> {
    let context = case.bytes("context")?;
    case.expect_text("label_utf8", domain::EPOCH_DEK_EXPORTER)?;
    case.expect_bytes("context", &[])?;
    case.expect_number("length", u64::from(SECRET_LEN))?;

    let derive_info = labelled(case.text("label_utf8")?, &[])?;
    let derived = expand(&case.array("exporter_secret")?, &derive_info);
    let context_hash = sha256(&[&context]);
    let export_info = labelled("exported", &context_hash)?;
    case.expect_bytes_if_given("derive_secret_info", &derive_info)?;
    case.expect_bytes_if_given("derived_secret", &derived)?;
    case.expect_bytes_if_given("context_hash", &context_hash)?;
    case.expect_bytes_if_given("exported_info", &export_info)?;
    case.expect_bytes("epoch_dek", &expand(&derived, &export_info))?;
    let dek = must("the exporter", epoch_dek(&case.secret("exporter_secret")?))?;
    case.expect_bytes("epoch_dek", dek.secret().expose())
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

    let private = case.secret("sk")?;
    let info = case.bytes("hpke_info")?;
    let context = || Context { info: &info, aad: &aad };
    let opened = hpke_open(&private, &ciphertext, &case.bytes("hpke_ciphertext")?, context());
    same_bytes("opened plaintext", &plaintext, &must("opening", opened)?)?;
    let own = must("sealing to pk", provider.hpke_seal(CONFIG, &case.bytes("pk")?, &info, &aad, &plaintext))?;
    let opened = hpke_open(&private, own.kem_output.as_slice(), own.ciphertext.as_slice(), context());
    same_bytes("own sealed plaintext", &plaintext, &must("opening with sk", opened)?)
}

/// The KEM with the case's randomness, in both directions: ciphertext and shared secret.
fn kem(case: &Case<'_>) -> Result<(Vec<u8>, Vec<u8>), Reason> {
    let algorithm = Algorithm::XWingKemDraft06;

    let (_, public) = must("sk", key_gen_derand(algorithm, &case.bytes("sk")?).map_err(KemError))?;
    case.expect_bytes("pk", &public.encode())?;
    case.expect_digest_if_given("pk_sha256", &public.encode())?;

    let public = must("pk", PublicKey::decode(algorithm, &case.bytes("pk")?).map_err(KemError))?;
    let coins: [u8; 64] = case.array("encaps_seed_m_ekx")?;
    let (shared, ciphertext) = must("encapsulation", public.encapsulate_derand(&coins).map_err(KemError))?;
    case.expect_bytes("ct", &ciphertext.encode())?;
    case.expect_digest_if_given("ct_sha256", &ciphertext.encode())?;
    case.expect_bytes("ss", &shared.encode())?;

    let private = must("sk", PrivateKey::decode(algorithm, &case.bytes("sk")?).map_err(KemError))?;
    let received = must("ct", Ct::decode(algorithm, &case.bytes("ct")?).map_err(KemError))?;
    let opened = must("decapsulation", received.decapsulate(&private).map_err(KemError))?;
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

/// The `KDFLabel` of RFC 9420 §8 for a 32-byte secret.
fn labelled(label: &str, context: &[u8]) -> Result<Vec<u8>, Reason> {
    let label = [b"MLS 1.0 ", label.as_bytes()].concat();
    let wrong = || bad("label_utf8", "does not fit a KDF label");
    let short = |len: usize| u8::try_from(len).ok().filter(|len| *len < 64).ok_or_else(wrong);
    let (label_len, context_len) = (short(label.len())?, short(context.len())?);
    Ok([&u16::from(SECRET_LEN).to_be_bytes()[..], &[label_len], &label, &[context_len], context].concat())
}

/// HKDF-Expand to one block, which is one HMAC.
fn expand(secret: &[u8; 32], info: &[u8]) -> [u8; 32] {
    hmac_sha256(secret, &[info, &[1]])
}

/// The KEM library's error as one with a message.
#[derive(Debug, thiserror::Error)]
#[error("{0:?}")]
struct KemError(libcrux_kem::Error);
