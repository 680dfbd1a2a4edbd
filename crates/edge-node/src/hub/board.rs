//! The hubs of one node: one for the stream itself, and one for each sub-stream that is carried.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_alm::bucket::{Bucket, Rate};
use edge_alm::path::{Descriptions, SubStreamPath, stream_id};
use edge_net::{CloseCode, Endpoint, Session};
use edge_wire::control::{Message, Refusal};
use edge_wire::id::StreamId;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::{Counters, Ending, Hub, child};
use crate::clock;
use crate::neighbours::Neighbours;

/// Sub-streams whose carrying may wait to be begun.
pub const MAX_WANTED: usize = 8;

/// How long a newcomer may take to say what it wants.
const SPEAK_WITHIN: Duration = Duration::from_secs(10);
/// What a newcomer may say about offers before that, at once and every second.
const SPOKEN: Rate = Rate::per_second(4, 16);
/// How long a newcomer waits for a sub-stream that is only now begun; less than it waits for any answer.
const CARRY_WITHIN: Duration = Duration::from_secs(4);
/// How long it is remembered that a sub-stream is not there: soon enough for a stream that is cut anew.
const DENIED_FOR: Duration = Duration::from_secs(10);
/// Time between two looks whether it is carried.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Hubs by the stream that they carry; clones share them.
#[derive(Clone, Debug)]
pub struct Board(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    whole: StreamId,
    hubs: Mutex<BTreeMap<StreamId, Hub>>,
    /// What hubs that are gone have counted.
    past: Mutex<Counters>,
    wanted: mpsc::Sender<StreamId>,
    /// Until when sub-streams count as not there; there can be no more of them than [`sub_streams`] has.
    denied: Mutex<BTreeMap<StreamId, Instant>>,
}

impl Board {
    /// A board with the hub of the whole stream, and the end that hears which sub-streams newcomers ask for in vain.
    /// Who drops that end carries no other sub-streams than those that are here.
    pub fn new(whole: Hub) -> (Self, mpsc::Receiver<StreamId>) {
        let (wanted, asked) = mpsc::channel(MAX_WANTED);
        let stream = whole.stream();
        let hubs = Mutex::new(BTreeMap::from([(stream, whole)]));
        (Self(Arc::new(Inner { whole: stream, hubs, past: Mutex::default(), wanted, denied: Mutex::default() })), asked)
    }

    /// Adds the hub of a sub-stream.
    pub fn add(&self, hub: Hub) {
        self.hubs().insert(hub.stream(), hub);
    }

    /// Takes the hub of a sub-stream off, if it still is the one that is here.
    pub fn remove(&self, hub: &Hub) {
        let mut hubs = self.hubs();
        if hubs.get(&hub.stream()).is_some_and(|present| present.same_as(hub)) {
            hubs.remove(&hub.stream());
            let mut past = super::lock(&self.0.past);
            *past = past.plus(hub.counters());
        }
    }

    /// For a while, who asks for the sub-stream `stream` is told that there is none.
    pub(crate) fn deny(&self, stream: StreamId) {
        super::lock(&self.0.denied).insert(stream, Instant::now() + DENIED_FOR);
    }

    fn is_denied(&self, stream: StreamId) -> bool {
        super::lock(&self.0.denied).get(&stream).is_some_and(|until| Instant::now() < *until)
    }

    /// Totals of all hubs since the start.
    pub fn counters(&self) -> Counters {
        let past = *super::lock(&self.0.past);
        self.all().iter().fold(past, |sum, hub| sum.plus(hub.counters()))
    }

    /// The hubs of sub-streams, each with the path that it is for.
    pub fn lanes(&self) -> Vec<(SubStreamPath, Hub)> {
        let lanes = sub_streams(self.0.whole).into_iter();
        lanes.filter_map(|(path, stream)| Some((path, self.hub(stream)?))).collect()
    }

    /// The stream whose hub is always here.
    pub fn whole(&self) -> StreamId {
        self.0.whole
    }

    /// Every hub.
    pub fn all(&self) -> Vec<Hub> {
        self.hubs().values().cloned().collect()
    }

    /// The hub that carries `stream`.
    pub fn hub(&self, stream: StreamId) -> Option<Hub> {
        self.hubs().get(&stream).cloned()
    }

