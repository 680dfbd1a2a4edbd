//! One child's link: its requests, and the task that writes its media.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use edge_alm::bucket::{Bucket, Rate};
use edge_net::delivery::{self, Kind};
use edge_net::{CloseCode, Error, Path, Session};
use edge_relay::{Handle, Start, Subscription, Transmit};
use edge_wire::control::{ChunkId, MAX_CHAIN, MAX_DETAIL, Message, Refusal, Role};
use edge_wire::id::Fingerprint;
use edge_wire::layer::{Layer, Policy};
use edge_wire::link::Hint;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout_at};

use super::memory::Answer;
use super::share::Share;
use super::{Hub, Seat, Seated, Upward, lock, lost, subscriber_id, transit_context};
use crate::clock;
use crate::neighbours::Neighbours;

/// Time between two looks at what the path to a child does.
const LOOK_EVERY_MS: u64 = 100;
/// Priorities on one link: sound, then key frames, then lower layers.
const AUDIO: i32 = 300;
const KEY: i32 = 200;
const BASE: i32 = 100;

/// Serves a child that said `first` until its link ends.
pub(super) async fn serve(hub: Hub, session: Session, serial: u64, first: Message) {
    let peer = session.peer().fingerprint();
    let replaced = lock(&hub.0.children).insert(peer, Seat::new(session.clone(), serial));
    if let Some(neighbours) = hub.company() {
        neighbours.join(&session);
    }
    if let Some(old) = replaced {
        old.session.close(CloseCode::DONE, "replaced by a newer link of the same peer");
    }
    let mut child = Child {
        hub,
        session,
        peer,
        writer: None,
        allowance: Bucket::new(HEARD, clock::now_ms()),
        share: Share::new(clock::now_ms()),
        role: Role::Leaf,
    };
    let mut subscribe_by = Instant::now() + SUBSCRIBE_WITHIN;
    child.handle(first);
    let ending = loop {
        let message = match child.writer {
            Some(_) => {
                let message = child.session.recv_control().await;
                subscribe_by = Instant::now() + SUBSCRIBE_WITHIN;
                message
            }
            // Whatever else it says wins it no time.
            None => match timeout_at(subscribe_by, child.session.recv_control()).await {
                Ok(message) => message,
                Err(_) => {
                    child.session.close(CloseCode::DONE, "no subscription");
                    break Error::ClosedHere;
                }
            },
        };
        match message {
            Ok(bytes) => match Message::parse(&bytes) {
                Ok(message) if child.allowance.take(clock::now_ms()) => child.handle(message),
                Ok(_) if child.allowance.excess() < MAX_EXCESS => {}
                Ok(_) => {
                    child.session.close(CloseCode::PROTOCOL, "too many requests");
                    break Error::ClosedHere;
                }
                Err(error) => {
                    child.session.close(CloseCode::PROTOCOL, &error.to_string());
                    break Error::ClosedHere;
                }
            },
            Err(error) => break error,
        }
    };
    tracing::info!(child = %child.session.peer().key_id(), %ending, "a child left");
    child.leave(serial);
}

/// How long a peer may hold a seat without a subscription.
const SUBSCRIBE_WITHIN: Duration = Duration::from_secs(10);
/// Requests that one child may send at once, and every second after that.
const HEARD: Rate = Rate::per_second(64, 128);
/// Requests beyond the rate after which the link is closed.
const MAX_EXCESS: u32 = 1024;

struct Child {
    hub: Hub,
    session: Session,
    peer: Fingerprint,
    writer: Option<(Handle, AbortHandle)>,
    allowance: Bucket,
    share: Share,
    role: Role,
}

impl Child {
    fn handle(&mut self, message: Message) {
        if Neighbours::takes(&message) {
            return self.hub.company().iter().for_each(|neighbours| neighbours.hear(&self.session, message.clone()));
        }
        if message.stream() != self.hub.0.stream {
            return self.refuse(&message, Refusal::UnknownStream, "this peer does not carry that stream");
        }
        match message {
            Message::Subscribe { subscription, policy, role, .. } => {
                self.subscribe(subscription, Seated { policy, role })
            }
            Message::Unsubscribe { .. } => self.unsubscribe(),
            Message::SetPolicy { policy, .. } => self.set_policy(policy),
            Message::Recover { need, .. } => self.hub.want(Upward::Recover(need)),
            Message::Doubt { chunk, .. } => self.doubt(chunk),
            Message::Up { from, body, .. } => self.request(from, body),
            Message::CommitsWanted { from, .. } => {
                let answer = lock(&self.hub.0.memory).commits_since(clock::now_ms(), from, self.peer);
                self.answer(&answer, Upward::Commits(from));
            }
            Message::TreeWanted { epoch, .. } => {
                let answer = lock(&self.hub.0.memory).tree_for(clock::now_ms(), epoch, self.peer);
                self.answer(&answer, Upward::Tree(epoch));
            }
            other => self.refuse(&other, Refusal::Protocol, "only a parent sends that"),
        }
    }

