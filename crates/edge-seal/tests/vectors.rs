//! The inner half of the published vectors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{array, bytes, number, vectors};
use edge_crypto::{Secret, aead, hash};
use edge_seal::{EpochDek, Error, InnerSealed, inner_nonce, open_inner, seal_inner};
use edge_wire::chunk::{CodecId, Header, Sealed};
use edge_wire::domain;
use edge_wire::id::{ChunkSeq, Epoch, StreamId};
use edge_wire::layer::Layer;
use serde_json::Value;

fn header(case: &Value) -> Header {
    Header {
        stream: StreamId(array(&case["stream_id"])),
        epoch: Epoch(number(&case["epoch"])),
        seq: ChunkSeq(number(&case["chunk_seq"])),
        codec: case["codec_id"].as_u64().map_or(CodecId::OPAQUE, |id| CodecId(u8::try_from(id).unwrap())),
        layer: case["layer"].as_array().map_or(Layer::BASE, |axes| {
            let axis = |i: usize| u8::try_from(axes[i].as_u64().unwrap()).unwrap();
            Layer::new(axis(0), axis(1), axis(2))
        }),
    }
}

fn dek(case: &Value) -> EpochDek {
    EpochDek::new(Secret::from(array::<32>(&case["epoch_dek"])))
}

#[test]
fn inner_seal_reproduces_and_opens() {
    for case in vectors("inner_seal") {
        let (header, plaintext) = (header(&case), bytes(&case["plaintext"]));
        let sealed = seal_inner(&dek(&case), header, &plaintext).unwrap();
        assert_eq!(inner_nonce(header.stream, header.epoch, header.seq), array::<12>(&case["nonce"]), "{}", case["id"]);
        assert_eq!(sealed.ciphertext, bytes(&case["inner_ciphertext"]), "{}", case["id"]);
        assert_eq!(open_inner(&dek(&case), &sealed).unwrap(), plaintext, "{}", case["id"]);
    }
}

#[test]
fn nonce_properties_hold() {
    for case in vectors("nonce_properties") {
        let nonce = |side: &Value| {
            let header = header(side);
            let nonce = inner_nonce(header.stream, header.epoch, header.seq);
            assert_eq!(nonce, array::<12>(&side["nonce"]), "{}", case["id"]);
            nonce
        };
        assert_eq!(nonce(&case["a"]) == nonce(&case["b"]), case["equal"].as_bool().unwrap(), "{}", case["id"]);
    }
}

/// The outer seal is another crate's; here it is spelled out from its definition, so that whole chunks can be checked.
fn outer(case: &Value, inner: &InnerSealed) -> Vec<u8> {
    let link_seq = number(&case["link_seq"]).to_be_bytes();
    let digest = hash::sha256(&[domain::OUTER_NONCE, &bytes(&case["link_id"]), &link_seq]);
    let key = aead::Key::new(&Secret::from(array::<32>(&case["transit_key"])));
    let ciphertext = key.seal(digest[..12].try_into().unwrap(), &inner.ciphertext).unwrap();
    Sealed { header: inner.header, ciphertext: &ciphertext }.to_bytes()
}

#[test]
fn chunk_seal_is_outer_over_inner() {
    for case in vectors("chunk_seal") {
        let plaintext = bytes(&case["plaintext"]);
        let inner = seal_inner(&dek(&case), header(&case), &plaintext).unwrap();
        let wire = outer(&case, &inner);
        assert_eq!(wire.len() as u64, number(&case["wire_len"]), "{}", case["id"]);
        assert_eq!(wire, bytes(&case["wire"]), "{}", case["id"]);

        let wrong = EpochDek::new(Secret::from([0x77; 32]));
        assert_eq!(open_inner(&wrong, &inner), Err(Error::InnerAead));
        for (index, bit) in (0..48).flat_map(|index| (0..8).map(move |bit| (index, bit))) {
            let mut changed = wire.clone();
            changed[index] ^= 1 << bit;
            let header = Sealed::parse(&changed).unwrap().header;
            let chunk = InnerSealed { header, ciphertext: inner.ciphertext.clone() };
            assert_eq!(open_inner(&dek(&case), &chunk), Err(Error::InnerAead), "{} byte {index}", case["id"]);
        }
        let relabelled = Header { codec: CodecId(9), layer: Layer::new(7, 8, 9), ..inner.header };
        let chunk = InnerSealed { header: relabelled, ciphertext: inner.ciphertext.clone() };
        assert_eq!(open_inner(&dek(&case), &chunk).unwrap(), plaintext, "{}", case["id"]);
    }
}
