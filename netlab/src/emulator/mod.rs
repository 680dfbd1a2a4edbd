//! The thread that carries packets between hosts.

pub(crate) mod network;
pub(crate) mod usage;
mod wire;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tun_rs::SyncDevice;

use crate::Error;
use network::Network;
use usage::Usage;

/// A host's end of the emulator.
pub(crate) struct Plug {
    /// The host's device.
    pub(crate) device: SyncDevice,
    /// Largest packet that it sends, in bytes.
    pub(crate) mtu: u16,
}

/// A running emulator; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Emulator {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and its owner both see.
#[derive(Debug)]
struct Shared {
    network: Mutex<Network>,
    usage: Mutex<Usage>,
    stopped: AtomicBool,
}

impl Emulator {
    /// Begins to carry; host numbers are places in `plugs`.
    pub(crate) fn start(network: Network, plugs: Vec<Plug>) -> Result<Self, Error> {
        let (network, usage) = (Mutex::new(network), Mutex::new(Usage::default()));
        let shared = Arc::new(Shared { network, usage, stopped: AtomicBool::new(false) });
        let seen = Arc::clone(&shared);
        let carry = move || wire::carry(&plugs, &seen);
        let thread = std::thread::Builder::new().name("netlab".into()).spawn(carry).map_err(Error::Emulator)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// The links, for changes that hold from the next packet on.
    pub(crate) fn network(&self) -> MutexGuard<'_, Network> {
        lock(&self.shared.network)
    }

    /// What it did and cost so far, at most [`wire::IDLE`] ago.
    pub(crate) fn usage(&self) -> Usage {
        lock(&self.shared.usage).clone()
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked said so already.
            let _ = thread.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
