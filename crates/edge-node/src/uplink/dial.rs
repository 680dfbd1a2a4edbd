//! Dialing a peer at all of its addresses: one after the other is begun, and the first that answers is taken.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use edge_net::{CloseCode, Endpoint, Expect, Session};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Error;
use crate::ticket::{Hop, MAX_HOPS};

/// How long one address may take to answer a dial.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an address is tried alone before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// A session over the first of `hops` that answers; at most [`MAX_HOPS`] are tried. Dropped, it tries no more.
pub(super) async fn any(endpoint: &Arc<Endpoint>, hops: &[Hop]) -> Result<Session, Error> {
    let mut left: VecDeque<Hop> = hops.iter().copied().take(MAX_HOPS).collect();
    let mut trying = JoinSet::new();
    let (mut last, mut next_at) = (Error::NoAnswer, Instant::now());
    loop {
        tokio::select! {
            biased;
            // A session that answers too late ends with its last handle, which is here.
            Some(answered) = trying.join_next() => match answered {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) => (last, next_at) = (error, Instant::now()),
                Err(_) => next_at = Instant::now(),
            },
            () = sleep_until(next_at), if !left.is_empty() => {
                if let Some(hop) = left.pop_front() {
                    let endpoint = endpoint.clone();
                    trying.spawn(async move { one(&endpoint, &hop).await });
                }
                next_at = Instant::now() + STAGGER;
            }
            else => return Err(last),
        }
    }
}

/// Round trip to a peer that is no parent; `None` if it does not answer.
pub(super) async fn probe(endpoint: Arc<Endpoint>, hops: Vec<Hop>) -> Option<Duration> {
    let session = any(&endpoint, &hops).await.ok()?;
    let rtt = session.rtt();
    session.close(CloseCode::DONE, "only the round trip was of interest");
    Some(rtt)
}

async fn one(endpoint: &Endpoint, hop: &Hop) -> Result<Session, Error> {
    let expect = Expect::Fingerprint(hop.fingerprint);
    match timeout(DIAL_TIMEOUT, endpoint.connect(hop.addr, hop.transport_key, expect)).await {
        Ok(connected) => connected.map_err(|source| Error::Unreachable { hop: hop.to_string(), source }),
        Err(_) => Err(Error::Silent { hop: hop.to_string() }),
    }
}