    /// Sends what is here, and asks above for what is not.
    fn answer(&mut self, answer: &Answer, wish: Upward) {
        answer.kept.iter().for_each(|message| self.hub.send_to(self.peer, message));
        if answer.asks_above && self.share.wish(clock::now_ms()) {
            self.hub.want(wish);
        }
    }

    fn subscribe(&mut self, subscription: u32, seated: Seated) {
        let policy = seated.policy;
        let stream = self.hub.0.stream;
        let chain = lock(&self.hub.0.chain).clone();
        let asked = Message::Unsubscribe { stream };
        if let Some(ended) = self.hub.ended() {
            return super::send(&self.session, &ended.to_bytes());
        }
        if chain.contains(&self.peer) {
            return self.refuse(&asked, Refusal::Loop, "you are on the way from the publisher to this peer");
        }
        if chain.is_empty() {
            return self.refuse(&asked, Refusal::Full, "this peer has no way to the publisher at the moment");
        }
        if chain.len() >= MAX_CHAIN {
            return self.refuse(&asked, Refusal::TooDeep, "this peer's way to the publisher is as long as may be");
        }
        if !self.hub.admit(self.peer, seated) {
            return self.refuse(&asked, Refusal::Full, "this peer has no room for another child");
        }
        let granted = self.grant(subscription, policy);
        match granted {
            Ok(handle) => {
                let answer = Message::Subscribed { stream, subscription, chain };
                super::send(&self.session, &answer.to_bytes());
                self.role = seated.role;
                self.start_writer(handle);
                self.hub.report_child(&self.session, true);
            }
            Err(error) => {
                // Whatever it was sent before ends with its seat.
                self.unsubscribe();
                self.refuse(&asked, Refusal::Full, &error.to_string());
            }
        }
    }

    fn clear_seat(&self) {
        if let Some(seat) = lock(&self.hub.0.children).get_mut(&self.peer) {
            seat.subscribed = None;
        }
    }

    fn grant(&mut self, subscription: u32, policy: Policy) -> Result<Handle, crate::Error> {
        let stream = self.hub.0.stream;
        let context = transit_context(stream, subscription);
        let transit_key = self.session.transit_key(self.session.outbound(), &context)?;
        let subscriber = subscriber_id(self.peer).map_err(|_| crate::Error::Parent("fingerprint"))?;
        let wish = Subscription { stream, subscriber, transit_key, policy, start: Start::Cached };
        Ok(lock(&self.hub.0.relay).subscribe(wish, clock::now_ms())?)
    }

    fn start_writer(&mut self, handle: Handle) {
        self.stop_writer();
        let notify = Arc::new(Notify::new());
        // What the subscription begins with is queued already.
        notify.notify_one();
        lock(&self.hub.0.writers).insert(handle, notify.clone());
        let task = tokio::spawn(write(self.hub.clone(), self.session.clone(), handle, notify));
        self.writer = Some((handle, task.abort_handle()));
    }

    fn stop_writer(&mut self) {
        if let Some((handle, task)) = self.writer.take() {
            task.abort();
            lock(&self.hub.0.writers).remove(&handle);
        }
    }

    fn unsubscribe(&mut self) {
        self.stop_writer();
        self.clear_seat();
        let Ok(subscriber) = subscriber_id(self.peer) else { return };
        let mut relay = lock(&self.hub.0.relay);
        let gone = relay
            .handles(self.hub.0.stream)
            .find(|handle| relay.subscriber(*handle).is_some_and(|(_, name)| *name == subscriber));
        if let Some(stats) = gone.and_then(|handle| relay.stats(handle)) {
            self.hub.0.dropped.fetch_add(lost(&stats), Ordering::Relaxed);
        }
        if relay.unsubscribe(self.hub.0.stream, &subscriber).is_ok() {
            drop(relay);
            self.hub.report_child(&self.session, false);
        }
    }

