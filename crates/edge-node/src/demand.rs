//! Sub-streams that a relay carries because somebody asks for them: it cannot read into how many a stream is cut.
//!
//! It can hear it: the publisher's own signed advertisement names every path that there is. Without this, one
//! newcomer's wish for a path that the stream is not cut into would make each relay ask others for it, and these again
//! others. A relay that hears no advertisements, as its parents are laid by hand, asks only these, and gives up soon.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use edge_alm::path::{SubStreamPath, stream_id};
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
use crate::uplink::{Gauge, MAX_OUTGOING, Parents};

/// How long a sub-stream is carried while nobody wants it.
const IDLE: Duration = Duration::from_secs(30);
/// How long a sub-stream that the publisher was not heard to have may take to come: a little longer than newcomers
/// wait.
const TRIAL: Duration = Duration::from_secs(5);
/// Time between two looks whether anybody does.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long sub-streams may take to end, and each to tell its children.
const FAREWELL: Duration = Duration::from_secs(2);

/// Why a sub-stream may be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    /// The publisher says that it is there.
    Stated,
    /// Nobody says that it is not, and few are asked.
    Trial,
}

/// What to do about a newcomer's wish for a sub-stream that is not carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Carry(Ground),
    /// The publisher is soon heard of; the newcomer goes on asking meanwhile.
    Wait,
    Deny,
}

/// Decides by what the publisher `stated` about the sub-stream.
fn decide(stated: Option<bool>, parents: Parents) -> Decision {
    match (stated, parents) {
        (Some(true), _) => Decision::Carry(Ground::Stated),
        (Some(false), _) => Decision::Deny,
        (None, Parents::Any) => Decision::Wait,
        (None, Parents::Fixed) => Decision::Carry(Ground::Trial),
    }
}

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
                        self.consider(path, &mut running, &stopped);
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

    fn consider(&self, path: SubStreamPath, running: &mut JoinSet<()>, stopped: &Shutdown) {
        let stated = self.neighbours.carries(self.lanes.publisher, &path);
        let parents = if self.lanes.company.is_some() { Parents::Any } else { Parents::Fixed };
        match decide(stated, parents) {
            Decision::Carry(ground) => self.begin((path, ground), running, stopped),
            Decision::Wait => {}
            Decision::Deny => self.board.deny(stream_id(self.board.whole(), &path)),
        }
    }

    fn begin(&self, (path, ground): (SubStreamPath, Ground), running: &mut JoinSet<()>, stopped: &Shutdown) {
        let (hub, wishes) = match lane::hub(&path, &self.neighbours, self.room, &self.reporter) {
            Ok(made) => made,
            Err(error) => return tracing::warn!(%error, "a sub-stream cannot be carried"),
        };
        self.board.add(hub.clone());
        tracing::info!(path = ?path.as_bytes(), "a sub-stream is carried from now on");
        let (up, outgoing) = mpsc::channel(MAX_OUTGOING);
        let asking = tokio::spawn(ask(wishes, up, hub.stream()));
        let carrying = self.clone().carry((path, ground), hub, outgoing, stopped.clone());
        running.spawn(async move {
            carrying.await;
            asking.abort();
        });
    }

    /// Carries one sub-stream until nobody wants it, nobody has it, its trial was in vain, or `stopped`.
    async fn carry(
        self,
        (path, ground): (SubStreamPath, Ground),
        hub: Hub,
        mut outgoing: mpsc::Receiver<edge_wire::control::Message>,
        stopped: Shutdown,
    ) {
        let own = self.lanes.own;
        let mut carrier = Carrier {
            hub: hub.clone(),
            own,
            received: self.received.clone(),
            reporter: self.reporter.clone(),
            told: None,
        };
        let (stop, shutdown) = watch::channel(false);
        let following = self.lanes.uplink(path, Gauge::default()).run(&mut carrier, &mut outgoing, shutdown.clone());
        let parting = async {
            tokio::select! {
                () = crate::ended(stopped) => {}
                () = idle(&hub) => {}
                () = in_vain(&hub, ground) => self.board.deny(hub.stream()),
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
            self.board.deny(hub.stream());
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

/// Resolves when a trial has shown that no parent brings what `hub` is for.
async fn in_vain(hub: &Hub, ground: Ground) {
    sleep(TRIAL).await;
    if !failed(hub, ground) {
        std::future::pending::<()>().await;
    }
}

/// What is stated may be full everywhere for a while.
fn failed(hub: &Hub, ground: Ground) -> bool {
    ground == Ground::Trial && hub.chain().is_empty()
}

async fn all(running: &mut JoinSet<()>) {
    while running.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use edge_wire::id::Fingerprint;

    use super::*;

    #[test]
    fn a_wish_for_a_path_that_the_publisher_does_not_state_makes_no_relay_ask_others() {
        assert_eq!(decide(Some(false), Parents::Any), Decision::Deny);
        assert_eq!(decide(None, Parents::Any), Decision::Wait);
        assert_eq!(decide(Some(true), Parents::Any), Decision::Carry(Ground::Stated));
        assert_eq!(decide(None, Parents::Fixed), Decision::Carry(Ground::Trial), "only parents laid by hand are asked");
    }

    #[test]
    fn a_trial_without_a_way_has_failed_and_what_is_stated_has_not() {
        let neighbours = Neighbours::new(StreamId([1; 32]), Fingerprint([2; 32]));
        let path = sub_streams(neighbours.stream())[0].0;
        let (hub, _) = lane::hub(&path, &neighbours, Room::default(), &Reporter::channel().0).unwrap();
        assert!(failed(&hub, Ground::Trial) && !failed(&hub, Ground::Stated));
        hub.set_chain(vec![Fingerprint([3; 32])]);
        assert!(!failed(&hub, Ground::Trial));
    }
}
