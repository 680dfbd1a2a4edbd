//! The descriptions of a stream that is cut: each comes over an uplink of its own, and goes to children over a hub of
//! its own if this viewer carries for others.

use std::time::Duration;

use edge_alm::path::{Descriptions, SubStreamPath, stream_id};
use edge_net::Session;
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{Message, Recovery};
use edge_wire::id::{Fingerprint, StreamId};
use edge_wire::link::Hint;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{FAREWELL, Screen, Serving};
use crate::event::UplinkStats;
use crate::hub::Ending;
use crate::lane::{self, Lanes};
use crate::uplink::recent::Contents;
use crate::uplink::{Gauge, Handler, MAX_OUTGOING, Taken};
use crate::{Error, Shutdown};

/// Time until a description that nobody brings any more is asked for anew.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The running lanes of one viewer; dropping it ends them.
pub(super) struct Parts {
    wishes: Vec<(StreamId, mpsc::Sender<Message>)>,
    gauges: Vec<Gauge>,
    tasks: JoinSet<()>,
    /// Ends the lanes at once.
    stop: watch::Sender<bool>,
    /// The stream is over: a lane that ends is not begun again.
    over: watch::Sender<bool>,
}

impl Parts {
    /// No lanes: the whole stream has the pictures.
    pub(super) fn none() -> Self {
        Self {
            wishes: Vec::new(),
            gauges: Vec::new(),
            tasks: JoinSet::new(),
            stop: watch::channel(false).0,
            over: watch::channel(false).0,
        }
    }

    /// Begins to follow every description.
    pub(super) fn begin(
        &mut self,
        descriptions: Descriptions,
        lanes: &Lanes,
        screen: &Screen,
        serving: Option<&Serving>,
    ) -> Result<(), Error> {
        if descriptions == Descriptions::One || !self.wishes.is_empty() {
            return Ok(());
        }
        for (description, path) in (0..).zip(descriptions.leaves()) {
            let (up, outgoing) = mpsc::channel(MAX_OUTGOING);
            let stream = stream_id(lanes.whole, &path);
            let mut screen = Screen { description, hub: None, passed: Contents::default(), ..screen.clone() };
            if let Some(serving) = serving {
                let offering = &serving.offering;
                let (hub, wishes) = lane::hub(&path, &offering.neighbours, offering.room, &screen.reporter)?;
                offering.board.add(hub.clone());
                screen.hub = Some(hub);
                self.tasks.spawn(crate::relay::ask(wishes, up.clone(), stream));
            }
            let gauge = Gauge::default();
            let part = Part { lanes: lanes.clone(), path, gauge: gauge.clone(), screen: PartScreen(screen) };
            self.tasks.spawn(part.follow(outgoing, self.stop.subscribe(), self.over.subscribe()));
            self.gauges.push(gauge);
            self.wishes.push((stream, up));
        }
        Ok(())
    }

    /// Asks for a frame that helps a description; `false` when it is not one of these.
    pub(super) fn recover(&self, description: u8, need: Recovery) -> bool {
        let Some((stream, up)) = self.wishes.get(usize::from(description)) else { return false };
        // A full queue holds requests already.
        let _ = up.try_send(Message::Recover { stream: *stream, need });
        true
    }

    /// The ways up, by description.
    pub(super) fn stats(&self) -> Vec<UplinkStats> {
        self.gauges.iter().map(Gauge::stats).collect()
    }

    /// Ends the lanes; with the stream, after what is still on its way.
    pub(super) async fn finish(&mut self, ending: Ending) {
        // Requests from below are of no use any more, and their tasks end with their channels.
        self.wishes.clear();
        if ending == Ending::StreamOver {
            self.over.send_replace(true);
            let _ = timeout(FAREWELL, self.ended()).await;
        }
        self.stop.send_replace(true);
        let _ = timeout(FAREWELL, self.ended()).await;
        self.tasks.abort_all();
    }

    async fn ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

/// One description.
struct Part {
    lanes: Lanes,
    path: SubStreamPath,
    gauge: Gauge,
    screen: PartScreen,
}

impl Part {
    /// Follows parents until `stop`, or until the stream is over. The end of one lane alone is not that: whoever brings
    /// it later is followed again.
    async fn follow(mut self, mut outgoing: mpsc::Receiver<Message>, stop: Shutdown, over: Shutdown) {
        loop {
            let uplink = self.lanes.uplink(self.path, self.gauge.clone());
            let outcome = uplink.run(&mut self.screen, &mut outgoing, stop.clone()).await;
            self.screen.wayless();
            match &outcome {
                Ok(()) => tracing::debug!(path = ?self.path.as_bytes(), "a description ended"),
                Err(error) => tracing::info!(%error, path = ?self.path.as_bytes(), "nobody brings a description"),
            }
            tokio::select! {
                () = crate::ended(stop.clone()) => return,
                () = crate::ended(over.clone()) => return,
                () = sleep(AGAIN_AFTER) => {}
            }
        }
    }
}

/// The picture side of one description. The group and the sound come with the whole stream.
struct PartScreen(Screen);

impl Handler for PartScreen {
    fn connected(&mut self, _session: &Session, chain: &[Fingerprint], _why: &str) {
        if let Some(hub) = &self.0.hub {
            hub.set_chain([chain, &[self.0.own]].concat());
        }
    }

    fn media(&mut self, chunk: InnerSealed, hint: Hint) -> Taken {
        self.0.media(chunk, hint)
    }

    fn refused(&mut self) {
        self.0.refused();
    }

    fn control(&mut self, message: Message) {
        if let (Some(hub), Message::Ended { .. }) = (&self.0.hub, &message) {
            hub.carry(&message);
        }
    }

    fn accused(&mut self, parent: Fingerprint, misdeed: &str) {
        self.0.accused(parent, misdeed);
    }

    fn wayless(&mut self) {
        self.0.wayless();
    }

    fn disconnected(&mut self, _reason: &Error) {
        self.0.wayless();
    }
}
