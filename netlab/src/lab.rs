//! The laboratory: hosts, links between them, and what can be done to both.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;

use edge_sim::link::Model;

use crate::emulator::network::{Counters, Network};
use crate::emulator::usage::Usage;
use crate::emulator::{Emulator, Plug};
use crate::namespace::{self, Namespace};
use crate::{Child, Error};

/// Most hosts of one laboratory.
pub const HOSTS_MAX: usize = 128;
/// Largest IP packet that a host sends unless [`Settings::mtu`] says otherwise, in bytes.
const MTU: u16 = 1500;

/// What a laboratory begins as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How many hosts, at most [`HOSTS_MAX`].
    pub hosts: usize,
    /// Every link between two hosts, in each direction.
    pub model: Model,
    /// Seed of loss and jitter. What programs send when is up to them and the kernel, so that equal seeds do not give
    /// equal runs.
    pub seed: u64,
    /// Largest IP packet, in bytes.
    pub mtu: u16,
}

/// One host by number, below [`Settings::hosts`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(pub usize);

impl Host {
    /// Its address.
    pub fn address(self) -> IpAddr {
        // There are fewer hosts than addresses: see HOSTS_MAX.
        let last = u8::try_from(self.0 + 1).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, 77, 0, last).into()
    }

    /// A socket address on it.
    pub fn socket(self, port: u16) -> SocketAddr {
        SocketAddr::new(self.address(), port)
    }
}

/// Hosts in namespaces and the emulator between them. Dropping it removes all of it.
#[derive(Debug)]
pub struct Lab {
    // Dropped in this order: nothing is sent to a device that is gone.
    emulator: Emulator,
    namespaces: Vec<Namespace>,
}

impl Lab {
    /// A laboratory whose links are all like `model`. Remains of killed laboratories are removed first.
    pub fn new(hosts: usize, model: Model, seed: u64) -> Result<Self, Error> {
        Self::with(Settings { hosts, model, seed, mtu: MTU })
    }

    /// The same with everything said.
    pub fn with(settings: Settings) -> Result<Self, Error> {
        if !(1..=HOSTS_MAX).contains(&settings.hosts) {
            return Err(Error::Hosts { hosts: settings.hosts });
        }
        namespace::check().map_err(|why| Error::Unavailable { why })?;
        namespace::remove_stale();
        let mut namespaces = Vec::with_capacity(settings.hosts);
        let mut plugs = Vec::with_capacity(settings.hosts);
        for (number, name) in namespace::names(settings.hosts).into_iter().enumerate() {
            let namespace = Namespace::create(name)?;
            let IpAddr::V4(address) = Host(number).address() else { continue };
            plugs.push(Plug { device: namespace.device(address, settings.mtu)?, mtu: settings.mtu });
            namespaces.push(namespace);
        }
        let network = Network::new(settings.hosts, settings.model, settings.seed);
        Ok(Self { emulator: Emulator::start(network, plugs)?, namespaces })
    }

    /// Every host, in order.
    pub fn hosts(&self) -> impl Iterator<Item = Host> + use<> {
        (0..self.namespaces.len()).map(Host)
    }

    /// Changes the link between two hosts, in both directions, for packets sent from now on.
    pub fn set(&self, one: Host, other: Host, model: Model) {
        self.set_one_way(one, other, model);
        self.set_one_way(other, one, model);
    }

    /// Changes the link of packets from one host to another.
    pub fn set_one_way(&self, from: Host, to: Host, model: Model) {
        self.emulator.network().set(from.0, to.0, model);
    }

    /// What all packets of one host share, on top of the links between pairs: its way out and its way in.
    pub fn set_access(&self, host: Host, out: Model, into: Model) {
        self.emulator.network().set_access(host.0, out, into);
    }

    /// Cuts `side` off from everybody else; hosts within it, and hosts outside of it, go on reaching each other. What
    /// is on the wire arrives. A second partition splits further.
    pub fn partition(&self, side: &[Host]) {
        let side: Vec<usize> = side.iter().map(|host| host.0).collect();
        self.emulator.network().partition(&side);
    }

    /// Ends all partitions. Dead hosts stay dead.
    pub fn heal(&self) {
        self.emulator.network().heal();
    }

    /// The death of a host: from now on nothing enters or leaves it, then its processes are killed. What it sent is
    /// still on its way.
    pub fn kill(&self, host: Host) {
        self.emulator.network().set_dead(host.0);
        if let Some(namespace) = self.namespaces.get(host.0) {
            namespace.kill_all();
        }
    }

    /// A dead host is connected again; its programs are not started again.
    pub fn revive(&self, host: Host) {
        self.emulator.network().set_alive(host.0);
    }

    /// A command that runs `program` on a host, for [`Lab::spawn`] or to be run at once. The process that is started
    /// is the program itself: its id and its exit status are the program's.
    pub fn command(&self, host: Host, program: impl AsRef<Path>) -> Command {
        self.namespace(host).command(program.as_ref())
    }

    /// Starts a [`Lab::command`] with the arguments and pipes that were added to it, ahead of other work on this
    /// machine.
    pub fn spawn(&self, command: &mut Command) -> Result<Child, Error> {
        Child::start(command)
    }

    /// Runs `inside` on a thread of its own on a host, and returns what it returns. Sockets opened there belong to the
    /// host and can be used from any thread.
    pub fn within<T: Send>(&self, host: Host, inside: impl FnOnce() -> T + Send) -> Result<T, Error> {
        self.namespace(host).within(inside)
    }

    /// What became of the packets from one host to another.
    pub fn counters(&self, from: Host, to: Host) -> Counters {
        self.emulator.network().counters(from.0, to.0)
    }

    /// What the emulator did and cost so far.
    pub fn usage(&self) -> Usage {
        self.emulator.usage()
    }

    /// A host's namespace; a number that is no host's means the last.
    fn namespace(&self, host: Host) -> &Namespace {
        let last = self.namespaces.len() - 1;
        &self.namespaces[host.0.min(last)]
    }
}
