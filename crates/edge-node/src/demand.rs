//! Sub-streams that a relay carries because somebody asks for them: it cannot read into how many a stream is cut.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use edge_alm::path::SubStreamPath;
use edge_wire::id::StreamId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::Shutdown;
use crate::event::Reporter;
use crate::hub::{Board, Ending, Hub, Room, sub_streams};
use crate::lane::{self, Lanes};
use crate::neighbours::Neighbours;
use crate::relay::{Carrier, ask, ending};
use crate::uplink::{Gauge, MAX_OUTGOING};

/// How long a sub-stream is carried while nobody wants it.
const IDLE: Duration = Duration::from_secs(30);
/// Time between two looks whether anybody does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long sub-streams may take to end, and each to tell its children.
const FAREWELL: Duration = Duration::from_secs(2);

/// Begins and ends lanes. The sub-streams that there can be are their bound.
#[derive(Debug, Clone)]
pub(crate) struct Demand {
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) board: Board,
    pub(crate) neighbours: Neighbours,
    pub(crate) room: Room,
    pub(crate) received: Arc<AtomicU64>,
    pub(crate) reporter: Reporter,
}

impl Demand {
    /// Carries what is asked for until `over` says how the stream ended here.
    pub(crate) async fn run(self, mut asked: mpsc::Receiver<StreamId>, mut over: watch::Receiver<Option<Ending>>) {
        let paths = sub_streams(self.board.whole());
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                _ = over.wait_for(Option::is_some) => break,
                Some(stream) = asked.recv() => {
                    let path = paths.iter().find(|(_, lane)| *lane == stream).map(|(path, _)| *path);
                    if let Some(path) = path.filter(|_| self.board.hub(stream).is_none()) {
                        self.begin(path, &mut running, &stopped);
                    }
                }
                Some(_) = running.join_next() => {}
            }
        }
        let ending = *over.borrow();
        if ending == Some(Ending::StreamOver) {
            // The last pictures are on their way down.
            let _ = timeout(FAREWELL, all(&mut running)).await;
        }
        stop.send_replace(true);
        let _ = timeout(FAREWELL, all(&mut running)).await;
    }

    fn begin(&self, path: SubStreamPath, running: &mut JoinSet<()>, stopped: &Shutdown) {
        let (hub, wishes) = match lane::hub(&path, &self.neighbours, self.room, &self.reporter) {
            Ok(made) => made,
            Err(error) => return tracing::warn!(%error, "a sub-stream cannot be carried"),
        };
        self.board.add(hub.clone());
        tracing::info!(path = ?path.as_bytes(), "a sub-stream is carried from now on");
        let (up, outgoing) = mpsc::channel(MAX_OUTGOING);
        let asking = tokio::spawn(ask(wishes, up, hub.stream()));
        let carrying = self.clone().carry(path, hub, outgoing, stopped.clone());
        running.spawn(async move {
            carrying.await;
            asking.abort();
        });
    }

    /// Carries one sub-stream until nobody wants it, nobody has it, or `stopped`.
    async fn carry(
        self,
        path: SubStreamPath,
        hub: Hub,
        mut outgoing: mpsc::Receiver<edge_wire::control::Message>,
        stopped: Shutdown,
    ) {
        let own = self.lanes.own;
        let mut carrier =
            Carrier { hub: hub.clone(), own, received: self.received, reporter: self.reporter, told: None };
        let (stop, shutdown) = watch::channel(false);
        let following = self.lanes.uplink(path, Gauge::default()).run(&mut carrier, &mut outgoing, shutdown.clone());
        let parting = async {
            tokio::select! {
                () = crate::ended(stopped) => {}
                () = idle(&hub) => {}
            }
            stop.send_replace(true);
        };
        tokio::pin!(following, parting);
        let mut parted = false;
        let outcome = loop {
            tokio::select! {
                outcome = &mut following => break outcome,
                () = &mut parting, if !parted => parted = true,
            }
        };
        if let Err(error) = &outcome {
            tracing::info!(%error, path = ?path.as_bytes(), "a sub-stream is not carried any more");
        }
        // Who asks from now on finds a new lane.
        self.board.remove(&hub);
        hub.finish(ending(&outcome, &shutdown), FAREWELL).await;
    }
}

/// Resolves when nobody has wanted what `hub` carries for a while.
async fn idle(hub: &Hub) {
    let mut wanted = Instant::now();
    while wanted.elapsed() < IDLE {
        sleep(LOOK_EVERY).await;
        if hub.children() > 0 {
            wanted = Instant::now();
        }
    }
}

async fn all(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}
