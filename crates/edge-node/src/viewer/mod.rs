//! The viewer: joins the group, opens, decodes, records.

mod member;
mod opener;
mod parts;
mod playback;
mod record;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_alm::mesh::Opens;
use edge_alm::path::{Descriptions, stream_id};
use edge_identity::bundle::KeyBundle;
use edge_net::{CloseCode, Endpoint, Limits, Session};
use edge_wire::chunk::InnerSealed;
use edge_wire::control::{Message, Recovery, Role};
use edge_wire::id::{Fingerprint, StreamId};
use edge_wire::link::Hint;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::admission::Keys;
use crate::event::{Event, Reporter, Stats, WatchStats};
use crate::hub::{self, Board, Ending, Hub, Room, Upward};
use crate::lane::Lanes;
use crate::neighbours::Neighbours;
use crate::offering::Offering;
use crate::ticket::{Hop, Ticket};
use crate::uplink::recent::{Contents, Known};
use crate::uplink::{Gauge, Handler, Layers, MAX_OUTGOING, Parents, Taken};
use crate::{Error, Shutdown, clock, process};
use member::{Change, Member, Note};
use opener::{Opened, Opener};
use parts::Parts;
use playback::{Item, Playback};

const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long a viewer that ends may take to say so.
const FAREWELL: Duration = Duration::from_secs(1);
/// Time between two questions for missed commits.
const NUDGE_INTERVAL_MS: u64 = 300;
/// Changes of the group that may wait for the picture side.
const MAX_CHANGES: usize = 64;

/// What to watch and where to put it.
#[derive(Debug)]
pub struct Options {
    /// Identity.
    pub bundle: Arc<KeyBundle>,
    /// Stream, publisher and join secret.
    pub ticket: Ticket,
    /// Parents to use instead of the ticket's own.
    pub via: Vec<Hop>,
    /// Who may become a parent.
    pub parents: Parents,
    /// Carry the stream for others too.
    pub serve: Option<Serve>,
    /// Layers wanted.
    pub layers: Layers,
    /// Recording; the ending chooses: `.webm`, `.ivf`, `.y4m`, `.wav`; `-` writes WebM to standard output.
    pub out: Option<PathBuf>,
    /// PNG file for the latest picture, written at the end.
    pub picture: Option<PathBuf>,
    /// Text file with one line a decoded frame: `frame_number captured_unix_us decoded_unix_us spatial temporal`.
    pub trace: Option<PathBuf>,
    /// After a removal: stay on the link and count what still opens.
    pub after_removal: AfterRemoval,
}

/// How a viewer carries the stream for others.
#[derive(Debug, Clone)]
pub struct Serve {
    /// Address to listen on; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Addresses to offer; empty for the listening address itself.
    pub advertise: Vec<SocketAddr>,
    /// How much to carry at most.
    pub room: Room,
}

/// What a removed viewer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterRemoval {
    /// Ends.
    #[default]
    End,
    /// Goes on trying to open what the link brings, with every key it ever had.
    KeepTrying,
}

/// Watches until the stream is over, this viewer is removed, or `shutdown`.
pub async fn run(options: Options, reporter: Reporter, shutdown: Shutdown) -> Result<(), Error> {
    let mut viewer = Viewer::start(options, reporter.clone())?;
    let outcome = viewer.watch(shutdown).await;
    let finished = viewer.finish().await;
    let outcome = outcome.and(finished);
    let reason = outcome.as_ref().err().map_or("the stream is over".into(), ToString::to_string);
    reporter.send_last(Event::Done { reason }).await;
    outcome
}

struct Viewer {
    lanes: Lanes,
    parts: Parts,
    endpoint: Arc<Endpoint>,
    member: Option<Member>,
    screen: Screen,
    playback: Option<Playback>,
    channels: Option<Channels>,
    after_removal: AfterRemoval,
    reporter: Reporter,
    ending: Ending,
    /// Who is fed by this viewer, if it carries for others.
    board: Option<Board>,
    /// What serves children, if this viewer does; it ends with the viewer.
    tasks: JoinSet<()>,
}

/// The ends that the running tasks take.
struct Channels {
    up: mpsc::Sender<Message>,
    outgoing: mpsc::Receiver<Message>,
    changes: mpsc::Receiver<Change>,
    recoveries: mpsc::Receiver<(u8, Recovery)>,
    serving: Option<Serving>,
}

/// What a viewer needs to carry for others.
struct Serving {
    offering: Offering,
    wishes: mpsc::Receiver<Upward>,
    /// Kept until it is known which sub-streams there are: those who ask before that wait.
    asked: Option<mpsc::Receiver<StreamId>>,
}

