//! Runs one role: starts it, shows what it reports, ends it on Ctrl-C.

use std::future::Future;
use std::io::{BufRead, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use edge_node::event::{Event, Reporter};
use edge_node::metrics::{self, Metrics};
use edge_node::publisher::{Command, Repeat, Source};
use edge_node::ticket::Ticket;
use edge_node::uplink::{Layers, Parents};
use edge_node::{Error, Shutdown, outsider, publisher, relay, viewer};
use tokio::sync::{mpsc, watch};

use crate::Failure;
use crate::args::{self, ticket};
use crate::console::{Console, ShowStats};
use crate::signals::end_on_signal;
use crate::status::Status;
use crate::{keys, qr};

/// Commands that may wait.
const MAX_COMMANDS: usize = 16;
/// Longest command line, in bytes.
const MAX_COMMAND_LEN: usize = 1024;

/// `edge publish`.
pub(crate) fn publish(publish: args::Publish, console: &Console) -> Result<ExitCode, Failure> {
    let source = publish.source()?;
    let piped = matches!(&source, Source::Input(name) | Source::Raw { name, .. } if name == "-");
    let listens = !piped && (publish.commands || std::io::stdin().is_terminal());
    let options = publisher::Options {
        bundle: keys::identity(&publish.identity, console)?,
        listen: publish.listen,
        advertise: publish.advertise,
        source,
        audio: publish.audio,
        mode: publish.svc,
        bitrate_kbps: publish.bitrate,
        descriptions: publish.mdc,
        duration: publish.duration.map(Duration::try_from_secs_f64).transpose()?,
        repeat: if publish.repeat { Repeat::Forever } else { Repeat::Once },
        wait_for: publish.wait_for,
        room: publish.carry.room(),
        state: publish.state,
    };
    let (commands, orders) = mpsc::channel(MAX_COMMANDS);
    if listens {
        read_commands(commands, console.clone());
    }
    let shown = Shown { console: console.clone(), stats: ShowStats::Hidden, status: None, metrics: publish.metrics };
    play(shown, |reporter, shutdown| publisher::run(options, orders, reporter, shutdown))
}

/// `edge relay`.
pub(crate) fn relay(relay: args::Relay, console: &Console) -> Result<ExitCode, Failure> {
    let options = relay::Options {
        ticket: ticket(&relay.ticket, "ticket")?,
        bundle: keys::identity(&relay.identity, console)?,
        listen: relay.listen,
        advertise: relay.advertise,
        parents: parents(relay.fixed),
        room: relay.carry.room(),
    };
    let shown = Shown { console: console.clone(), stats: ShowStats::Hidden, status: None, metrics: relay.metrics };
    play(shown, |reporter, shutdown| relay::run(options, reporter, shutdown))
}

/// `edge watch`.
pub(crate) fn watch(watch: args::Watch, console: &Console) -> Result<ExitCode, Failure> {
    let to_stdout = watch.out.as_ref().is_some_and(|out| out.as_os_str() == "-");
    let console = if to_stdout { console.beside_media() } else { console.clone() };
    let via: Vec<Ticket> = watch.via.iter().map(|text| ticket(text, "--via")).collect::<Result<_, _>>()?;
    let wanted = ticket(&watch.ticket, "ticket")?;
    if via.iter().any(|via| via.stream != wanted.stream) {
        return Err("--via: that ticket is for another stream".into());
    }
    let serve = watch.relay.then(|| viewer::Serve {
        listen: watch.listen,
        advertise: watch.advertise,
        room: watch.carry.room(),
    });
    let options = viewer::Options {
        bundle: keys::identity(&watch.identity, &console)?,
        ticket: wanted,
        parents: parents(watch.fixed || !via.is_empty()),
        via: via.into_iter().flat_map(|via| via.hops).collect(),
        serve,
        layers: if watch.pin_layers { Layers::Pinned(watch.layers) } else { Layers::UpTo(watch.layers) },
        out: watch.out,
        picture: watch.picture,
        trace: watch.trace,
        after_removal: watch.after_removal.into(),
    };
    let stats = if watch.stats { ShowStats::Each } else { ShowStats::Hidden };
    let live = watch.stats && console.is_terminal() && !console.is_json();
    let status = live.then(Status::default);
    let shown = Shown { console, stats, status, metrics: watch.metrics };
    play(shown, |reporter, shutdown| viewer::run(options, reporter, shutdown))
}

/// `edge outsider`.
pub(crate) fn outsider(outsider: &args::Outsider, console: &Console) -> Result<ExitCode, Failure> {
    let options = outsider::Options {
        ticket: ticket(&outsider.ticket, "ticket")?,
        bundle: keys::identity(&outsider.identity, console)?,
    };
    let shown = Shown { console: console.clone(), stats: ShowStats::Each, status: None, metrics: None };
    play(shown, |reporter, shutdown| outsider::run(options, reporter, shutdown))
}

fn parents(fixed: bool) -> Parents {
    if fixed { Parents::Fixed } else { Parents::Any }
}

/// How a role's reports are shown.
struct Shown {
    console: Console,
    stats: ShowStats,
    status: Option<Status>,
    metrics: Option<SocketAddr>,
}

fn play<F>(shown: Shown, role: impl FnOnce(Reporter, Shutdown) -> F) -> Result<ExitCode, Failure>
where
    F: Future<Output = Result<(), Error>> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        let (reporter, events) = Reporter::channel();
        let (stop, shutdown) = watch::channel(false);
        let metrics = Metrics::default();
        if let Some(addr) = shown.metrics {
            let serving = metrics::serve(addr, metrics.clone(), shutdown.clone());
            let warn = reporter.clone();
            tokio::spawn(async move {
                if let Err(error) = serving.await {
                    warn.warn(format!("metrics are not served on {addr}: {error}"));
                }
            });
        }
        let ending = tokio::spawn(end_on_signal(stop));
        let showing = tokio::spawn(show(events, shown, metrics));
        let outcome = tokio::spawn(role(reporter, shutdown)).await;
        let _ = showing.await;
        ending.abort();
        outcome
    });
    // A thread that waits for standard input must not keep the process.
    runtime.shutdown_background();
    outcome??;
    Ok(ExitCode::SUCCESS)
}

