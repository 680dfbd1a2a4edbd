//! One parent's link: dials, subscribes, opens the outer layer and passes on what comes.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edge_link::{Incoming, Receiver};
use edge_net::{CloseCode, Endpoint, Session};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{Message, Refusal, Role};
use edge_wire::id::{Fingerprint, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::Hint;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::dial;
use crate::Error;
use crate::hub::{subscriber_id, transit_context};
use crate::neighbours::Neighbours;
use crate::ticket::Hop;

/// Orders that may wait for one link.
pub(super) const MAX_ORDERS: usize = 64;

/// How long the last requests may take to be acknowledged.
const FAREWELL: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a link without a subscription stays, so that offers come over it.
const LINGER: Duration = Duration::from_millis(1500);
/// How long each piece of media that was sent before the parent's last word may take, and all of it.
const LAST_MEDIA: Duration = Duration::from_millis(50);
/// Messages of a parent that are read after it ended the link.
const LAST_WORDS_MAX: usize = 64;
const ALL_LAST_MEDIA: Duration = Duration::from_secs(1);

/// What the uplink tells a link.
#[derive(Debug)]
pub(super) enum Order {
    /// Other layers from now on.
    Policy(Policy),
    /// Pass this on to the parent.
    Message(Message),
    /// End, politely.
    Finish,
}

/// What a link tells the uplink, with the number of the link.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) peer: Fingerprint,
    pub(super) serial: u64,
    pub(super) news: News,
}

#[derive(Debug)]
pub(super) enum News {
    /// The subscription stands; `chain` leads from the publisher to the parent.
    Linked(Session, Vec<Fingerprint>),
    /// There will be no subscription.
    Refused(Failure),
    /// One chunk, its outer layer opened.
    Media(InnerSealed, Hint),
    /// A media message that did not open or parse.
    Unopened,
    /// A control message about the stream.
    Control(Message),
    /// The link is over.
    Lost(Error),
}

/// Why a subscription did not come about.
#[derive(Debug)]
pub(super) struct Failure {
    /// What the peer said, if it said anything.
    pub(super) refusal: Option<Refusal>,
    pub(super) error: Error,
    /// Round trip to the peer, if it answered at all.
    pub(super) rtt: Option<Duration>,
}

/// What one link needs to know.
pub(super) struct Link {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) own: Fingerprint,
    pub(super) stream: StreamId,
    /// Addresses of one peer; never empty.
    pub(super) hops: Vec<Hop>,
    pub(super) policy: Policy,
    pub(super) role: Role,
    pub(super) neighbours: Option<Neighbours>,
    pub(super) serial: u64,
    pub(super) reports: mpsc::Sender<Report>,
}

/// A granted subscription.
struct Granted {
    session: Session,
    receiver: Receiver,
    chain: Vec<Fingerprint>,
}

impl Link {
    /// Lives as long as the link; its last report is `Refused` or `Lost`.
    pub(super) async fn run(self, mut orders: mpsc::Receiver<Order>) {
        let peer = self.hops.first().map_or(Fingerprint([0; 32]), |hop| hop.fingerprint);
        let mut early = Vec::new();
        let established = tokio::select! {
            established = self.establish() => established,
            () = given_up(&mut orders, &mut early) => {
                Err(Failure { refusal: None, error: Error::Ended, rtt: None })
            }
        };
        let mut granted = match established {
            Ok(granted) => granted,
            Err(failure) => return self.report(peer, News::Refused(failure)).await,
        };
        let news = News::Linked(granted.session.clone(), std::mem::take(&mut granted.chain));
        self.report(peer, news).await;
        for order in early {
            match order {
                Order::Policy(policy) => self.send(&granted, &Message::SetPolicy { stream: self.stream, policy }),
                Order::Message(message) => self.send(&granted, &message),
                Order::Finish => {}
            }
        }
        let error = self.follow(&mut granted, peer, &mut orders).await;
        if let Some(neighbours) = &self.neighbours {
            neighbours.leave(&granted.session);
        }
        self.report(peer, News::Lost(error)).await;
    }

    async fn report(&self, peer: Fingerprint, news: News) {
        // Without a reader the uplink is gone, and this link ends with it.
        let _ = self.reports.send(Report { peer, serial: self.serial, news }).await;
    }

    async fn establish(&self) -> Result<Granted, Failure> {
        match dial::any(&self.endpoint, &self.hops).await {
            Ok(session) => self.subscribe(session).await,
            Err(error) => Err(Failure { refusal: None, error, rtt: None }),
        }
    }