impl Viewer {
    fn start(options: Options, reporter: Reporter) -> Result<Self, Error> {
        let Options { bundle, ticket, via, parents, serve, layers, out, picture, trace, after_removal } = options;
        let Some(secret) = &ticket.secret else { return Err(Error::NoSecret) };
        let listen = match &serve {
            Some(serve) => serve.listen,
            None => any_address(if via.is_empty() { &ticket.hops } else { &via }),
        };
        let endpoint = Arc::new(Endpoint::bind(bundle.clone(), listen, &Limits::default())?);
        let neighbours = Neighbours::new(ticket.stream, bundle.fingerprint());
        let serving = match serve {
            Some(serve) => Some(serving(&bundle, &ticket, &endpoint, (serve, &neighbours), &reporter)?),
            None => None,
        };
        let (up, outgoing) = mpsc::channel(MAX_OUTGOING);
        let (tell, changes) = mpsc::channel(MAX_CHANGES);
        let (recover, recoveries) = mpsc::channel(MAX_OUTGOING);
        let settings = playback::Settings {
            policy: layers.policy(),
            out,
            picture,
            trace,
            reporter: reporter.clone(),
            recover,
            started: std::time::Instant::now(),
        };
        let playback = Playback::start(settings)?;
        let opener = Opener::new(ticket.stream, ticket.publisher, after_removal);
        let (inbox, messages) = mpsc::channel(member::MAX_INBOX);
        let hub = serving.as_ref().and_then(|serving| serving.offering.board.hub(ticket.stream));
        let screen = Screen::new((opener, hub), (playback.sender(), inbox), &reporter, bundle.fingerprint());
        let member = Member {
            keys: Keys::new(secret, ticket.stream)?,
            bundle: bundle.clone(),
            stream: ticket.stream,
            publisher: ticket.publisher,
            up: up.clone(),
            changes: tell,
            reporter: reporter.clone(),
            inbox: messages,
        };
        let hops = if via.is_empty() { ticket.hops } else { via };
        let lanes = Lanes {
            endpoint: endpoint.clone(),
            own: bundle.fingerprint(),
            whole: ticket.stream,
            publisher: ticket.publisher,
            hops,
            layers,
            opens: Opens::Inner,
            role: if serving.is_some() { Role::Carrier } else { Role::Leaf },
            company: (parents == Parents::Any).then_some(neighbours),
        };
        Ok(Self {
            lanes,
            parts: Parts::none(),
            endpoint,
            member: Some(member),
            screen,
            playback: Some(playback),
            board: serving.as_ref().map(|serving| serving.offering.board.clone()),
            channels: Some(Channels { up, outgoing, changes, recoveries, serving }),
            after_removal,
            reporter,
            ending: Ending::Leaving,
            tasks: JoinSet::new(),
        })
    }

    async fn watch(&mut self, shutdown: Shutdown) -> Result<(), Error> {
        let (Some(member), Some(channels)) = (self.member.take(), self.channels.take()) else { return Ok(()) };
        let Channels { up, mut outgoing, mut changes, mut recoveries, mut serving } = channels;
        let uplink = self.lanes.main(self.screen.gauge.clone());
        let stream = uplink.stream;
        if let Some(Serving { offering, wishes, .. }) = &mut serving {
            offering.gauge = Some(self.screen.gauge.clone());
            let wishes = std::mem::replace(wishes, mpsc::channel(1).1);
            self.tasks.spawn(offering.board.clone().accept(self.endpoint.clone()));
            self.tasks.spawn(crate::relay::ask(wishes, up.clone(), stream));
            self.tasks.spawn(offering.clone().run());
        }
        let mut screen = self.screen.clone();
        let (stop, stopped) = watch::channel(false);
        let following = uplink.run(&mut screen, &mut outgoing, stopped);
        tokio::pin!(following);
        let mut joining = tokio::spawn(member.run());
        let mut member_lives = true;
        let mut ticks = tokio::time::interval(REPORT_EVERY);
        let inbox = self.screen.inbox.clone();
        // Told to leave, the member says so and ends, and with it the link; with or without it, the link ends soon.
        let farewell = async {
            crate::ended(shutdown).await;
            let _ = tokio::time::timeout(FAREWELL, async {
                let _ = inbox.send(Note::Leave).await;
                inbox.closed().await;
            })
            .await;
            stop.send_replace(true);
        };
        tokio::pin!(farewell);
        let mut leaving = false;
        loop {
            tokio::select! {
                () = &mut farewell, if !leaving => leaving = true,
                over = &mut following => {
                    joining.abort();
                    if over.is_ok() && !leaving {
                        self.ending = Ending::StreamOver;
                    }
                    self.parts.finish(self.ending).await;
                    return over;
                }
                ended = &mut joining, if member_lives => {
                    member_lives = false;
                    ended.unwrap_or(Err(Error::Crashed("the group's follower")))?;
                }
                Some(change) = changes.recv() => match change {
                    Change::Evicted if self.after_removal == AfterRemoval::End => return Ok(()),
                    change => self.change(change, serving.as_mut())?,
                },
                Some((description, need)) = recoveries.recv() => {
                    if !self.parts.recover(description, need) {
                        let _ = up.try_send(Message::Recover { stream, need });
                    }
                }
                _ = ticks.tick() => match self.playback.as_ref().is_some_and(Playback::ended) {
                    // Its error is told when the viewer finishes.
                    true => return Ok(()),
                    false => self.report(),
                },
            }
        }
    }

