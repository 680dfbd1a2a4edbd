//! What can go wrong.

use std::io;

/// Why a laboratory could not be set up or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This machine or user cannot have a laboratory.
    #[error("no network laboratory here")]
    Unavailable {
        /// What is missing.
        #[source]
        why: Missing,
    },
    /// Too few or too many hosts.
    #[error("a laboratory has 1 to {max} hosts, not {hosts}", max = crate::HOSTS_MAX)]
    Hosts {
        /// How many were asked for.
        hosts: usize,
    },
    /// `ip` refused.
    #[error("`ip {arguments}` failed: {message}")]
    Ip {
        /// What it was asked to do.
        arguments: String,
        /// What it said.
        message: String,
    },
    /// A program could not be started or waited for.
    #[error("{program} cannot be run")]
    Run {
        /// Its name.
        program: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A host's namespace could not be entered.
    #[error("namespace {namespace} cannot be entered")]
    Enter {
        /// Its name.
        namespace: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A host's network device could not be made.
    #[error("no network device for {namespace}")]
    Device {
        /// The host's namespace.
        namespace: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The emulator's thread could not be started.
    #[error("the emulator cannot be started")]
    Emulator(#[source] io::Error),
}

impl Error {
    /// What happened and why, in one line.
    pub fn explained(&self) -> String {
        let mut told = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            told += &format!(": {error}");
            cause = error.source();
        }
        told
    }
}

/// What a laboratory needs and this machine or user lacks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// Namespaces and devices need root.
    #[error("run as root")]
    Root,
    /// The `ip` program.
    #[error("install iproute2: `ip` cannot be run")]
    Ip(#[source] io::Error),
    /// The kernel's TUN driver.
    #[error("/dev/net/tun cannot be opened")]
    Tun(#[source] io::Error),
    /// The right to make network namespaces, which containers often take away.
    #[error("network namespaces are not allowed: {message}")]
    Namespaces {
        /// What `ip` said.
        message: String,
    },
}