    fn set_policy(&mut self, policy: Policy) {
        let Ok(subscriber) = subscriber_id(self.peer) else { return };
        // Even a full parent grants it: a child whose other parent died must not be left with the base.
        if lock(&self.hub.0.relay).set_policy(self.hub.0.stream, &subscriber, policy).is_err() {
            return;
        }
        if let Some(seat) = lock(&self.hub.0.children).get_mut(&self.peer)
            && let Some(seated) = &mut seat.subscribed
        {
            seated.policy = policy;
        }
    }

    /// Only what it was sent can trouble a child.
    fn doubt(&mut self, chunk: ChunkId) {
        if self.writer.is_some() && self.share.wish(clock::now_ms()) {
            self.hub.want(Upward::Doubt(chunk));
        }
    }

    fn request(&mut self, from: Fingerprint, body: bytes::Bytes) {
        if !self.share.request(clock::now_ms(), (self.peer, self.role), from) {
            return tracing::debug!(child = %self.session.peer().key_id(), "too many requests: one was dropped");
        }
        // A peer below may be a direct child too, with this link as its second: its way back is known then.
        if from != self.peer && !self.hub.feeds(from) && !lock(&self.hub.0.memory).learn_route(from, self.peer) {
            return;
        }
        self.hub.ask(Upward::Request { from, body });
    }

    fn refuse(&self, message: &Message, reason: Refusal, detail: &str) {
        let detail: String = detail.chars().take(MAX_DETAIL / 4).collect();
        super::send(&self.session, &Message::Refused { stream: message.stream(), reason, detail }.to_bytes());
    }

    /// Gives the seat up, unless a newer link of the same peer has taken it.
    fn leave(mut self, serial: u64) {
        let mut children = lock(&self.hub.0.children);
        let own = children.get(&self.peer).is_some_and(|seat| seat.serial == serial);
        if own {
            children.remove(&self.peer);
        }
        drop(children);
        match own {
            true => {
                self.unsubscribe();
                lock(&self.hub.0.memory).forget(self.peer);
                self.hub.company().iter().for_each(|neighbours| neighbours.leave(&self.session));
            }
            false => self.stop_writer(),
        }
    }
}

/// Seals and sends while the link has room. A child that is too slow is thinned by the relay core meanwhile.
async fn write(hub: Hub, session: Session, handle: Handle, notify: Arc<Notify>) {
    let (mut path, mut looked_ms) = (session.path(), clock::now_ms());
    loop {
        notify.notified().await;
        loop {
            if session.writable().await.is_err() {
                return;
            }
            let now_ms = clock::now_ms();
            if now_ms.saturating_sub(looked_ms) >= LOOK_EVERY_MS {
                (path, looked_ms) = (session.path(), now_ms);
            }
            let (polled, more) = {
                let mut relay = lock(&hub.0.relay);
                (relay.poll(handle, now_ms, &hub.0.arena), relay.has_output(handle))
            };
            match polled {
                Ok(Some(transmit)) => {
                    send_media(&hub, &session, &path, transmit);
                    // What comes after this look gives notice.
                    if !more {
                        break;
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    tracing::info!(%error, "a subscription ended");
                    return;
                }
            }
        }
    }
}

fn send_media(hub: &Hub, session: &Session, path: &Path, transmit: Transmit) {
    let priority = priority(&transmit);
    let len = u64::try_from(transmit.message.len()).unwrap_or(u64::MAX);
    let message = transmit.message.into_bytes();
    let way = delivery::choose(path, kind(&transmit.hint, transmit.header.layer), message.len());
    match session.try_send_by(message, priority, way) {
        Ok(()) => {
            hub.0.forwarded.fetch_add(1, Ordering::Relaxed);
            hub.0.bytes.fetch_add(len, Ordering::Relaxed);
        }
        Err(_) => {
            hub.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What a chunk is to its receiver, for the choice of its way.
fn kind(hint: &Hint, layer: Layer) -> Kind {
    match (hint.audio, hint.key) {
        (true, _) => Kind::Audio,
        (false, true) => Kind::Key,
        (false, false) if layer == Layer::BASE => Kind::Base,
        (false, false) => Kind::Enhancement,
    }
}

fn priority(transmit: &Transmit) -> i32 {
    let Layer { spatial, temporal, quality } = transmit.header.layer;
    let depth = i32::from(spatial) + i32::from(temporal) + i32::from(quality);
    match (transmit.hint.audio, transmit.hint.key) {
        (true, _) => AUDIO,
        (false, true) => KEY - i32::from(spatial),
        (false, false) => BASE - depth,
    }
}
