//! A peer that does not read makes its own session refuse messages, and nobody else's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::Host;
use edge_net::{MAX_IN_FLIGHT_BYTES, SendError};

const MESSAGE: usize = 16 << 10;

#[tokio::test]
async fn a_peer_that_does_not_read_delays_no_sibling_and_grows_nothing() {
    let (sender, slow, prompt) = (Host::new(1), Host::new(2), Host::new(3));
    let (to_slow, from_sender) = tokio::join!(sender.dial(&slow), slow.session());
    let to_slow = to_slow.unwrap();
    let (to_prompt, received) = tokio::join!(sender.dial(&prompt), prompt.session());
    let to_prompt = to_prompt.unwrap();
    let mut refused = 0usize;
    // 32 MiB each: four times what any window of the slow peer holds.
    for number in 0..2048usize {
        let message = vec![number as u8; MESSAGE];
        match to_slow.try_send_message(message.clone(), 0) {
            Ok(()) => {}
            Err(SendError::Full) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        assert!(to_slow.in_flight().bytes <= MAX_IN_FLIGHT_BYTES);
        while to_prompt.try_send_message(message.clone(), 0).is_err() {
            to_prompt.writable().await.unwrap();
        }
        assert_eq!(received.recv_message().await.unwrap(), message);
    }
    assert!(refused > 1024, "only {refused} refused");
    // Once it reads, everything that was taken is there, whole.
    let taken = 2048 - refused;
    for _ in 0..taken {
        let message = from_sender.recv_message().await.unwrap();
        assert_eq!(message.len(), MESSAGE);
        assert!(message.iter().all(|byte| *byte == message[0]));
    }
    to_slow.writable().await.unwrap();
    to_slow.try_send_message(vec![1; MESSAGE], 0).unwrap();
    from_sender.recv_message().await.unwrap();
}