    /// Ends the sub-streams, and then the whole stream: with that everything is over for who is below.
    pub async fn finish(&self, ending: Ending, patience: Duration) {
        let mut lanes = JoinSet::new();
        for (_, hub) in self.lanes() {
            lanes.spawn(async move { hub.finish(ending, patience).await });
        }
        while lanes.join_next().await.is_some() {}
        if let Some(hub) = self.hub(self.0.whole) {
            hub.finish(ending, patience).await;
        }
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
        let first = match timeout(SPEAK_WITHIN, first_word(&session)).await {
            Ok(Some(first)) => first,
            Ok(None) => return,
            Err(_) => return session.close(CloseCode::DONE, "no subscription"),
        };
        let stream = first.stream();
        match self.carried(stream).await {
            Ok(hub) => child::serve(hub, session, serial, first).await,
            Err((reason, detail)) => turn_away(&session, stream, (reason, detail)).await,
        }
    }

    /// The hub for `stream`; that of a sub-stream may be on its way.
    async fn carried(&self, stream: StreamId) -> Result<Hub, (Refusal, &'static str)> {
        let unknown = Err((Refusal::UnknownStream, "this peer does not carry that stream"));
        if stream == self.0.whole {
            return self.hub(stream).map_or(unknown, Ok);
        }
        if !sub_streams(self.0.whole).iter().any(|(_, lane)| *lane == stream) {
            return unknown;
        }
        let until = Instant::now() + CARRY_WITHIN;
        while Instant::now() < until {
            match self.hub(stream) {
                Some(hub) if !hub.chain().is_empty() => return Ok(hub),
                Some(_) => {}
                None if self.is_denied(stream) => return unknown,
                None => {
                    if let Err(TrySendError::Closed(_)) = self.0.wanted.try_send(stream) {
                        return unknown;
                    }
                }
            }
            sleep(LOOK_EVERY).await;
        }
        Err((Refusal::Full, "this peer has no way to get that sub-stream at the moment"))
    }

    /// No code panics while it holds this lock, so a poisoned one is as good as any.
    fn hubs(&self) -> MutexGuard<'_, BTreeMap<StreamId, Hub>> {
        self.0.hubs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a newcomer says about anything but offers; `None` when its link is over.
async fn first_word(session: &Session) -> Option<Message> {
    let mut allowance = Bucket::new(SPOKEN, clock::now_ms());
    loop {
        match Message::parse(&session.recv_control().await.ok()?) {
            Ok(message) if !Neighbours::takes(&message) => return Some(message),
            Ok(_) if allowance.take(clock::now_ms()) => {}
            Ok(_) => {
                session.close(CloseCode::PROTOCOL, "too many requests");
                return None;
            }
            Err(error) => {
                session.close(CloseCode::PROTOCOL, &error.to_string());
                return None;
            }
        }
    }
}

async fn turn_away(session: &Session, stream: StreamId, (reason, detail): (Refusal, &str)) {
    let refusal = Message::Refused { stream, reason, detail: detail.to_owned() };
    let _ = session.try_send_control(&refusal.to_bytes());
    session.finish(CloseCode::DONE, "no subscription", SPEAK_WITHIN).await;
}

/// The streams that descriptions of `whole` may travel as, with their paths.
pub fn sub_streams(whole: StreamId) -> Vec<(SubStreamPath, StreamId)> {
    let kinds = [Descriptions::Two, Descriptions::Four];
    kinds.iter().flat_map(|kind| kind.leaves()).map(|path| (path, stream_id(whole, &path))).collect()
}

#[cfg(test)]
mod tests {
    use edge_wire::id::Fingerprint;

    use super::*;
    use crate::event::Reporter;
    use crate::hub::Room;
    use crate::lane;

    #[tokio::test]
    async fn a_sub_stream_that_is_not_there_is_refused_at_once_and_asked_of_nobody() {
        let whole = StreamId([1; 32]);
        let neighbours = Neighbours::new(whole, Fingerprint([2; 32]));
        let (hub, _) = lane::hub(&SubStreamPath::WHOLE, &neighbours, Room::default(), &Reporter::channel().0).unwrap();
        let (board, mut asked) = Board::new(hub);
        let (_, lane) = sub_streams(whole)[0];
        board.deny(lane);
        assert!(matches!(board.carried(lane).await, Err((Refusal::UnknownStream, _))));
        assert!(asked.try_recv().is_err());
    }
}
