//! What the scenarios share.
#![allow(dead_code, unreachable_pub, reason = "each scenario uses some of it")]

pub mod roles;

use std::io::Write;
use std::net::UdpSocket;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge_netlab::{Error, GATE, Host, Lab, Settings};
use edge_sim::link::Model;

/// Laboratories measure time: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A laboratory that no other test of this program disturbs.
pub struct Alone {
    pub lab: Lab,
    _alone: MutexGuard<'static, ()>,
}

/// A laboratory, or `None` after a line that says why `test` is skipped.
pub fn lab(test: &str, hosts: usize, model: Model) -> Option<Alone> {
    if !edge_netlab::is_wanted() {
        say(&format!("skipped: {test}: set {GATE}=1 and run as root to have it run"));
        return None;
    }
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    match Lab::with(Settings { hosts, model, seed: 7, mtu: 1500 }) {
        Ok(lab) => Some(Alone { lab, _alone: alone }),
        Err(error @ Error::Unavailable { .. }) => {
            say(&format!("skipped: {test}: {}", error.explained()));
            None
        }
        Err(error) => panic!("{}", error.explained()),
    }
}

/// Writes past the test harness, which hides what passing tests print.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

pub fn ms(ms: u64) -> Model {
    Model { delay_us: ms * 1000, ..Model::default() }
}

/// A socket on `host` whose reads end after a second.
pub fn socket(lab: &Lab, host: Host) -> UdpSocket {
    let socket = lab.within(host, || UdpSocket::bind(host.socket(0)).unwrap()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket
}

/// Whether a datagram from one socket reaches the other.
pub fn reaches(from: &UdpSocket, to: &UdpSocket) -> bool {
    let number: [u8; 8] = std::process::id().to_le_bytes().repeat(2).try_into().unwrap();
    from.send_to(&number, to.local_addr().unwrap()).unwrap();
    let mut buffer = [0; 16];
    to.recv_from(&mut buffer).is_ok_and(|(len, sender)| buffer[..len] == number && sender == from.local_addr().unwrap())
}