    fn change(&mut self, change: Change, serving: Option<&mut Serving>) -> Result<(), Error> {
        let Change::Admitted(.., description, _) = &change else {
            self.screen.change(change);
            return Ok(());
        };
        let descriptions = description.descriptions;
        if descriptions != Descriptions::One {
            let lanes = descriptions.leaves().iter().map(|path| stream_id(self.lanes.whole, path)).collect();
            self.screen.opener().cut(lanes);
        }
        self.screen.change(change);
        self.parts.begin(descriptions, &self.lanes, &self.screen, serving.as_deref())?;
        if let Some(serving) = serving {
            serving.asked = None;
        }
        Ok(())
    }

    fn report(&self) {
        if let Some(playback) = &self.playback {
            let stats = self.complete(playback.stats());
            self.reporter.send(Event::Stats(Stats::Watch(stats)));
        }
    }

    fn complete(&self, stats: WatchStats) -> WatchStats {
        WatchStats { lanes: self.parts.stats(), ..self.screen.complete(stats) }
    }

    async fn finish(mut self) -> Result<(), Error> {
        if let Some(board) = &self.board {
            board.finish(self.ending, FAREWELL).await;
        }
        self.endpoint.close(CloseCode::DONE, "the viewer ended");
        let Some(playback) = self.playback.take() else { return Ok(()) };
        let finished = tokio::task::spawn_blocking(|| playback.finish()).await;
        let stats = finished.unwrap_or(Err(Error::Crashed("the decoder")))?;
        let stats = self.complete(stats);
        self.reporter.send_last(Event::Stats(Stats::Watch(stats))).await;
        self.endpoint.wait_idle().await;
        Ok(())
    }
}

/// The network's side of the picture: opens chunks and hands frames to the decoder.
#[derive(Clone)]
struct Screen {
    opener: Arc<Mutex<Opener>>,
    items: SyncSender<Item>,
    inbox: mpsc::Sender<Note>,
    nudged_ms: u64,
    reporter: Reporter,
    own: Fingerprint,
    /// The description that comes this way; 0 for a stream that is not cut.
    description: u8,
    /// Feeds this viewer's children, if it carries for others.
    hub: Option<Hub>,
    gauge: Gauge,
    /// What children were given lately.
    passed: Contents,
}

impl Screen {
    fn new(
        (opener, hub): (Opener, Option<Hub>),
        (items, inbox): (SyncSender<Item>, mpsc::Sender<Note>),
        reporter: &Reporter,
        own: Fingerprint,
    ) -> Self {
        Self {
            opener: Arc::new(Mutex::new(opener)),
            items,
            inbox,
            nudged_ms: 0,
            reporter: reporter.clone(),
            own,
            description: 0,
            hub,
            gauge: Gauge::default(),
            passed: Contents::default(),
        }
    }

    fn change(&self, change: Change) {
        match change {
            Change::Admitted(epoch, dek, description, welcomed) => {
                self.hand_over(Item::Description(description, welcomed));
                self.install(epoch, &dek);
            }
            Change::Epoch(epoch, dek) => self.install(epoch, &dek),
            Change::Evicted => self.opener().remove(),
        }
    }

    fn install(&self, epoch: edge_wire::id::Epoch, dek: &edge_seal::EpochDek) {
        self.hand_over(Item::Epoch(epoch.0));
        let opened = self.opener().install(epoch, dek);
        opened.into_iter().for_each(|(description, payload)| self.hand_over(Item::Payload(description, payload)));
    }

    /// Lets the member ask for what it missed, but not at every chunk.
    fn nudge(&mut self) {
        let now_ms = clock::now_ms();
        if now_ms.saturating_sub(self.nudged_ms) >= NUDGE_INTERVAL_MS {
            self.nudged_ms = now_ms;
            let _ = self.inbox.try_send(Note::Behind);
        }
    }

    /// A decoder that is too slow loses frames and asks for a recovery, instead of falling behind for good.
    fn hand_over(&self, item: Item) {
        if self.items.try_send(item).is_err() {
            tracing::warn!("the decoder is behind: a frame was dropped");
        }
    }

