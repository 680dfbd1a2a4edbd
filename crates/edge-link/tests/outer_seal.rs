//! The outer seal reproduces its vectors and opens under nothing but its own key, link and counter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use bytes::Bytes;
use common::{hex, number, secret, seq, vectors};
use edge_link::{Error, Incoming, Receiver, SEALS_MAX, Secret, Sender, nonce, open_outer, seal_outer};
use edge_wire::chunk::{self, CodecId, Header, InnerSealed, PREFIX_LEN, Sealed};
use edge_wire::id::{ChunkSeq, Epoch, LinkSeq, StreamId};
use edge_wire::layer::Layer;
use edge_wire::link::{Hint, Media};

#[test]
fn outer_vectors() {
    for case in vectors("outer_seal") {
        let link_id = hex(&case["link_id"]);
        let inner = inner(hex(&case["inner_ciphertext"]));
        let wire = seal_outer(&inner, &secret(&case["transit_key"]), &link_id, seq(&case["link_seq"])).unwrap();
        assert_eq!(nonce(&link_id, seq(&case["link_seq"])).to_vec(), hex(&case["nonce"]), "{}", case["id"]);
        assert_eq!(wire[PREFIX_LEN..], hex(&case["outer_ciphertext"]), "{}", case["id"]);
        let chunk = Sealed::parse(&wire).unwrap();
        let opened = open_outer(&chunk, &secret(&case["transit_key"]), &link_id, seq(&case["link_seq"])).unwrap();
        assert_eq!(opened, inner, "{}", case["id"]);
    }
}

#[test]
fn chunk_vectors_fail_and_open_as_listed() {
    for case in vectors("chunk_seal") {
        let wire = hex(&case["wire"]);
        let (key, link_id, at) = (secret(&case["transit_key"]), hex(&case["link_id"]), seq(&case["link_seq"]));
        let chunk = Sealed::parse(&wire).unwrap();
        let inner = open_outer(&chunk, &key, &link_id, at).unwrap();
        assert_eq!(inner.header.seq, ChunkSeq(number(&case["chunk_seq"])));
        assert_eq!(seal_outer(&inner, &key, &link_id, at).unwrap(), wire, "{}", case["id"]);

        assert_eq!(open_outer(&chunk, &Secret::from([9; 32]), &link_id, at), Err(Error::OuterAead));
        assert_eq!(open_outer(&chunk, &key, &[&link_id[..], b"x"].concat(), at), Err(Error::OuterAead));
        assert_eq!(open_outer(&chunk, &key, &link_id, LinkSeq(at.0 ^ 1)), Err(Error::OuterAead));
        for bit in 0..wire.len() * 8 {
            let mut changed = wire.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = open_outer(&Sealed::parse(&changed).unwrap(), &key, &link_id, at);
            match bit / 8 < PREFIX_LEN {
                true => assert_eq!(opened.unwrap().ciphertext, inner.ciphertext),
                false => assert_eq!(opened, Err(Error::OuterAead)),
            }
        }
    }
}

#[test]
fn one_inner_chunk_opens_on_its_own_link_and_on_no_other() {
    for links in [1u8, 4, 16, 50] {
        let inner = inner(vec![7; 500]);
        let sealed: Vec<_> = (0..links).map(|link| message(&mut sender(link), &inner)).collect();
        for from in 0..links {
            for to in 0..links {
                let media = Media::parse(&sealed[usize::from(from)]).unwrap();
                let opened = receiver(to).open(media.seq, &Sealed::parse(media.chunk).unwrap());
                match from == to {
                    true => assert_eq!(opened.unwrap(), inner),
                    false => assert_eq!(opened, Err(Error::OuterAead)),
                }
            }
        }
    }
}

#[test]
fn a_message_opens_in_its_own_buffer_as_it_does_into_another() {
    for len in [0, 1, 15, 16, 17, 500, 20_000] {
        let inner = inner(vec![7; len]);
        let message = message(&mut sender(1), &inner);
        let media = Media::parse(&message).unwrap();
        let copied = receiver(1).open(media.seq, &Sealed::parse(media.chunk).unwrap()).unwrap();
        let incoming = Incoming::parse(message.clone()).unwrap();
        assert_eq!((incoming.hint(), incoming.seq(), *incoming.header()), (media.hint, media.seq, inner.header));
        let place = message.as_ptr() as usize;
        let moved = Incoming::parse(message).unwrap();
        let mut receiver = receiver(1);
        let opened = receiver.open_in_place(moved).unwrap();
        assert_eq!((&opened, &copied), (&inner, &inner));
        if len > 0 {
            let prefix = edge_wire::link::PREFIX_LEN + PREFIX_LEN;
            assert_eq!(opened.ciphertext.as_ptr() as usize, place + prefix, "nothing was copied");
        }
        assert_eq!(receiver.open_in_place(incoming), Err(Error::Duplicate(LinkSeq(0))));
    }
}

#[test]
fn a_message_that_does_not_open_in_place_marks_nothing_as_seen() {
    let whole = message(&mut sender(1), &inner(vec![7; 40]));
    let mut receiver = receiver(1);
    for len in 0..whole.len() {
        let opened = Incoming::parse(whole[..len].to_vec()).and_then(|cut| receiver.open_in_place(cut));
        assert!(matches!(opened, Err(Error::Framing(_) | Error::Chunk(_) | Error::OuterAead)), "{len}: {opened:?}");
    }
    for at in edge_wire::link::PREFIX_LEN + PREFIX_LEN..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert_eq!(receiver.open_in_place(Incoming::parse(changed).unwrap()), Err(Error::OuterAead));
    }
    assert!(receiver.open_in_place(Incoming::parse(whole).unwrap()).is_ok());
}

