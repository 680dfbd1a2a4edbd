//! Messages as symbols in datagrams: in time or not at all, at most once, bounded, and mixed with streams.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeMap;

use common::{Host, bundle, pair, proven_raw};
use edge_fountain::live::{Encoder, HEADER_LEN, Header};
use edge_net::delivery::MAX_PROTECTED;
use edge_net::{CloseCode, Error, InFlight, Limits, MAX_IN_FLIGHT_BYTES, SendError, Session, SymbolStats, Way};

fn message(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((0..len.saturating_sub(4)).map(|at| (at as u32 ^ number) as u8));
    bytes
}

async fn receive(session: &Session, count: usize) -> BTreeMap<u32, usize> {
    let mut seen = BTreeMap::new();
    for _ in 0..count {
        let received = session.recv_message().await.unwrap();
        let number = u32::from_be_bytes(received[..4].try_into().unwrap());
        assert_eq!(received, message(number, received.len()));
        *seen.entry(number).or_default() += 1;
    }
    seen
}

#[tokio::test]
async fn protected_messages_of_every_size_arrive_whole_and_once() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let lens = [4, 5, 600, 1_150, 1_400, 2_000, 4_096, 10_240, 65_536, MAX_PROTECTED];
    let sending = async {
        for (number, len) in lens.iter().enumerate() {
            let way = Way::Protected { repair: (number % 4) as u16 };
            while let Err(error) = dialed.try_send_by(message(number as u32, *len), 0, way) {
                assert!(matches!(error, SendError::Full), "{error:?}");
                dialed.writable().await.unwrap();
            }
            // One after the other: this is about sizes, not about a receiver that is too slow.
            assert_eq!(receive(&accepted, 1).await, BTreeMap::from([(number as u32, 1)]));
        }
    };
    sending.await;
    dialed.try_send_message(message(99, 8), 0).unwrap();
    assert_eq!(receive(&accepted, 1).await, BTreeMap::from([(99, 1)]), "a protected message came twice");
    assert_eq!(accepted.symbol_stats().delivered, lens.len() as u64);
}

#[tokio::test]
async fn what_datagrams_cannot_carry_goes_as_a_stream() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    dialed.try_send_by(message(1, MAX_PROTECTED + 1), 0, Way::Protected { repair: 1 }).unwrap();
    assert_eq!(receive(&accepted, 1).await, BTreeMap::from([(1, 1)]));
    dialed.writable().await.unwrap();
    dialed.try_send_by(message(2, 10_000), 0, Way::Protected { repair: u16::MAX }).unwrap();
    assert_eq!(receive(&accepted, 1).await, BTreeMap::from([(2, 1)]));
    assert_eq!(accepted.symbol_stats(), SymbolStats::default());
}

#[tokio::test]
async fn both_ways_bring_a_message_twice() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    dialed.try_send_by(message(7, 4_096), 0, Way::Both { repair: 1 }).unwrap();
    assert_eq!(receive(&accepted, 2).await, BTreeMap::from([(7, 2)]));
}

#[tokio::test]
async fn lost_symbols_are_made_up_for_by_repair_symbols() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    let mut encoder = Encoder::new(500).unwrap();
    for number in 0..50 {
        let bytes = message(number, 4_000);
        let symbols = encoder.encode(&bytes, 4).unwrap().enumerate();
        // Three of eight source symbols are lost, and others each time.
        for (id, symbol) in symbols {
            if id >= 8 || (id + number as usize) % 8 >= 3 {
                conn.send_datagram(symbol).unwrap();
            }
        }
        assert_eq!(receive(&session, 1).await, BTreeMap::from([(number, 1)]));
    }
    let stats = session.symbol_stats();
    assert_eq!((stats.delivered, stats.repaired), (50, 50));
}

#[tokio::test]
async fn symbols_that_come_again_after_their_message_bring_nothing() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    let symbols: Vec<_> = Encoder::new(500).unwrap().encode(&message(1, 1_000), 1).unwrap().collect();
    for symbol in symbols.iter().cycle().take(60) {
        conn.send_datagram(symbol.clone()).unwrap();
    }
    let mut last = conn.open_uni().await.unwrap();
    last.write_all(&message(2, 10)).await.unwrap();
    last.finish().unwrap();
    assert_eq!(receive(&session, 2).await, BTreeMap::from([(1, 1), (2, 1)]));
}

#[tokio::test]
async fn datagrams_of_another_kind_are_counted_and_left_alone() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    for junk in [&b""[..], b"\xf7", b"\xf7\x02 a later layout", &[0; 1000]] {
        conn.send_datagram(junk.to_vec().into()).unwrap();
    }
    conn.send_datagram(Encoder::new(500).unwrap().encode(&message(3, 400), 0).unwrap().next().unwrap()).unwrap();
    assert_eq!(receive(&session, 1).await, BTreeMap::from([(3, 1)]));
    assert_eq!(session.symbol_stats().ignored, 4);
}