async fn show(mut events: mpsc::Receiver<Event>, mut shown: Shown, metrics: Metrics) {
    while let Some(event) = events.recv().await {
        metrics.observe(&event);
        shown.show(&event);
    }
}

impl Shown {
    fn show(&mut self, event: &Event) {
        let Some(status) = &mut self.status else {
            self.console.event(event, self.stats);
            return self.show_code(event);
        };
        if !status.takes(event) {
            self.console.text(status.make_room(event));
            self.console.event(event, ShowStats::Hidden);
        }
        match event {
            Event::Done { .. } => {}
            _ => self.console.text(&status.draw()),
        }
    }

    /// The ticket for viewers once more, for a camera.
    fn show_code(&self, event: &Event) {
        if let Event::Ready { ticket: Some(ticket), .. } = event
            && !self.console.is_json()
            && self.console.is_terminal()
            && let Some(code) = qr::render(ticket)
        {
            self.console.text(&code);
        }
    }
}

fn read_commands(commands: mpsc::Sender<Command>, console: Console) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match command(&line) {
                Some(command) => {
                    if commands.blocking_send(command).is_err() {
                        return;
                    }
                }
                None if line.trim().is_empty() => {}
                None if console.is_json() => tracing::warn!("unknown command"),
                None => console.line("commands: members, remove NAME, rotate"),
            }
        }
    });
}

fn command(line: &str) -> Option<Command> {
    if line.len() > MAX_COMMAND_LEN {
        return None;
    }
    match line.trim().split_once(' ') {
        Some(("remove", name)) => Some(Command::Remove(name.trim().to_owned())),
        None if line.trim() == "rotate" => Some(Command::Rotate),
        None if line.trim() == "members" => Some(Command::Members),
        _ => None,
    }
}
