//! A publisher that is killed comes back as the same stream: its viewer goes on by itself, in an epoch that was never
//! used.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest time that one step may take; far above what it needs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that is killed when the test ends, and its events.
struct Role {
    child: Child,
    events: Receiver<Value>,
}

impl Role {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edge"));
        command.args(["--json"]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (tell, events) = sync_channel(4096);
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    let _ = tell.send(event);
                }
            }
        });
        Self { child, events }
    }

    fn wait<T>(&self, what: &str, mut pick: impl FnMut(&Value) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) => {
                    if let Some(picked) = pick(&event) {
                        return picked;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("no {what} in time"),
                Err(RecvTimeoutError::Disconnected) => panic!("ended before {what}"),
            }
        }
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keygen(folder: &Path, name: &str) -> String {
    let path = folder.join(format!("{name}.key")).display().to_string();
    let made =
        Command::new(env!("CARGO_BIN_EXE_edge")).args(["keygen", "--id", name, "--out", &path]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    path
}

fn publish(folder: &Path, key: &str, listen: &str) -> Role {
    let state = folder.join("state").display().to_string();
    Role::start(&["publish", "pattern:320x180@30", "--listen", listen, "--key", key, "--state", &state])
}

fn ticket(publisher: &Role) -> String {
    publisher.wait("ticket", |event| (event["event"] == "ready").then(|| event["ticket"].as_str().unwrap().to_owned()))
}

/// Frames decoded and epoch, once `enough` frames are decoded.
fn watched(viewer: &Role, enough: u64) -> (u64, u64) {
    viewer.wait("pictures", |event| {
        let decoded = event["frames_decoded"].as_u64().filter(|_| event["event"] == "stats")?;
        (decoded >= enough).then(|| (decoded, event["epoch"].as_u64().unwrap()))
    })
}

#[test]
fn a_viewer_goes_on_when_its_publisher_was_killed_and_came_back() {
    let folder = tempfile::tempdir().unwrap();
    let (publisher_key, viewer_key) = (keygen(folder.path(), "publisher"), keygen(folder.path(), "viewer"));
    let listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let first = publish(folder.path(), &publisher_key, &listen);
    let handed_out = ticket(&first);
    let viewer = Role::start(&["watch", &handed_out, "--key", &viewer_key]);
    let (before, used) = watched(&viewer, 30);
    drop(first);

    let second = publish(folder.path(), &publisher_key, &listen);
    assert_eq!(ticket(&second), handed_out, "tickets that were handed out stay good");
    let (after, epoch) = watched(&viewer, before + 60);
    assert!(after >= before + 60);
    assert!(epoch > used, "the viewer is in epoch {epoch}, and {used} was in use before");
}

#[test]
fn a_ticket_is_good_from_the_moment_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let key = keygen(folder.path(), "publisher");
    let listen = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let first = publish(folder.path(), &key, &listen);
    let shown = ticket(&first);
    drop(first);
    assert_eq!(ticket(&publish(folder.path(), &key, &listen)), shown);
}

#[test]
fn two_publishers_cannot_use_one_state() {
    let folder = tempfile::tempdir().unwrap();
    let key = keygen(folder.path(), "publisher");
    let first = publish(folder.path(), &key, "127.0.0.1:0");
    ticket(&first);
    let state = folder.path().join("state").display().to_string();
    let mut second = Command::new(env!("CARGO_BIN_EXE_edge"));
    second.args(["publish", "pattern", "--listen", "127.0.0.1:0", "--duration", "1", "--key", &key, "--state", &state]);
    let refused = second.stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("in use by another publisher"), "{refused:?}");
}