#[tokio::test]
async fn symbols_that_no_honest_peer_sends_end_the_session() {
    let honest = Header { seq: 1, len: 1_000, source: 2, repair: 1, id: 0 };
    let symbol = |header: Header, len: usize| [header.to_bytes(), vec![0; len]].concat();
    let bad = [
        vec![0xf7, 0x01],
        symbol(honest, 499),
        symbol(Header { id: 3, ..honest }, 500),
        symbol(Header { source: 0, ..honest }, 500),
        symbol(Header { len: 0, ..honest }, 0),
        symbol(Header { len: u32::MAX, source: u16::MAX, ..honest }, 1_000),
        symbol(Header { len: MAX_PROTECTED as u32 + 1, source: 1_000, ..honest }, 132),
    ];
    for datagram in bad {
        let host = Host::new(1);
        let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
        let session = host.session().await;
        conn.send_datagram(datagram.clone().into()).unwrap();
        let received = session.recv_message().await;
        assert!(matches!(received, Err(Error::Symbol(_))), "{datagram:02x?}: {received:?}");
        match conn.closed().await {
            quinn::ConnectionError::ApplicationClosed(close) => {
                assert_eq!(close.error_code, quinn::VarInt::from_u32(CloseCode::PROTOCOL.0));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_flood_of_unfinished_messages_stops_no_other_message() {
    let host = Host::new(1);
    let (_raw, conn, _send, _recv) = proven_raw(&host, &bundle(2)).await;
    let session = host.session().await;
    for seq in 0..2_000 {
        let header = Header { seq, len: 100_000, source: 100, repair: 0, id: seq as u16 % 100 };
        conn.send_datagram([header.to_bytes(), vec![0; 1_000]].concat().into()).unwrap();
    }
    let mut stream = conn.open_uni().await.unwrap();
    stream.write_all(&message(5, 5_000)).await.unwrap();
    stream.finish().unwrap();
    assert_eq!(receive(&session, 1).await, BTreeMap::from([(5, 1)]));
    assert_eq!(session.symbol_stats().delivered, 0);
}

#[tokio::test]
async fn datagrams_in_flight_are_counted_bounded_and_never_push_each_other_out() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let wire = |len: usize| {
        let symbol_len = dialed.path().datagram_len - HEADER_LEN;
        let source = len.div_ceil(symbol_len);
        (source + 1) * (len.div_ceil(source) + HEADER_LEN)
    };
    let mut taken = 0;
    let mut bytes = 0;
    // Nothing awaits here, so that QUIC can send nothing on this runtime.
    let full = loop {
        match dialed.try_send_by(message(taken, 4_096), 0, Way::Protected { repair: 1 }) {
            Ok(()) => (taken, bytes) = (taken + 1, bytes + wire(4_096)),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, SendError::Full), "{full:?}");
    assert_eq!(dialed.in_flight(), InFlight { messages: taken as usize, bytes });
    assert!(bytes <= MAX_IN_FLIGHT_BYTES && taken > 2);
    let (seen, writable) = tokio::join!(receive(&accepted, taken as usize), dialed.writable());
    writable.unwrap();
    assert_eq!(seen, (0..taken).map(|number| (number, 1)).collect());
    dialed.try_send_by(message(taken, 4_096), 0, Way::Protected { repair: 1 }).unwrap();
    receive(&accepted, 1).await;
}

#[tokio::test]
async fn a_session_finishes_after_its_datagrams() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    dialed.try_send_by(message(1, 20_000), 0, Way::Protected { repair: 0 }).unwrap();
    let finishing = dialed.finish(CloseCode::DONE, "over", std::time::Duration::from_secs(10));
    let (seen, ()) = tokio::join!(receive(&accepted, 1), finishing);
    assert_eq!(seen, BTreeMap::from([(1, 1)]));
    assert_eq!(dialed.in_flight(), InFlight::default());
}

#[tokio::test]
async fn the_path_is_measured_by_what_is_sent() {
    let (_a, _b, dialed, accepted) = pair(&Limits::default()).await;
    let before = dialed.path();
    assert!(before.application_limited && before.datagram_len > 1_000, "{before:?}");
    for number in 0..200 {
        let way = if number % 2 == 0 { Way::Stream } else { Way::Protected { repair: 0 } };
        while dialed.try_send_by(message(number, 4_096), 0, way).is_err() {
            dialed.writable().await.unwrap();
        }
        receive(&accepted, 1).await;
    }
    let after = loop {
        match dialed.path() {
            path if path.delivery_kbps > 0 && path.packets >= 600 => break path,
            _ => tokio::task::yield_now().await,
        }
    };
    assert_eq!(after.loss_ppm, 0, "{after:?}");
    assert!(after.rtt_min <= after.rtt && after.rtt - after.rtt_min == after.queue_delay, "{after:?}");
}
