//! Chunks parse by the two read rules, and layers are admitted as the tables say.
#![allow(clippy::unwrap_used, missing_docs)]

use edge_wire::chunk::{CodecId, Error, Header, PREFIX_LEN, Profile, Sealed};
use edge_wire::id::{ChunkSeq, Epoch, LinkSeq, StreamId};
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::{Hint, Media};
use proptest::prelude::*;

fn header(codec: CodecId, layer: Layer) -> Header {
    Header { stream: StreamId([3; 32]), epoch: Epoch(7), seq: ChunkSeq(9), codec, layer }
}

#[test]
fn every_length_gives_what_its_read_rule_says() {
    let bytes = [0x42; 61];
    for len in 0..=60 {
        let strict = Sealed::parse(&bytes[..len]);
        let lenient = Sealed::parse_as(&bytes[..len], Profile::Release421);
        match len {
            0..48 => assert_eq!(lenient, Err(Error::WireTooShort { got: len, need: 48 })),
            48..52 => assert_eq!(lenient.unwrap().header.codec, CodecId::OPAQUE),
            _ => assert_eq!(lenient, strict),
        }
        match len {
            0..PREFIX_LEN => assert_eq!(strict, Err(Error::WireTooShort { got: len, need: PREFIX_LEN })),
            _ => assert_eq!(strict.unwrap().ciphertext.len(), len - PREFIX_LEN),
        }
    }
}

#[test]
fn an_opaque_chunk_with_a_layer_is_refused() {
    assert_eq!(header(CodecId::OPAQUE, Layer::new(0, 1, 0)).check(), Err(Error::OpaqueLayer));
    assert_eq!(header(CodecId::OPAQUE, Layer::BASE).check(), Ok(()));
    assert_eq!(header(CodecId(0x77), Layer::new(9, 9, 9)).check(), Ok(()));
}

#[test]
fn unknown_hint_flags_are_refused() {
    let mut message = Media::prefix(Hint::default(), LinkSeq(1)).to_vec();
    message[1] = 0x80;
    assert!(Media::parse(&message).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 1_000,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x1a7e5),
        ..ProptestConfig::default()
    })]

    #[test]
    fn chunks_round_trip(
        codec: u8, layer: [u8; 3], epoch: u64, seq: u64, body in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let layer = Layer::new(layer[0], layer[1], layer[2]);
        let header = Header { epoch: Epoch(epoch), seq: ChunkSeq(seq), ..header(CodecId(codec), layer) };
        let chunk = Sealed { header, ciphertext: &body };
        let bytes = chunk.to_bytes();
        prop_assert_eq!(Sealed::parse(&bytes).unwrap(), chunk);
    }

    #[test]
    fn media_framing_round_trips(
        flags in 0_u8..32, index: u8, seq: u64, chunk in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let hint = Hint::from_bytes([flags, index]).unwrap();
        let prefix = Media::prefix(hint, LinkSeq(seq));
        let message = [&prefix[..], &chunk].concat();
        let media = Media::parse(&message).unwrap();
        prop_assert_eq!((media.hint, media.seq), (hint, LinkSeq(seq)));
        prop_assert_eq!(media.chunk, &chunk[..]);
    }

    #[test]
    fn a_layer_is_admitted_exactly_when_no_axis_is_above_its_cap(layer: [u8; 3], cap: [u8; 3]) {
        let admitted = Policy::new(cap[0], cap[1], cap[2]).admits(Layer::new(layer[0], layer[1], layer[2]));
        prop_assert_eq!(admitted, layer.iter().zip(cap).all(|(layer, cap)| *layer <= cap));
        prop_assert!(Policy::BLINKING_DOT.admits(Layer::BASE));
        prop_assert!(Policy::UNCAPPED.admits(Layer::new(layer[0], layer[1], layer[2])));
    }
}