    fn opener(&self) -> MutexGuard<'_, Opener> {
        self.opener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what the network side counted.
    fn complete(&self, stats: WatchStats) -> WatchStats {
        let counts = self.opener().counts();
        WatchStats {
            chunks_received: counts.received,
            chunks_opened: counts.opened,
            chunks_relabelled: counts.relabelled,
            chunks_unopened: counts.unopened,
            chunks_offered_after_removal: counts.offered_after_removal,
            frames_opened_after_removal: counts.opened_after_removal,
            uplink: Box::new(self.gauge.stats()),
            children: self.hub.as_ref().map_or(0, Hub::children),
            cpu_s: process::cpu_s(),
            ..stats
        }
    }
}

impl Handler for Screen {
    fn connected(&mut self, session: &Session, chain: &[Fingerprint], why: &str) {
        if let Some(hub) = &self.hub {
            hub.set_chain([chain, &[self.own]].concat());
        }
        let parent = session.peer();
        self.reporter.send(Event::Connected {
            parent: parent.key_id().to_string(),
            fingerprint: parent.fingerprint().to_string(),
            depth: chain.len(),
            why: why.to_owned(),
        });
        self.nudge();
    }

    fn media(&mut self, chunk: InnerSealed, hint: Hint) -> Taken {
        let passed_on = self.hub.is_some().then(|| chunk.clone());
        let opened = self.opener().push(chunk);
        let taken = match opened {
            Opened::Payload(payload) => {
                let age_us = clock::unix_us().saturating_sub(payload.header.captured_us);
                let age_ms = (payload.header.captured_us > 0).then(|| u32::try_from(age_us / 1000).unwrap_or(u32::MAX));
                self.hand_over(Item::Payload(self.description, payload));
                Taken::Good { age_ms }
            }
            Opened::Waiting => {
                self.nudge();
                Taken::Held
            }
            Opened::Early => Taken::Held,
            Opened::Dropped => Taken::Useless,
            Opened::Forged => Taken::Forged,
        };
        // A member gives its children nothing that it found forged or past, and what waits for its key once only.
        if let (Some(hub), Some(chunk), Taken::Good { .. } | Taken::Held) = (&self.hub, passed_on, taken) {
            let known = self.passed.compare((chunk.header.epoch.0, chunk.header.seq.0), self.own, &chunk).known;
            // What was passed on unopened may have been the wrong one.
            if known == Known::New || (known != Known::Same && matches!(taken, Taken::Good { .. })) {
                hub.forward(chunk, hint);
            }
        }
        taken
    }

    fn refused(&mut self) {
        tracing::debug!("a media message did not open on the link");
    }

    fn control(&mut self, message: Message) {
        if let Some(hub) = &self.hub {
            hub.carry(&message);
        }
        // A commit that is lost here is missed, noticed and asked for again.
        let _ = self.inbox.try_send(Note::Message(message));
    }

    fn accused(&mut self, parent: Fingerprint, misdeed: &str) {
        self.reporter.send(Event::Accused { parent: parent.to_string(), misdeed: misdeed.to_owned() });
    }

    fn wayless(&mut self) {
        if let Some(hub) = &self.hub {
            hub.set_chain(Vec::new());
        }
    }

    fn disconnected(&mut self, reason: &Error) {
        self.wayless();
        self.reporter.send(Event::Disconnected { reason: reason.to_string() });
    }
}

/// Everything that a viewer needs to carry for others.
fn serving(
    bundle: &Arc<KeyBundle>,
    ticket: &Ticket,
    endpoint: &Endpoint,
    (serve, neighbours): (Serve, &Neighbours),
    reporter: &Reporter,
) -> Result<Serving, Error> {
    let hops = crate::ticket::own_hops(bundle, endpoint.local_addr()?, &serve.advertise);
    let (hub, wishes) = Hub::new(hub::Settings {
        stream: ticket.stream,
        limits: edge_relay::Limits::default(),
        room: serve.room,
        neighbours: Some(neighbours.clone()),
        reporter: reporter.clone(),
    })?;
    let (board, asked) = Board::new(hub);
    let offering =
        Offering { bundle: bundle.clone(), hops, board, neighbours: neighbours.clone(), room: serve.room, gauge: None };
    Ok(Serving { offering, wishes, asked: Some(asked) })
}

/// Viewers dial out only, in the address family of the preferred hop.
pub(crate) fn any_address(hops: &[Hop]) -> SocketAddr {
    match hops.first().is_some_and(|hop| hop.addr.is_ipv6()) {
        true => SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, 0)),
        false => SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, 0)),
    }
}
