//! Why a demo could not be played to its end.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ends the demo without a verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum Error {
    /// A process could not be started.
    #[error("cannot start {name}")]
    Start {
        /// Who.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A process ended before its time.
    #[error("{name} ended too early ({exit}); its last words:\n{last_words}")]
    Ended {
        /// Who.
        name: String,
        /// How it ended.
        exit: String,
        /// The end of its standard error.
        last_words: String,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {limit:?}: is this machine very busy?\n{missing}")]
    TimedOut {
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
        /// Who did not do it.
        missing: String,
    },
    /// A process that is needed told no ticket, or took no command.
    #[error("{name} did not {what}")]
    Silent {
        /// Who.
        name: String,
        /// What was needed of it.
        what: &'static str,
    },
    /// A file could not be used.
    #[error("cannot {action} {path}", path = path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A person ended the demo.
    #[error("interrupted: there is no report")]
    Interrupted,
}

impl Error {
    /// A failed file operation.
    pub(super) fn file(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }
}
