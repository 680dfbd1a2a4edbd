//! The hubs of one node: one for the stream itself, and one for each sub-stream that is carried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_alm::path::{Descriptions, stream_id};
use edge_net::{CloseCode, Endpoint, Session};
use edge_wire::control::{Message, Refusal};
use edge_wire::id::StreamId;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Hub, child};
use crate::neighbours::Neighbours;

/// Sub-streams whose carrying may wait to be begun.
pub const MAX_WANTED: usize = 8;

/// How long a newcomer may take to say what it wants.
const SPEAK_WITHIN: Duration = Duration::from_secs(10);

/// Hubs by the stream that they carry; clones share them.
#[derive(Clone, Debug)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    whole: StreamId,
    hubs: Mutex<BTreeMap<StreamId, Hub>>,
    wanted: mpsc::Sender<StreamId>,
}

impl Board {
    /// A board with the hub of the whole stream, and the end that hears which sub-streams newcomers ask for in vain.
    pub fn new(whole: Hub) -> (Self, mpsc::Receiver<StreamId>) {
        let (wanted, asked) = mpsc::channel(MAX_WANTED);
        let stream = whole.stream();
        let hubs = Mutex::new(BTreeMap::from([(stream, whole)]));
        (Self(Arc::new(Inner { whole: stream, hubs, wanted })), asked)
    }

    /// Adds the hub of a sub-stream.
    pub fn add(&self, hub: Hub) {
        self.hubs().insert(hub.stream(), hub);
    }

    /// Every hub.
    pub fn all(&self) -> Vec<Hub> {
        self.hubs().values().cloned().collect()
    }

    /// The hub that carries `stream`.
    pub fn hub(&self, stream: StreamId) -> Option<Hub> {
        self.hubs().get(&stream).cloned()
    }

    /// Accepts children until the endpoint closes.
    pub async fn accept(self, endpoint: Arc<Endpoint>) {
        let mut serial = 0;
        while let Some(newcomer) = endpoint.accept().await {
            match newcomer {
                Ok(session) => {
                    serial += 1;
                    tokio::spawn(self.clone().seat(session, serial));
                }
                Err(failed) => tracing::info!(addr = %failed.addr, error = %failed.error, "a newcomer failed"),
            }
        }
    }

    /// Finds the hub for what a newcomer says first.
    async fn seat(self, session: Session, serial: u64) {
        let first = loop {
            let said = match timeout(SPEAK_WITHIN, session.recv_control()).await {
                Ok(Ok(bytes)) => Message::parse(&bytes),
                Ok(Err(_)) => return,
                Err(_) => return session.close(CloseCode::DONE, "no subscription"),
            };
            match said {
                Ok(message) if Neighbours::takes(&message) => {}
                Ok(message) => break message,
                Err(error) => return session.close(CloseCode::PROTOCOL, &error.to_string()),
            }
        };
        let stream = first.stream();
        match self.hub(stream) {
            Some(hub) => child::serve(hub, session, serial, first).await,
            None => self.turn_away(&session, stream).await,
        }
    }

    async fn turn_away(&self, session: &Session, stream: StreamId) {
        let (reason, detail) = match sub_streams(self.0.whole).contains(&stream) {
            true => {
                // Who asks again in a moment finds it carried, if this node can get it.
                let _ = self.0.wanted.try_send(stream);
                (Refusal::Full, "this peer does not carry that sub-stream yet")
            }
            false => (Refusal::UnknownStream, "this peer does not carry that stream"),
        };
        let refusal = Message::Refused { stream, reason, detail: detail.to_owned() };
        let _ = session.try_send_control(&refusal.to_bytes());
        session.finish(CloseCode::DONE, "no subscription", SPEAK_WITHIN).await;
    }

    /// No code panics while it holds this lock, so a poisoned one is as good as any.
    fn hubs(&self) -> MutexGuard<'_, BTreeMap<StreamId, Hub>> {
        self.0.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The streams that descriptions of `whole` may travel as.
pub fn sub_streams(whole: StreamId) -> Vec<StreamId> {
    let kinds = [Descriptions::Two, Descriptions::Four];
    kinds.iter().flat_map(|kind| kind.leaves()).map(|path| stream_id(whole, &path)).collect()
}
