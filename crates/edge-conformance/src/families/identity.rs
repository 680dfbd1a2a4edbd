//! Addresses, attestations, hybrid signatures and key grants.

use edge_crypto::hash::sha256;
use edge_crypto::kem::{MlKemPrivate, X25519Private};
use edge_crypto::sign::{Ed25519Private, Signature, SigningKey};
use edge_crypto::{Random, aead};
use edge_identity::address;
use edge_identity::attest::{self, Announce};
use edge_identity::grant::{self, CLASSICAL_ALGORITHM, Grant, HYBRID_ALGORITHM};
use edge_wire::id::KeyId;
use serde_json::json;

use crate::case::{Case, Reason, bad, must, must_not, same, same_bytes};

/// Longest key that a pattern may describe, in bytes.
const PATTERN_LEN_MAX: usize = 1 << 16;

pub(crate) fn addressing(case: &Case<'_>) -> Result<(), Reason> {
    let ed25519 = case.array("ed25519_pub")?;
    let x25519 = case.array("x25519_pub")?;
    let ml_dsa = patterned(case.text("pqc_pub_pattern")?).ok_or_else(|| bad("pqc_pub_pattern", "is not a pattern"))?;
    let app = case.text("app_name")?;
    let aspects = case.texts("aspects")?;

    case.expect_bytes("pqc_pub_sha256", &sha256(&[&ml_dsa]))?;
    case.expect_bytes("destination16", &address::destination16(&ed25519))?;
    let classical = address::federation_identity_hash(&ed25519, None);
    case.expect_bytes("federation_identity_hash_classical", &classical)?;
    let hybrid = address::federation_identity_hash(&ed25519, Some(&ml_dsa));
    case.expect_bytes("federation_identity_hash_hybrid", &hybrid)?;
    case.expect_bytes("rns_identity_hash", &address::rns_identity_hash(&x25519, &ed25519))?;
    case.expect_bytes("rns_name_hash", &address::rns_name_hash(app, &aspects))?;
    case.expect_bytes("rns_destination_hash", &address::rns_destination_hash(app, &aspects, &x25519, &ed25519))
}

pub(crate) fn announce_attestation(case: &Case<'_>) -> Result<(), Reason> {
    let federation = must("federation seed", Ed25519Private::from_seed(case.secret("federation_ed25519_seed")?))?;
    let directory_key = must("federation key", federation.public())?;
    let transport = case.array("transport_ed25519_pub")?;
    let key_id = must("federation_key_id", KeyId::new(case.text("federation_key_id")?))?;
    let epoch = case.number("epoch")?;

    case.expect_bytes("federation_ed25519_pub", &directory_key)?;
    case.expect_bytes("canonical_bytes", &attest::canonical(&transport, &key_id, epoch))?;
    let announce = must("signing", Announce::sign(&federation, transport, key_id, epoch))?;
    case.expect_bytes("signature", &announce.signature)?;
    case.expect_bytes("app_data_json", &must("encoding", announce.to_json())?)?;

    let received = must("app_data_json", Announce::parse(&case.bytes("app_data_json")?))?;
    same("parsed app_data_json", &announce, &received)?;
    let mut older = received.clone();
    older.epoch ^= 1;
    must_not("a changed epoch", &older.verify(&directory_key))?;
    must_not("a foreign directory key", &received.clone().verify(&transport))?;
    must("verification", received.verify(&directory_key)).map(drop)
}

pub(crate) fn hybrid_signature(case: &Case<'_>) -> Result<(), Reason> {
    let seeds = (case.secret("ed25519_seed")?, case.secret("ml_dsa_65_seed")?);
    let key = must("seeds", SigningKey::from_seeds(seeds.0, seeds.1))?;
    let public = must("public keys", key.verifying_key())?;
    case.expect_bytes("ed25519_pub", public.ed25519())?;
    case.expect_bytes("ml_dsa_65_pub", public.ml_dsa())?;

    let message = case.bytes("message")?;
    let ed25519 = key.sign_ed25519(&message);
    case.expect_bytes("ed25519_signature", &ed25519)?;
    case.expect_bytes("bound_payload", &[&message[..], &ed25519].concat())?;

    let example = [&ed25519[..], &case.bytes("ml_dsa_65_signature_example")?].concat();
    let example = must("ml_dsa_65_signature_example", Signature::from_slice(&example))?;
    must("the example", public.verify(&message, &example))?;
    let own = must("signing", key.sign(&message))?;
    must("our signature", public.verify(&message, &own))?;

    let longer = [&message[..], &[0]].concat();
    must_not("the example over another message", &public.verify(&longer, &example))?;
    for half in [0, Signature::LEN - 1] {
        let mut changed = example.to_bytes();
        if let Some(byte) = changed.get_mut(half) {
            *byte ^= 1;
        }
        let changed = must("a changed signature", Signature::from_slice(&changed))?;
        must_not("a changed signature", &public.verify(&message, &changed))?;
    }
    Ok(())
}

