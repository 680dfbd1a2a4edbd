//! The way up: finds a parent among the hops, subscribes, opens the outer layer, and comes back when the parent
//! is gone.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use edge_link::Receiver;
use edge_net::{CloseCode, Endpoint, Expect, Session};
use edge_wire::chunk::{InnerSealed, Sealed};
use edge_wire::control::Message;
use edge_wire::id::{Fingerprint, StreamId};
use edge_wire::layer::Policy;
use edge_wire::link::{Hint, Media};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::hub::{subscriber_id, transit_context};
use crate::ticket::Hop;
use crate::{Error, Shutdown};

/// Messages to the parent that may wait.
pub const MAX_OUTGOING: usize = 64;

/// How long the last requests may take to be acknowledged.
const FAREWELL: Duration = Duration::from_secs(1);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(4);
/// How long a node without a parent tries before it gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// A link that lasted less counts as no link.
const STEADY: Duration = Duration::from_secs(2);
/// The same for a node that never had one: a wrong ticket should be told soon.
const FIRST_PATIENCE: Duration = Duration::from_secs(5);

/// What a node does with what comes from above. Calls must return at once.
pub trait Handler: Send {
    /// A parent granted the subscription; `chain` leads from the publisher to it.
    fn connected(&mut self, session: &Session, chain: &[Fingerprint]);
    /// One chunk, its outer layer opened.
    fn media(&mut self, chunk: InnerSealed, hint: Hint);
    /// A media message that did not open or parse.
    fn refused(&mut self);
    /// A control message for this node or for peers below.
    fn control(&mut self, message: Message);
    /// The parent is gone; the uplink looks for one again.
    fn disconnected(&mut self, reason: &Error);
}

/// Which stream to fetch, and from whom.
#[derive(Debug)]
pub struct Uplink {
    /// Own endpoint.
    pub endpoint: Arc<Endpoint>,
    /// Own fingerprint.
    pub own: Fingerprint,
    /// The stream.
    pub stream: StreamId,
    /// Possible parents, the preferred one first.
    pub hops: Vec<Hop>,
    /// Layers wanted.
    pub policy: Policy,
}

/// Why the present parent is left.
enum Ending {
    /// The node ends.
    Shutdown,
    /// The stream is over.
    StreamOver,
    /// The link broke.
    Lost(Error),
}

