//! The outsider: has an address, but no join secret. It subscribes to a relay as any peer may, is fed ciphertext,
//! asks to be admitted without a ticket, and tries every key it can make on every chunk.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use edge_alm::mesh::Opens;
use edge_crypto::random::System;
use edge_crypto::{Random, Secret, hash};
use edge_group::PendingJoin;
use edge_identity::bundle::KeyBundle;
use edge_net::{CloseCode, Endpoint, Limits, Session};
use edge_seal::{EpochDek, open_inner};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{Message, Role};
use edge_wire::id::Fingerprint;
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::mpsc;

use crate::admission::{Keys, Reply, Request};
use crate::event::{Event, OutsiderStats, Reporter, Stats};
use crate::ticket::Ticket;
use crate::uplink::{Gauge, Handler, Layers, MAX_OUTGOING, Taken, Uplink};
use crate::{Error, Shutdown, clock};

/// Chunks between two reports.
const REPORT_EVERY: u64 = 100;

/// Whom to bother.
#[derive(Debug)]
pub struct Options {
    /// Identity.
    pub bundle: Arc<KeyBundle>,
    /// A ticket; a join secret in it is not used.
    pub ticket: Ticket,
}

/// Runs until the stream is over or `shutdown`.
pub async fn run(options: Options, reporter: Reporter, shutdown: Shutdown) -> Result<(), Error> {
    let Options { bundle, ticket } = options;
    let endpoint =
        Arc::new(Endpoint::bind(bundle.clone(), crate::viewer::any_address(&ticket.hops), &Limits::default())?);
    let own = bundle.fingerprint();
    let (up, mut outgoing) = mpsc::channel(MAX_OUTGOING);
    let keys = Keys::new(&Ticket::new_secret(&mut System), ticket.stream)?;
    let (_, offer) = PendingJoin::new(ticket.stream, &bundle, clock::unix_s())?;
    let body = keys.seal_request(&Request::Join(offer.to_bytes().into()), own, &mut System)?;
    let _ = up.send(Message::Up { stream: ticket.stream, from: own, body }).await;
    let stats = Arc::new(Mutex::new(OutsiderStats { admission: "no answer".into(), ..OutsiderStats::default() }));
    let mut outsider = Outsider { own, keys, stats: stats.clone(), reporter: reporter.clone(), forged: forged_keys() };
    let uplink = Uplink {
        endpoint: endpoint.clone(),
        own,
        stream: ticket.stream,
        publisher: ticket.publisher,
        hops: ticket.hops,
        layers: Layers::UpTo(Policy::UNCAPPED),
        opens: Opens::OuterOnly,
        role: Role::Leaf,
        mesh: None,
        gauge: Gauge::default(),
    };
    let outcome = uplink.run(&mut outsider, &mut outgoing, shutdown).await;
    let last = lock(&stats).clone();
    reporter.send_last(Event::Stats(Stats::Outsider(last))).await;
    let reason = outcome.as_ref().err().map_or("the stream is over".into(), ToString::to_string);
    reporter.send_last(Event::Done { reason }).await;
    endpoint.close(CloseCode::DONE, "the outsider ended");
    endpoint.wait_idle().await;
    outcome
}

struct Outsider {
    own: Fingerprint,
    keys: Keys,
    stats: Arc<Mutex<OutsiderStats>>,
    reporter: Reporter,
    forged: Vec<EpochDek>,
}

/// Keys that anyone can make: all zeros, the hash of nothing, and a random one.
fn forged_keys() -> Vec<EpochDek> {
    [[0; 32], hash::sha256(&[]), System.array()].into_iter().map(|bytes| EpochDek::new(Secret::from(bytes))).collect()
}

impl Outsider {
    /// Tries every forged key, and the clear header's own bytes as a key.
    fn opens(&self, chunk: &InnerSealed) -> bool {
        let from_header = EpochDek::new(Secret::from(hash::sha256(&[&chunk.header.to_bytes()])));
        self.forged.iter().chain([&from_header]).any(|dek| open_inner(dek, chunk).is_ok())
    }
}

impl Handler for Outsider {
    fn connected(&mut self, session: &Session, chain: &[Fingerprint], why: &str) {
        let parent = session.peer();
        self.reporter.send(Event::Connected {
            parent: parent.key_id().to_string(),
            fingerprint: parent.fingerprint().to_string(),
            depth: chain.len(),
            why: why.to_owned(),
        });
    }

    fn media(&mut self, chunk: InnerSealed, _hint: Hint) -> Taken {
        let opened = self.opens(&chunk);
        let mut stats = lock(&self.stats);
        stats.chunks_offered += 1;
        stats.chunks_opened += u64::from(opened);
        stats.keys_tried = u64::try_from(self.forged.len()).unwrap_or(0) + 1;
        if stats.chunks_offered.is_multiple_of(REPORT_EVERY) {
            self.reporter.send(Event::Stats(Stats::Outsider(stats.clone())));
        }
        // To an outsider every chunk looks alike.
        Taken::Good { age_ms: None }
    }

    fn refused(&mut self) {}

    fn control(&mut self, message: Message) {
        if let Message::Down { to, body, .. } = message
            && to == self.own
        {
            lock(&self.stats).admission = match self.keys.open_reply(&body, to) {
                Ok(Reply::Refused(refusal)) => format!("refused: {refusal}"),
                Ok(_) => "answered".into(),
                Err(error) => format!("unreadable: {error}"),
            };
        }
    }

    fn disconnected(&mut self, reason: &Error) {
        self.reporter.send(Event::Disconnected { reason: reason.to_string() });
    }
}

fn lock(stats: &Mutex<OutsiderStats>) -> MutexGuard<'_, OutsiderStats> {
    stats.lock().unwrap_or_else(PoisonError::into_inner)
}
