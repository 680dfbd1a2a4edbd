//! A program on a host.

use std::ops::{Deref, DerefMut};
use std::process::Command;

use rustix::process::setpriority_process;

use crate::Error;

/// Hosts stand for machines of their own: they go before other work here, and behind the emulator.
const PRIORITY: i32 = -10;

/// A process that is killed when it is dropped.
#[derive(Debug)]
pub struct Child(std::process::Child);

impl Child {
    pub(crate) fn start(command: &mut Command) -> Result<Self, Error> {
        // A child inherits the priority of the thread that starts it; this process keeps its own.
        let start = || {
            // Without the right to it, the program shares the processor with all others.
            let _ = setpriority_process(None, PRIORITY);
            command.spawn()
        };
        let started = std::thread::scope(|scope| scope.spawn(start).join());
        let started = started.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let program = || command.get_program().to_string_lossy().into_owned();
        started.map(Self).map_err(|source| Error::Run { program: program(), source })
    }
}

impl Deref for Child {
    type Target = std::process::Child;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Child {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A process that already ended needs neither.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