    async fn subscribe(&self, session: Session) -> Result<Granted, Failure> {
        let mut attempt = Attempt { session: session.clone(), neighbours: self.neighbours.clone(), is_open: true };
        if let Some(neighbours) = &self.neighbours {
            neighbours.join(&session);
        }
        let (stream, policy, role) = (self.stream, self.policy, self.role);
        let wish = Message::Subscribe { stream, subscription: 1, policy, role };
        let granted = match session.send_control(&wish.to_bytes()).await {
            Err(_) => Err((None, Error::Parent("closed before the subscription"))),
            Ok(()) => match timeout(ANSWER_TIMEOUT, self.answer(&session)).await {
                Ok(Ok(chain)) => self.key(&session).map_err(|error| (None, error)).map(|receiver| (receiver, chain)),
                Ok(Err(refused)) => Err(refused),
                Err(_) => Err((None, Error::Parent("no answer to the subscription"))),
            },
        };
        attempt.is_open = false;
        match granted {
            Ok((receiver, chain)) => Ok(Granted { session, receiver, chain }),
            Err((refusal, error)) => {
                let rtt = Some(session.rtt());
                self.part(session);
                Err(Failure { refusal, error, rtt })
            }
        }
    }

    /// Ends a link without a subscription, after it had time to tell of others that have room.
    fn part(&self, session: Session) {
        let (neighbours, stream) = (self.neighbours.clone(), self.stream);
        tokio::spawn(async move {
            if let Some(neighbours) = &neighbours {
                let _ = timeout(LINGER, listen(&session, neighbours, stream)).await;
                neighbours.leave(&session);
            }
            session.finish(CloseCode::DONE, "no subscription", FAREWELL).await;
        });
    }

    fn key(&self, session: &Session) -> Result<Receiver, Error> {
        let key = session.transit_key(session.inbound(), &transit_context(self.stream, 1))?;
        let name = subscriber_id(self.own).map_err(|_| Error::Parent("fingerprint"))?;
        Ok(Receiver::new(key, name.as_bytes()))
    }

    /// Waits for the grant.
    async fn answer(&self, session: &Session) -> Result<Vec<Fingerprint>, (Option<Refusal>, Error)> {
        loop {
            let bytes = session.recv_control().await.map_err(|error| (None, error.into()))?;
            let malformed = |_| (None, Error::Parent("malformed control message"));
            match Message::parse(&bytes).map_err(malformed)? {
                Message::Subscribed { stream, subscription: 1, chain } if stream == self.stream => {
                    return match chain.contains(&self.own) {
                        true => Err((
                            Some(Refusal::Loop),
                            Error::Parent("this node is on the parent's own way to the publisher"),
                        )),
                        false => Ok(chain),
                    };
                }
                Message::Refused { reason, detail, .. } => {
                    return Err((Some(reason), Error::ParentRefused { detail }));
                }
                message @ Message::Ended { .. } if message.stream() == self.stream => {
                    self.report(session.peer().fingerprint(), News::Control(message)).await;
                    return Err((None, Error::Parent("there is nothing to subscribe to any more")));
                }
                message if Neighbours::takes(&message) => {
                    if let Some(neighbours) = &self.neighbours {
                        neighbours.hear(session, message);
                    }
                }
                // What goes to everybody below may come first; a member asks again for what it misses.
                Message::Commit { .. } | Message::Tree { .. } | Message::Down { .. } | Message::Rerouted { .. } => {}
                _ => return Err((None, Error::Parent("unexpected answer to the subscription"))),
            }
        }
    }

