//! Tickets survive being copied by people, and damaged ones say what is wrong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::net::SocketAddr;

use edge_crypto::random::Seeded;
use edge_node::ticket::{Error, Hop, MAX_HOPS, MAX_TEXT, Ticket};
use edge_wire::id::{Fingerprint, StreamId};
use proptest::prelude::*;

fn ticket(hops: usize) -> Ticket {
    let publisher = Fingerprint([7; 32]);
    let hop = |at: usize| Hop {
        addr: match at % 2 {
            0 => SocketAddr::from(([10, 0, 0, 1], 4000)),
            _ => "[2001:db8::1]:4001".parse().unwrap(),
        },
        transport_key: [u8::try_from(at).unwrap(); 32],
        fingerprint: if at == 0 { publisher } else { Fingerprint([u8::try_from(at).unwrap(); 32]) },
    };
    let secret = Some(Ticket::new_secret(&mut Seeded::new(1)));
    Ticket { stream: StreamId([3; 32]), publisher, hops: (0..hops).map(hop).collect(), secret }
}

#[test]
fn a_ticket_reads_back_in_either_case_and_with_blanks_around_it() {
    for hops in 1..=MAX_HOPS {
        let original = ticket(hops);
        let text = original.to_text();
        assert!(text.len() <= MAX_TEXT);
        for copied in [text.to_string(), text.to_uppercase(), format!("  {}\n", *text)] {
            let read: Ticket = copied.parse().unwrap();
            assert_eq!(
                (read.stream, read.publisher, &read.hops),
                (original.stream, original.publisher, &original.hops)
            );
            assert!(read.secret == original.secret);
        }
    }
}

#[test]
fn a_ticket_for_relays_has_no_secret_and_neither_form_prints_one() {
    let original = ticket(1);
    let relays: Ticket = original.for_relays().to_text().parse().unwrap();
    assert!(relays.secret.is_none());
    assert!(format!("{original:?}").contains("redacted"));
}

#[test]
fn damage_is_told_apart() {
    let text = ticket(1).to_text().to_string();
    assert_eq!("hello".parse::<Ticket>().unwrap_err(), Error::Prefix);
    assert_eq!("".parse::<Ticket>().unwrap_err(), Error::Prefix);
    assert_eq!("é".repeat(3).parse::<Ticket>().unwrap_err(), Error::Prefix);
    assert_eq!(text.replace("edge1", "edge1!").parse::<Ticket>().unwrap_err(), Error::Encoding);
    assert!(matches!(format!("edge1{}", "a".repeat(MAX_TEXT)).parse::<Ticket>(), Err(Error::TooLong { .. })));
    let mut flipped = text.into_bytes();
    let at = flipped.len() / 2;
    flipped[at] = if flipped[at] == b'a' { b'b' } else { b'a' };
    assert_eq!(String::from_utf8(flipped).unwrap().parse::<Ticket>().unwrap_err(), Error::Checksum);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 500,
        rng_seed: proptest::test_runner::RngSeed::Fixed(0x71c4e7),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_text_panics_the_reader(text in "edge1[a-z2-7]{0,400}") {
        let _ = text.parse::<Ticket>();
    }

    #[test]
    fn a_cut_ticket_never_reads_as_another(len in 0_usize..400) {
        let text = ticket(2).to_text().to_string();
        if len < text.len() {
            prop_assert!(text[..len].parse::<Ticket>().is_err());
        }
    }
}