impl Uplink {
    /// Runs until the stream is over, `shutdown`, or nobody can be reached for too long.
    pub async fn run(
        self,
        handler: &mut dyn Handler,
        mut outgoing: mpsc::Receiver<Message>,
        shutdown: Shutdown,
    ) -> Result<(), Error> {
        let mut subscription = 0_u32;
        let mut deadline = Instant::now() + FIRST_PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut last = Error::NoAnswer;
            for hop in &self.hops {
                subscription = subscription.wrapping_add(1);
                let dialed = tokio::select! {
                    () = crate::ended(shutdown.clone()) => return Ok(()),
                    dialed = self.dial(hop, subscription) => dialed,
                };
                let link = match dialed {
                    Ok(link) => link,
                    Err(error) => {
                        last = error;
                        continue;
                    }
                };
                handler.connected(&link.session, &link.chain);
                let since = Instant::now();
                match self.follow(link, handler, &mut outgoing, &shutdown).await {
                    Ending::Shutdown | Ending::StreamOver => return Ok(()),
                    Ending::Lost(error) => {
                        handler.disconnected(&error);
                        last = error;
                    }
                }
                if since.elapsed() >= STEADY {
                    pause = FIRST_PAUSE;
                    deadline = Instant::now() + PATIENCE;
                }
            }
            if Instant::now() >= deadline {
                return Err(last);
            }
            tokio::select! {
                () = crate::ended(shutdown.clone()) => return Ok(()),
                () = sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
            }
        }
    }

    async fn dial(&self, hop: &Hop, subscription: u32) -> Result<Link, Error> {
        let unreachable = |source| Error::Unreachable { hop: hop.to_string(), source };
        let expect = Expect::Fingerprint(hop.fingerprint);
        let session = self.endpoint.connect(hop.addr, hop.transport_key, expect).await.map_err(unreachable)?;
        let wish = Message::Subscribe { stream: self.stream, subscription, policy: self.policy };
        session.send_control(&wish.to_bytes()).await.map_err(|_| Error::Parent("closed before the subscription"))?;
        match timeout(ANSWER_TIMEOUT, self.answer(&session, subscription)).await {
            Ok(chain) => {
                let chain = chain?;
                let context = transit_context(self.stream, subscription);
                let key = session.transit_key(session.inbound(), &context)?;
                let name = subscriber_id(self.own).map_err(|_| Error::Parent("fingerprint"))?;
                let receiver = Receiver::new(key, name.as_bytes());
                Ok(Link { session, receiver, chain })
            }
            Err(_) => Err(Error::Parent("no answer to the subscription")),
        }
    }

    /// Waits for the grant.
    async fn answer(&self, session: &Session, wanted: u32) -> Result<Vec<Fingerprint>, Error> {
        loop {
            let bytes = session.recv_control().await?;
            match Message::parse(&bytes).map_err(|_| Error::Parent("malformed control message"))? {
                Message::Subscribed { stream, subscription, chain }
                    if stream == self.stream && subscription == wanted =>
                {
                    return match chain.contains(&self.own) {
                        true => Err(Error::Parent("this node is on the parent's own way to the publisher")),
                        false => Ok(chain),
                    };
                }
                Message::Refused { detail, .. } => return Err(Error::ParentRefused { detail }),
                // What goes to everybody below may come first; a member asks again for what it misses.
                Message::Commit { .. } | Message::Tree { .. } | Message::Down { .. } => {}
                _ => return Err(Error::Parent("unexpected answer to the subscription")),
            }
        }
    }

    async fn follow(
        &self,
        mut link: Link,
        handler: &mut dyn Handler,
        outgoing: &mut mpsc::Receiver<Message>,
        shutdown: &Shutdown,
    ) -> Ending {
        let over = crate::ended(shutdown.clone());
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => {
                    while let Ok(message) = outgoing.try_recv() {
                        let _ = link.session.try_send_control(&message.to_bytes());
                    }
                    link.session.finish(CloseCode::DONE, "the peer ended", FAREWELL).await;
                    return Ending::Shutdown;
                }
                message = link.session.recv_message() => match message {
                    Ok(bytes) => self.media(&mut link.receiver, &bytes, handler),
                    Err(error) => return Ending::Lost(error.into()),
                },
                message = link.session.recv_control() => match message.map(|bytes| Message::parse(&bytes)) {
                    Ok(Ok(Message::Ended { stream })) if stream == self.stream => {
                        self.last_media(&mut link, handler).await;
                        handler.control(Message::Ended { stream });
                        return Ending::StreamOver;
                    }
                    Ok(Ok(message)) if message.stream() == self.stream => handler.control(message),
                    Ok(Ok(_)) => {}
                    Ok(Err(_)) => {
                        link.session.close(CloseCode::PROTOCOL, "malformed control message");
                        return Ending::Lost(Error::Parent("malformed control message"));
                    }
                    Err(error) => return Ending::Lost(error.into()),
                },
                Some(message) = outgoing.recv() => {
                    if let Err(error) = link.session.try_send_control(&message.to_bytes()) {
                        tracing::debug!(%error, "a request to the parent was not sent");
                    }
                }
            }
        }
    }

    /// The parent sends its last word only after all media was acknowledged, so what is left is here already.
    async fn last_media(&self, link: &mut Link, handler: &mut dyn Handler) {
        while let Ok(Ok(bytes)) = timeout(Duration::from_millis(50), link.session.recv_message()).await {
            self.media(&mut link.receiver, &bytes, handler);
        }
    }

    fn media(&self, receiver: &mut Receiver, message: &Bytes, handler: &mut dyn Handler) {
        let opened = Media::parse(message).ok().and_then(|media| {
            let chunk = Sealed::parse(media.chunk).ok()?;
            chunk.header.check().ok()?;
            (chunk.header.stream == self.stream).then_some(())?;
            Some((receiver.open(media.seq, &chunk).ok()?, media.hint))
        });
        match opened {
            Some((chunk, hint)) => handler.media(chunk, hint),
            None => handler.refused(),
        }
    }
}

/// A parent that granted the subscription.
struct Link {
    session: Session,
    receiver: Receiver,
    chain: Vec<Fingerprint>,
}
