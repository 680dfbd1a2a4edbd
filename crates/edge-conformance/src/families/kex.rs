//! Agreement on a transit key.

use edge_crypto::Secret;
use edge_crypto::kem::{MlKemPrivate, X25519Private};
use edge_link::kex::{Ephemeral, OwnKeys, PeerKeys, Policy, initiate, respond};
use edge_wire::domain;

use crate::case::{Case, Reason, must, must_not, same, same_bytes};

pub(crate) fn hybrid(case: &Case<'_>) -> Result<(), Reason> {
    let mlkem = MlKemPrivate::new(case.secret("responder_mlkem768_seed_d_z")?);
    let own = responder(case, Some(mlkem))?;
    let peer = public(&own)?;
    let mlkem_public = own.mlkem.as_ref().map(|key| *key.public().as_bytes()).unwrap_or([0; 1184]);
    case.expect_bytes_if_given("responder_x25519_pub", &peer.x25519)?;
    case.expect_bytes_if_given("responder_mlkem768_pub", &mlkem_public)?;
    case.expect_digest_if_given("responder_mlkem768_pub_sha256", &mlkem_public)?;

    let ephemeral = ephemeral(case, case.secret("encaps_m")?)?;
    let ephemeral_public = must("ephemeral key", ephemeral.x25519.public())?;
    case.expect_bytes_if_given("initiator_x25519_eph_pub", &ephemeral_public)?;
    let initiated = must("initiating", initiate(Policy::HybridRequired, &peer, ephemeral))?;
    case.expect_bytes("session_key", initiated.key.expose())?;
    case.expect_digest_if_given("message_json_sha256", &initiated.message)?;
    if case.optional("message_json_len").is_some() {
        same("message_json_len", &case.size("message_json_len")?, &initiated.message.len())?;
    }

    let answered = must("responding", respond(Policy::HybridRequired, &own, &initiated.message))?;
    case.expect_bytes("session_key", answered.expose())?;
    must_not("a hybrid message at a classical responder", &respond(Policy::Classical, &own, &initiated.message))?;
    parts_of_hybrid(case, &own, &ephemeral_public)
}

pub(crate) fn classical(case: &Case<'_>) -> Result<(), Reason> {
    let own = responder(case, None)?;
    let peer = public(&own)?;
    let ephemeral = ephemeral(case, Secret::from([0; 32]))?;
    let salt = [must("ephemeral key", ephemeral.x25519.public())?, peer.x25519].concat();
    let shared = must("agreement", ephemeral.x25519.agree(&peer.x25519))?;
    case.expect_bytes_if_given("shared_x", shared.expose())?;
    case.expect_bytes_if_given("salt", &salt)?;
    case.expect_bytes_if_given("info", domain::LINK_KEX_CLASSICAL)?;

    let initiated = must("initiating", initiate(Policy::Classical, &peer, ephemeral))?;
    case.expect_bytes("session_key", initiated.key.expose())?;
    same_bytes("message_json", case.text("message_json")?.as_bytes(), &initiated.message)?;
    let answered = must("responding", respond(Policy::Classical, &own, &initiated.message))?;
    case.expect_bytes("session_key", answered.expose())?;
    let strict = respond(Policy::HybridRequired, &own, &initiated.message);
    must_not("a classical message at a hybrid responder", &strict)
}

/// Recomputes what the key was derived from, as the responder sees it.
fn parts_of_hybrid(case: &Case<'_>, own: &OwnKeys, ephemeral: &[u8; 32]) -> Result<(), Reason> {
    let Some(mlkem) = &own.mlkem else { return Ok(()) };
    let own_x25519 = must("responder key", own.x25519.public())?;
    let (ciphertext, encapsulated) = mlkem.public().encapsulate(case.array("encaps_m")?);
    let shared_x = must("agreement", own.x25519.agree(ephemeral))?;
    let shared_mlkem = mlkem.decapsulate(&ciphertext);
    same("decapsulated secret", encapsulated.expose(), shared_mlkem.expose())?;
    let salt = [&ephemeral[..], &own_x25519, &ciphertext, mlkem.public().as_bytes()].concat();

    case.expect_bytes_if_given("mlkem768_ciphertext", &ciphertext)?;
    case.expect_digest_if_given("mlkem768_ciphertext_sha256", &ciphertext)?;
    case.expect_bytes_if_given("shared_x", shared_x.expose())?;
    case.expect_bytes_if_given("shared_mlkem", shared_mlkem.expose())?;
    case.expect_bytes_if_given("ikm", &[*shared_x.expose(), *shared_mlkem.expose()].concat())?;
    case.expect_digest_if_given("salt_sha256", &salt)?;
    case.expect_bytes_if_given("info", domain::LINK_KEX_HYBRID)
}

fn responder(case: &Case<'_>, mlkem: Option<MlKemPrivate>) -> Result<OwnKeys, Reason> {
    Ok(OwnKeys { x25519: X25519Private::new(case.secret("responder_x25519_priv")?), mlkem })
}

fn public(own: &OwnKeys) -> Result<PeerKeys, Reason> {
    let x25519 = must("responder key", own.x25519.public())?;
    Ok(PeerKeys { x25519, mlkem: own.mlkem.as_ref().map(MlKemPrivate::public) })
}

fn ephemeral(case: &Case<'_>, mlkem_coins: Secret<32>) -> Result<Ephemeral, Reason> {
    Ok(Ephemeral { x25519: X25519Private::new(case.secret("initiator_x25519_eph_priv")?), mlkem_coins })
}
