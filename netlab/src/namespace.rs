//! Network namespaces through the `ip` program, and the remains of laboratories that were killed.

use std::fs::{self, File, OpenOptions};
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tun_rs::{DeviceBuilder, SyncDevice};

use crate::error::{Error, Missing};

/// What the name of every namespace of every laboratory begins with.
const PREFIX: &str = "edgelab-";
/// Where `ip` keeps named namespaces.
const FOLDER: &str = "/run/netns";
/// The one device of a host.
const DEVICE: &str = "tun0";

/// Laboratories that this process made.
static LABS: AtomicU32 = AtomicU32::new(0);

/// Names that no other laboratory on this machine uses; the owner's process id is part of them.
pub(crate) fn names(count: usize) -> Vec<String> {
    let lab = LABS.fetch_add(1, Ordering::Relaxed);
    (0..count).map(|host| format!("{PREFIX}{}-{lab}-{host}", std::process::id())).collect()
}

/// Checks that this machine and user can have namespaces and devices.
pub(crate) fn check() -> Result<(), Missing> {
    if !geteuid().is_root() {
        return Err(Missing::Root);
    }
    let version = Command::new("ip").arg("-V").stdin(Stdio::null()).output();
    version.map_err(Missing::Ip)?;
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    tun.map(drop).map_err(Missing::Tun)
}

/// Removes what laboratories left whose process is gone.
pub(crate) fn remove_stale() {
    let Ok(entries) = fs::read_dir(FOLDER) else { return };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let stale = |name: &String| {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists())
    };
    names.filter(stale).for_each(|name| drop(Namespace(name)));
}

/// A network namespace; it goes with its processes when this is dropped.
#[derive(Debug)]
pub(crate) struct Namespace(String);

impl Namespace {
    /// A new one.
    pub(crate) fn create(name: String) -> Result<Self, Error> {
        match ip(&["netns", "add", &name]) {
            Ok(_) => Ok(Self(name)),
            Err(Error::Ip { message, .. }) => Err(Error::Unavailable { why: Missing::Namespaces { message } }),
            Err(other) => Err(other),
        }
    }

    /// Makes its device, with an address out of a /24, and takes it up.
    pub(crate) fn device(&self, address: Ipv4Addr, mtu: u16) -> Result<SyncDevice, Error> {
        let made = self.within(|| {
            let device = DeviceBuilder::new().name(DEVICE).build_sync()?;
            device.set_nonblocking(true)?;
            Ok(device)
        })?;
        let device = made.map_err(|source| Error::Device { namespace: self.0.clone(), source })?;
        let (address, mtu) = (format!("{address}/24"), mtu.to_string());
        ip(&["-n", &self.0, "link", "set", "lo", "up"])?;
        ip(&["-n", &self.0, "address", "add", &address, "dev", DEVICE])?;
        ip(&["-n", &self.0, "link", "set", DEVICE, "mtu", &mtu, "up"])?;
        Ok(device)
    }

    /// A command that runs `program` inside.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program);
        command
    }

    /// Runs `inside` on a thread inside; sockets and devices that it opens belong there for good.
    pub(crate) fn within<T: Send>(&self, inside: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let entered = || {
            let namespace = File::open(Path::new(FOLDER).join(&self.0))?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(inside())
        };
        let run = std::thread::scope(|scope| scope.spawn(entered).join());
        let run = run.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        run.map_err(|source| Error::Enter { namespace: self.0.clone(), source })
    }

    /// Kills every process inside, without a word.
    pub(crate) fn kill_all(&self) {
        let Ok(listed) = ip(&["netns", "pids", &self.0]) else { return };
        let ids = listed.split_ascii_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?));
        for id in ids {
            // It may have ended by itself meanwhile.
            let _ = kill_process(id, Signal::KILL);
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.kill_all();
        // What cannot be removed now, the next laboratory removes.
        let _ = ip(&["netns", "delete", &self.0]);
    }
}

/// Runs `ip` and returns what it printed.
fn ip(arguments: &[&str]) -> Result<String, Error> {
    let run = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = run.map_err(|source| Error::Run { program: "ip".into(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Ip { arguments: arguments.join(" "), message })
}
