//! The bytes that peers compare.

use std::fmt::{self, Write as _};

use super::{Edge, Topology, VERSION};

impl Topology<'_> {
    /// Compact JSON of edges, unrooted peers, epoch and version.
    pub fn json(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
}

/// As [`Topology::json`].
impl fmt::Display for Topology<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"tree\":")?;
        list(f, &self.edges, edge)?;
        f.write_str(",\"unrooted_peers\":")?;
        list(f, &self.unrooted, |f, peer| text(f, peer))?;
        write!(f, ",\"snapshot_epoch_id\":{},\"topology_version\":{VERSION}}}", self.epoch_id)
    }
}

fn edge(f: &mut fmt::Formatter<'_>, edge: &Edge<'_>) -> fmt::Result {
    f.write_str("{\"parent_peer_id\":")?;
    text(f, edge.parent)?;
    f.write_str(",\"child_peer_id\":")?;
    text(f, edge.child)?;
    f.write_str(",\"sub_stream_path\":")?;
    list(f, edge.path, |f, byte| write!(f, "{byte}"))?;
    f.write_str("}")
}

fn list<T>(
    f: &mut fmt::Formatter<'_>,
    items: &[T],
    item: impl Fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    f.write_str("[")?;
    for (at, it) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(",")?;
        }
        item(f, it)?;
    }
    f.write_str("]")
}

/// Escapes what JSON demands and nothing else.
fn text(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_str("\"")?;
    for char in text.chars() {
        match char {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\u{8}' => f.write_str("\\b")?,
            '\t' => f.write_str("\\t")?,
            '\n' => f.write_str("\\n")?,
            '\u{c}' => f.write_str("\\f")?,
            '\r' => f.write_str("\\r")?,
            '\0'..='\u{1f}' => write!(f, "\\u{:04x}", u32::from(char))?,
            _ => f.write_char(char)?,
        }
    }
    f.write_str("\"")
}
