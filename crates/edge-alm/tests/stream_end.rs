//! A stream is over when its publisher says so, and nobody else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use edge_alm::ending::{Ending, Error};
use edge_crypto::random::Seeded;
use edge_identity::KeyBundle;
use edge_wire::control::MAX_NOTICE;
use edge_wire::id::{Epoch, StreamId};

const STREAM: StreamId = StreamId([7; 32]);
const ENDING: Ending = Ending { stream: STREAM, epoch: Epoch(9), at_unix_ms: 1_760_000_000_000 };

fn bundle(seed: u64) -> KeyBundle {
    KeyBundle::generate(None, &mut Seeded::new(seed)).unwrap()
}

#[test]
fn a_notice_says_what_was_signed_and_fits_its_message() {
    let publisher = bundle(1);
    let notice = ENDING.sign(&publisher).unwrap();
    assert!(notice.len() <= MAX_NOTICE, "{}", notice.len());
    assert_eq!(Ending::verify(STREAM, publisher.fingerprint(), &notice).unwrap(), ENDING);
}

#[test]
fn another_signer_another_stream_and_any_change_are_refused() {
    let (publisher, parent) = (bundle(1), bundle(2));
    let verify = |stream, notice: &[u8]| Ending::verify(stream, publisher.fingerprint(), notice);
    let notice = ENDING.sign(&publisher).unwrap();
    assert!(matches!(verify(STREAM, &ENDING.sign(&parent).unwrap()), Err(Error::NotThePublisher { .. })));
    assert!(matches!(verify(StreamId([8; 32]), &notice), Err(Error::Signature(_))), "a lane's end is not the stream's");
    assert!(verify(STREAM, &[]).is_err(), "unsigned");
    for at in (0..notice.len()).step_by(97).chain(0..18) {
        let mut changed = notice.clone();
        changed[at] ^= 1;
        assert!(verify(STREAM, &changed).is_err(), "byte {at}");
        assert!(verify(STREAM, &notice[..at]).is_err(), "cut to {at}");
    }
    assert!(verify(STREAM, &[&notice[..], &[0]].concat()).is_err());
}