pub(crate) fn key_grant(case: &Case<'_>) -> Result<(), Reason> {
    match case.text("algorithm")? {
        CLASSICAL_ALGORITHM => classical_grant(case),
        HYBRID_ALGORITHM => hybrid_grant(case),
        _ => Err(bad("algorithm", "is not a key grant algorithm")),
    }
}

fn classical_grant(case: &Case<'_>) -> Result<(), Reason> {
    let own = X25519Private::new(case.secret("recipient_x25519_priv")?);
    let public = must("recipient key", own.public())?;
    let mut random = Script::new(case, &["eph_x25519_priv", "nonce"])?;
    let grant = must("wrapping", grant::Classical::wrap(&case.secret("dek")?, &public, &mut random))?;
    let expected = json!({
        "ephemeral_public_key": case.bytes("ephemeral_public_key")?,
        "nonce": case.bytes("nonce")?,
        "ciphertext": case.bytes("ciphertext")?,
    });
    let received = same_record(case, &Grant::Classical(grant), &expected)?;
    must_not("a classical grant for a stream", &received.clone().for_stream())?;
    let Grant::Classical(received) = received else { return Err(bad("algorithm", "was decoded as another one")) };
    opens_to_dek(case, received.unwrap(&own))?;
    must_not("another recipient", &received.unwrap(&X25519Private::new([1; 32].into())))?;
    wrap_key_opens(case)
}

fn hybrid_grant(case: &Case<'_>) -> Result<(), Reason> {
    let x25519 = X25519Private::new(case.secret("recipient_x25519_priv")?);
    let mlkem = MlKemPrivate::new(case.secret("recipient_mlkem768_seed_d_z")?);
    let public = (must("recipient key", x25519.public())?, mlkem.public());
    case.expect_bytes("recipient_mlkem768_pub", public.1.as_bytes())?;
    let to = grant::Recipient { x25519: &public.0, mlkem: &public.1 };
    let mut random = Script::new(case, &["eph_x25519_priv", "encaps_m", "nonce"])?;
    let grant = must("wrapping", grant::Hybrid::wrap(&case.secret("dek")?, to, &mut random))?;
    let expected = json!({
        "ephemeral_x25519_public_key": case.bytes("ephemeral_x25519_public_key")?,
        "ml_kem_ciphertext": case.bytes("ml_kem_ciphertext")?,
        "nonce": case.bytes("nonce")?,
        "ciphertext": case.bytes("ciphertext")?,
    });
    let received = must("a hybrid grant", same_record(case, &Grant::Hybrid(grant), &expected)?.for_stream())?;
    opens_to_dek(case, received.unwrap(&x25519, &mlkem))?;
    let other = MlKemPrivate::new([1; 64].into());
    must_not("another ML-KEM key", &received.unwrap(&x25519, &other))?;
    must_not("another X25519 key", &received.unwrap(&X25519Private::new([1; 32].into()), &mlkem))?;
    wrap_key_opens(case)
}

/// Compares a grant's JSON with the case's fields and gives back what a receiver decodes from them.
fn same_record(case: &Case<'_>, made: &Grant, expected: &serde_json::Value) -> Result<Grant, Reason> {
    let json = must("encoding", made.to_json())?;
    let computed: serde_json::Value = must("own record", serde_json::from_slice(&json))?;
    for (field, bytes) in expected.as_object().into_iter().flatten() {
        same(field, &Some(bytes), &computed.get(field))?;
    }
    same("record", expected, &computed)?;
    must("decoding", Grant::parse(case.text("algorithm")?, expected.to_string().as_bytes()))
}

fn opens_to_dek(case: &Case<'_>, opened: Result<edge_crypto::Secret<32>, grant::Error>) -> Result<(), Reason> {
    case.expect_bytes("dek", must("unwrapping", opened)?.expose())
}

/// The case's wrap key is the key that its ciphertext is sealed under.
fn wrap_key_opens(case: &Case<'_>) -> Result<(), Reason> {
    let key = aead::Key::new(&case.secret("wrap_key")?);
    let opened = must("opening under wrap_key", key.open(case.array("nonce")?, &case.bytes("ciphertext")?))?;
    same_bytes("dek under wrap_key", &case.bytes("dek")?, &opened)
}

/// Randomness that the case prescribes; zeros after its end, which no vector agrees with.
struct Script(std::vec::IntoIter<u8>);

impl Script {
    fn new(case: &Case<'_>, fields: &[&str]) -> Result<Self, Reason> {
        let parts = fields.iter().map(|field| case.bytes(field)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(parts.concat().into_iter()))
    }
}

impl Random for Script {
    fn fill(&mut self, out: &mut [u8]) {
        out.iter_mut().for_each(|byte| *byte = self.0.next().unwrap_or(0));
    }
}

/// The bytes of "byte i = (START+i) mod 256, LEN bytes".
fn patterned(pattern: &str) -> Option<Vec<u8>> {
    let (start, len) = pattern.strip_prefix("byte i = (")?.strip_suffix(" bytes")?.split_once("+i) mod 256, ")?;
    let (start, len): (u8, usize) = (start.parse().ok()?, len.parse().ok()?);
    (len <= PATTERN_LEN_MAX).then(|| (0..=u8::MAX).cycle().skip(usize::from(start)).take(len).collect())
}
