//! What a check can find.

use std::fmt;

/// One finding and its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// Path from the repository's root.
    pub(crate) file: String,
    /// First line concerned, from 1.
    pub(crate) line: usize,
    /// What is wrong there.
    pub(crate) kind: Kind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum Kind {
    /// The file is not Rust.
    #[error("does not parse: {0}")]
    Syntax(String),
    /// A function is too long.
    #[error("function `{name}` has {lines} lines, at most {bound}: split it by what it does")]
    LongFunction {
        /// Its name.
        name: String,
        /// From signature to closing brace.
        lines: usize,
        /// The limit.
        bound: usize,
    },
    /// A file is too long.
    #[error("{lines} lines outside tests, at most {bound}: one noun, one module")]
    LongFile {
        /// Lines outside tests.
        lines: usize,
        /// The limit.
        bound: usize,
    },
    /// A line is too wide.
    #[error("{width} columns, at most {bound}")]
    WideLine {
        /// Columns outside string literals.
        width: usize,
        /// The limit.
        bound: usize,
    },
    /// A comment tells about something other than the code as it is.
    #[error("comment says `{text}`: {why}")]
    Comment {
        /// The words found.
        text: String,
        /// Why they do not belong there.
        why: &'static str,
    },
    /// Unfinished or switched-off code.
    #[error("`{0}` has no place in the tree: finish it or remove it")]
    Unfinished(&'static str),
    /// A path that exists on one machine only.
    #[error("names a folder of one machine (`{0}`)")]
    MachinePath(&'static str),
    /// A file that is named and does not exist.
    #[error("names `{0}`, which does not exist")]
    DeadPath(String),
    /// A crate root without a part of its documentation.
    #[error("crate root has no `//! {0}` documentation")]
    RootDocs(&'static str),
    /// A workspace crate that the table of layers does not know.
    #[error("crate `{0}` has no row in the table of layers (xtask/src/layers.rs)")]
    UnknownCrate(String),
    /// A dependency that the table of layers does not allow.
    #[error("`{from}` must not depend on `{to}`")]
    Edge {
        /// The depending crate.
        from: String,
        /// What it names.
        to: String,
    },
    /// A crate that another must not reach by any path.
    #[error("`{from}` must not reach `{to}`, but does: {path}")]
    Reach {
        /// Start.
        from: String,
        /// End.
        to: String,
        /// The shortest path.
        path: String,
    },
    /// A path that a core crate must not name.
    #[error("`{what}` in a core crate: {instead}")]
    Banned {
        /// What was named.
        what: &'static str,
        /// What to do.
        instead: &'static str,
    },
    /// `unsafe` outside the crates that need it.
    #[error("`unsafe` outside the crates that may hold it")]
    Unsafe,
    /// A crate that does not take the workspace's lints.
    #[error("has no `[lints] workspace = true`")]
    Lints,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.kind)
    }
}
