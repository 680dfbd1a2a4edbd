//! The layers as data. `ARCHITECTURE.md` is the picture of this table; they change together.

/// One crate of the workspace.
pub(super) struct Row {
    /// Its package name.
    pub(super) name: &'static str,
    /// Workspace crates that it may depend on outside tests.
    pub(super) may_use: &'static [&'static str],
}

const fn row(name: &'static str, may_use: &'static [&'static str]) -> Row {
    Row { name, may_use }
}

/// Every crate that ships below the faces.
const LIBRARIES: &[&str] = &[
    "edge-wire",
    "edge-crypto",
    "edge-identity",
    "edge-link",
    "edge-relay",
    "edge-seal",
    "edge-group",
    "edge-alm",
    "edge-fountain",
    "edge-holonomic",
    "edge-codec",
    "edge-net",
    "edge-node",
    "edge-sim",
    "edge-conformance",
];

/// The sans-IO crates: no clock, socket, file, thread or generator of their own.
pub(super) const CORE: &[&str] = &[
    "edge-wire",
    "edge-crypto",
    "edge-identity",
    "edge-link",
    "edge-relay",
    "edge-seal",
    "edge-group",
    "edge-alm",
    "edge-fountain",
    "edge-holonomic",
];

/// Allowed edges, one row a crate.
pub(super) const ROWS: &[Row] = &[
    row("edge-wire", &[]),
    row("edge-crypto", &["edge-wire"]),
    row("edge-identity", &["edge-wire", "edge-crypto"]),
    row("edge-link", &["edge-wire", "edge-crypto"]),
    row("edge-relay", &["edge-wire", "edge-crypto", "edge-link"]),
    row("edge-seal", &["edge-wire", "edge-crypto"]),
    row("edge-group", &["edge-wire", "edge-crypto", "edge-identity", "edge-seal"]),
    row("edge-alm", &["edge-wire", "edge-crypto", "edge-identity"]),
    row("edge-fountain", &["edge-wire", "edge-crypto"]),
    row("edge-holonomic", &["edge-wire", "edge-crypto", "edge-identity"]),
    row("edge-codec", &["edge-wire"]),
    row("edge-net", &["edge-wire", "edge-crypto", "edge-identity", "edge-link", "edge-fountain"]),
    row("edge-sim", CORE),
    row("edge-conformance", CORE),
    row(
        "edge-node",
        &[
            "edge-wire",
            "edge-crypto",
            "edge-identity",
            "edge-link",
            "edge-relay",
            "edge-seal",
            "edge-group",
            "edge-alm",
            "edge-fountain",
            "edge-holonomic",
            "edge-codec",
            "edge-net",
        ],
    ),
    row("edge", LIBRARIES),
    row("edge-bench", LIBRARIES),
    row("edge-fuzz", LIBRARIES),
    row("edge-netlab", &["edge-sim"]),
    row("xtask", &[]),
];

/// Packages of the async runtime and of transports.
pub(super) const RUNTIME: &[&str] = &["tokio", "mio", "socket2", "quinn", "quinn-udp", "rustls", "axum", "hyper"];

/// Paths over normal and build dependencies that must not exist, beyond [`CORE`] to [`RUNTIME`]: what a crate cannot
/// reach, it cannot name.
pub(super) const UNREACHABLE: &[(&str, &[&str])] = &[
    ("edge-relay", &["edge-seal", "edge-group", "openmls"]),
    ("edge-link", &["edge-seal", "edge-group", "openmls"]),
    ("edge-wire", &["aws-lc-rs", "ring", "sha2", "libcrux-ml-kem", "openmls"]),
    ("edge-codec", &["tokio", "mio", "socket2", "quinn", "rustls"]),
];

/// Crates that only developers run; nobody depends on them.
pub(super) const DEVELOPMENT: &[&str] = &["edge-bench", "edge-fuzz", "edge-netlab", "xtask", "edge"];

/// Folders whose crates may hold `unsafe`: bindings to C codecs, and the counting allocators of benchmarks and fuzzing.
const UNSAFE_FOLDERS: &[&str] = &["crates/edge-codec/", "bench/", "fuzz/"];

/// Whether `name` is a sans-IO crate.
pub(crate) fn is_core(name: &str) -> bool {
    CORE.contains(&name)
}

/// Whether the file at `path` belongs to a crate that may hold `unsafe`.
pub(super) fn may_hold_unsafe(path: &str) -> bool {
    UNSAFE_FOLDERS.iter().any(|folder| path.starts_with(folder))
}