    async fn follow(&self, granted: &mut Granted, peer: Fingerprint, orders: &mut mpsc::Receiver<Order>) -> Error {
        loop {
            tokio::select! {
                message = granted.session.recv_message() => match message {
                    Ok(bytes) => self.media(granted, peer, bytes).await,
                    Err(error) => {
                        self.last_words(granted, peer).await;
                        return error.into();
                    }
                },
                message = granted.session.recv_control() => match message.map(|bytes| Message::parse(&bytes)) {
                    Ok(Ok(Message::Refused { stream, detail, .. })) if stream == self.stream => {
                        // Another parent is looked for at once, not after the farewell.
                        let session = granted.session.clone();
                        tokio::spawn(async move {
                            session.finish(CloseCode::DONE, "the parent refuses", FAREWELL).await;
                        });
                        return Error::ParentRefused { detail };
                    }
                    Ok(Ok(message)) => self.control(granted, peer, message).await,
                    Ok(Err(_)) => {
                        granted.session.close(CloseCode::PROTOCOL, "malformed control message");
                        return Error::Parent("malformed control message");
                    }
                    Err(error) => return error.into(),
                },
                order = orders.recv() => match order {
                    Some(Order::Policy(policy)) => {
                        self.send(granted, &Message::SetPolicy { stream: self.stream, policy });
                    }
                    Some(Order::Message(message)) => self.send(granted, &message),
                    Some(Order::Finish) | None => {
                        while let Ok(Order::Message(message)) = orders.try_recv() {
                            self.send(granted, &message);
                        }
                        granted.session.finish(CloseCode::DONE, "the peer ended", FAREWELL).await;
                        return Error::Ended;
                    }
                },
            }
        }
    }

    /// Hears what the parent said before it ended the link, which may not have been read yet.
    async fn last_words(&self, granted: &mut Granted, peer: Fingerprint) {
        for _ in 0..LAST_WORDS_MAX {
            let Ok(Ok(bytes)) = timeout(LAST_MEDIA, granted.session.recv_control()).await else { return };
            let Ok(message) = Message::parse(&bytes) else { return };
            self.control(granted, peer, message).await;
        }
    }

    fn send(&self, granted: &Granted, message: &Message) {
        if let Err(error) = granted.session.try_send_control(&message.to_bytes()) {
            tracing::debug!(%error, "a request to the parent was not sent");
        }
    }

    async fn control(&self, granted: &mut Granted, peer: Fingerprint, message: Message) {
        if message.stream() != self.stream {
            return;
        }
        if Neighbours::takes(&message) {
            if let Some(neighbours) = &self.neighbours {
                neighbours.hear(&granted.session, message);
            }
            return;
        }
        if matches!(message, Message::Ended { .. }) {
            // The parent sends its last word only after all media was acknowledged, so what is left is here already.
            // One that goes on all the same is heard no longer than this.
            let _ = timeout(ALL_LAST_MEDIA, async {
                while let Ok(Ok(bytes)) = timeout(LAST_MEDIA, granted.session.recv_message()).await {
                    self.media(granted, peer, bytes).await;
                }
            })
            .await;
        }
        self.report(peer, News::Control(message)).await;
    }

    async fn media(&self, granted: &mut Granted, peer: Fingerprint, message: Bytes) {
        let opened = self.open(granted, message);
        let news = opened.map_or(News::Unopened, |(chunk, hint)| News::Media(chunk, hint));
        self.report(peer, news).await;
    }

    fn open(&self, granted: &mut Granted, message: Bytes) -> Option<(InnerSealed, Hint)> {
        let message = match message.try_into_mut() {
            // A chunk may be kept for long, and its buffer with it.
            Ok(roomy) if roomy.capacity() / 2 > roomy.len() => BytesMut::from(&roomy[..]),
            Ok(message) => message,
            Err(shared) => BytesMut::from(shared),
        };
        let incoming = Incoming::parse(message).ok()?;
        incoming.header().check().ok()?;
        (incoming.header().stream == self.stream).then_some(())?;
        let hint = incoming.hint();
        Some((granted.receiver.open_in_place(incoming).ok()?, hint))
    }
}

/// A subscription that is asked for. If nobody waits for the answer any more, the link ends at once: a parent that
/// grants it would feed nobody.
struct Attempt {
    session: Session,
    neighbours: Option<Neighbours>,
    is_open: bool,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.is_open {
            self.neighbours.iter().for_each(|neighbours| neighbours.leave(&self.session));
            self.session.close(CloseCode::DONE, "the peer waits no longer");
        }
    }
}

/// Resolves when the link is not wanted any more; other orders are kept.
async fn given_up(orders: &mut mpsc::Receiver<Order>, early: &mut Vec<Order>) {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Finish => return,
            order if early.len() < MAX_ORDERS => early.push(order),
            _ => {}
        }
    }
}

/// Hears offers until the link ends.
async fn listen(session: &Session, neighbours: &Neighbours, stream: StreamId) {
    while let Ok(bytes) = session.recv_control().await {
        match Message::parse(&bytes) {
            Ok(message) if message.stream() == stream && Neighbours::takes(&message) => {
                neighbours.hear(session, message);
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