#[test]
fn names_of_every_length_have_the_nonces_of_the_stateless_form() {
    for len in [1, 2, 64, 69, 70, 71, 72, 256] {
        let name = vec![b'n'; len];
        let inner = inner(vec![1; 10]);
        let mut sealed = Vec::new();
        let mut sender = Sender::start_at(key(1), &name, LinkSeq(77));
        sender.seal_into(&inner, &mut sealed).unwrap();
        assert_eq!(sealed, seal_outer(&inner, &key(1), &name, LinkSeq(77)).unwrap());
        let preimage = [edge_wire::domain::OUTER_NONCE, &name, &77u64.to_be_bytes()].concat();
        assert_eq!(nonce(&name, LinkSeq(77)), edge_crypto::hash::sha256(&[&preimage])[..12]);
    }
}

#[test]
fn three_forms_of_sealing_give_the_same_bytes() {
    let (inner, hint) = (inner(vec![3; 100]), Hint { key: true, ..Hint::default() });
    let stateless = seal_outer(&inner, &key(1), b"link-1", LinkSeq(0)).unwrap();

    let mut bare = vec![0xee];
    assert_eq!(sender(1).seal_into(&inner, &mut bare).unwrap(), LinkSeq(0));
    assert_eq!(bare[1..], stateless);

    let mut framed = Vec::new();
    sender(1).seal_media_into(&inner, hint, &mut framed).unwrap();
    let media = Media::parse(&framed).unwrap();
    assert_eq!((media.hint, media.seq, media.chunk), (hint, LinkSeq(0), &stateless[..]));

    let mut exact = vec![0xaa; Sender::media_len(&inner).unwrap()];
    sender(1).seal_media_to(&inner, hint, &mut exact).unwrap();
    assert_eq!(exact, framed);
}

#[test]
fn counter_moves_only_after_a_seal() {
    let mut sender = sender(1);
    let mut out = vec![1, 2, 3];
    let too_long = inner(vec![0; chunk::MAX_LEN]);
    assert!(matches!(sender.seal_media_into(&too_long, Hint::default(), &mut out), Err(Error::Chunk(_))));
    let fitting = inner(vec![0; 10]);
    let need = Sender::media_len(&fitting).unwrap();
    for got in [0, need - 1, need + 1] {
        let result = sender.seal_media_to(&fitting, Hint::default(), &mut vec![0; got]);
        assert_eq!(result, Err(Error::Buffer { got, need }));
    }
    assert_eq!((sender.next_seq(), out.as_slice()), (LinkSeq(0), &[1, 2, 3][..]));
    assert_eq!(sender.seal_into(&fitting, &mut out).unwrap(), LinkSeq(0));
    assert_eq!(sender.next_seq(), LinkSeq(1));
}

#[test]
fn a_used_up_key_refuses_and_leaves_the_output_alone() {
    let mut sender = Sender::start_at(key(1), b"link-1", LinkSeq(SEALS_MAX - 1));
    let (inner, mut out) = (inner(vec![0; 10]), Vec::new());
    assert_eq!(sender.seal_into(&inner, &mut out).unwrap(), LinkSeq(SEALS_MAX - 1));
    let before = out.clone();
    assert_eq!(sender.seal_media_into(&inner, Hint::default(), &mut out), Err(Error::CounterExhausted));
    assert_eq!(sender.seal_into(&inner, &mut out), Err(Error::CounterExhausted));
    assert_eq!(out, before);
}

#[test]
fn sealing_into_a_large_enough_vec_does_not_move_it() {
    let (mut sender, inner) = (sender(1), inner(vec![0; 1000]));
    let mut out = Vec::with_capacity(Sender::media_len(&inner).unwrap());
    let place = out.as_ptr();
    sender.seal_media_into(&inner, Hint::default(), &mut out).unwrap();
    assert_eq!(out.as_ptr(), place);
}

#[test]
fn fingerprints_tell_keys_apart_and_debug_tells_nothing() {
    assert_eq!(sender(1).key_fingerprint(), Sender::new(key(1), b"other").key_fingerprint());
    assert_ne!(sender(1).key_fingerprint(), sender(2).key_fingerprint());
    assert_eq!(format!("{:?}", sender(1)), "link::Sender { next: LinkSeq(0), .. }");
    assert_eq!(format!("{:?}", receiver(1)), "link::Receiver { highest: None, .. }");
}

fn inner(ciphertext: Vec<u8>) -> InnerSealed {
    let header = Header {
        stream: StreamId([5; 32]),
        epoch: Epoch(1),
        seq: ChunkSeq(2),
        codec: CodecId::AV1_SVC,
        layer: Layer::BASE,
    };
    InnerSealed { header, ciphertext: Bytes::from(ciphertext) }
}

fn key(link: u8) -> Secret<32> {
    Secret::from([link; 32])
}

fn sender(link: u8) -> Sender {
    Sender::new(key(link), format!("link-{link}").as_bytes())
}

fn receiver(link: u8) -> Receiver {
    Receiver::new(key(link), format!("link-{link}").as_bytes())
}

fn message(sender: &mut Sender, inner: &InnerSealed) -> Vec<u8> {
    let mut out = Vec::new();
    sender.seal_media_into(inner, Hint::default(), &mut out).unwrap();
    out
}
