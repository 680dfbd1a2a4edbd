//! The dependency graph that `cargo metadata` prints, and its rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Deserialize;

use super::table::{CORE, DEVELOPMENT, ROWS, RUNTIME, UNREACHABLE};
use crate::Error;
use crate::violation::{Kind, Violation};

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
    workspace_root: String,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dep>,
}

#[derive(Deserialize)]
struct Dep {
    pkg: String,
    dep_kinds: Vec<DepKind>,
}

#[derive(Deserialize)]
struct DepKind {
    kind: Option<String>,
}

/// Packages by id and the edges that ship: normal and build dependencies. What only tests use is kept apart.
pub(super) struct Graph {
    names: BTreeMap<String, String>,
    /// Members and their manifests, relative to the root.
    members: BTreeMap<String, String>,
    shipped: BTreeMap<String, BTreeSet<String>>,
    tests: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    /// Reads the JSON of `cargo metadata`, format 1.
    pub(super) fn parse(json: &str) -> Result<Self, Error> {
        let read: Metadata = serde_json::from_str(json)?;
        let root = format!("{}/", read.workspace_root);
        let manifests: BTreeMap<&String, &String> = read.packages.iter().map(|p| (&p.id, &p.manifest_path)).collect();
        let manifest = |id: &String| manifests.get(id).map(|path| path.replace(&root, "")).unwrap_or_default();
        let members = read.workspace_members.iter().map(|id| (id.clone(), manifest(id))).collect();
        let mut graph = Self { names: BTreeMap::new(), members, shipped: BTreeMap::new(), tests: BTreeMap::new() };
        for node in read.resolve.nodes {
            for dep in node.deps {
                let test_only = dep.dep_kinds.iter().all(|kind| kind.kind.as_deref() == Some("dev"));
                let edges = if test_only { &mut graph.tests } else { &mut graph.shipped };
                edges.entry(node.id.clone()).or_default().insert(dep.pkg);
            }
        }
        graph.names = read.packages.into_iter().map(|package| (package.id, package.name)).collect();
        Ok(graph)
    }

    /// Number of workspace crates.
    pub(super) fn crates(&self) -> usize {
        self.members.len()
    }

    /// Number of shipped edges between workspace crates.
    pub(super) fn edges(&self) -> usize {
        self.members.keys().flat_map(|from| self.out(from)).filter(|to| self.members.contains_key(*to)).count()
    }

    /// Every rule of the table.
    pub(super) fn check(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        for (id, manifest) in &self.members {
            let kinds = self.edge_rules(id).into_iter().chain(self.reach_rules(id));
            found.extend(kinds.map(|kind| Violation { file: manifest.clone(), line: 1, kind }));
        }
        found
    }

    fn edge_rules(&self, from: &str) -> Vec<Kind> {
        let name = self.name(from);
        let Some(row) = ROWS.iter().find(|row| row.name == name) else {
            return vec![Kind::UnknownCrate(name.into())];
        };
        let inside = |to: &&String| self.members.contains_key(*to);
        let shipped = self.out(from).filter(inside).map(|to| self.name(to));
        let not_allowed = shipped.filter(|to| !row.may_use.contains(to));
        let tests = self.tests.get(from).into_iter().flatten().filter(inside).map(|to| self.name(to));
        let developer_tools = tests.filter(|to| DEVELOPMENT.contains(to));
        let edge = |to: &str| Kind::Edge { from: name.into(), to: to.into() };
        not_allowed.chain(developer_tools).map(edge).collect()
    }

    fn reach_rules(&self, from: &str) -> Vec<Kind> {
        let name = self.name(from);
        let runtime = if CORE.contains(&name) { RUNTIME } else { &[] };
        let own = UNREACHABLE.iter().filter(|(start, _)| *start == name).flat_map(|(_, targets)| targets.iter());
        runtime.iter().chain(own).filter_map(|target| self.path(from, target)).collect()
    }

    /// The shortest shipped path from a package to any package named `target`.
    fn path(&self, from: &str, target: &str) -> Option<Kind> {
        let mut parents: BTreeMap<&str, &str> = BTreeMap::new();
        let mut queue = VecDeque::from([from]);
        while let Some(at) = queue.pop_front() {
            if self.name(at) == target {
                return Some(self.reach(from, at, &parents));
            }
            for next in self.out(at) {
                if next != from && !parents.contains_key(next.as_str()) {
                    parents.insert(next, at);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    fn reach(&self, from: &str, to: &str, parents: &BTreeMap<&str, &str>) -> Kind {
        let mut steps = vec![self.name(to)];
        let mut at = to;
        while let Some(&parent) = parents.get(at) {
            steps.push(self.name(parent));
            at = parent;
        }
        steps.reverse();
        Kind::Reach { from: self.name(from).into(), to: self.name(to).into(), path: steps.join(" → ") }
    }

    fn out(&self, from: &str) -> impl Iterator<Item = &String> {
        self.shipped.get(from).into_iter().flatten()
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workspace whose members are all packages that are named in `edges` and start with `edge` or are `xtask`.
    fn found(edges: &[(&str, &str, Option<&str>)]) -> Vec<Kind> {
        let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to, _)| [*from, *to]).collect();
        let package = |name: &&str| serde_json::json!({"id": name, "name": name, "manifest_path": format!("/r/{name}/Cargo.toml")});
        let node = |name: &&str| {
            let deps = edges.iter().filter(|(from, ..)| from == name);
            let deps: Vec<_> =
                deps.map(|(_, to, kind)| serde_json::json!({"pkg": to, "dep_kinds": [{"kind": kind}]})).collect();
            serde_json::json!({"id": name, "deps": deps})
        };
        let members: Vec<&&str> = names.iter().filter(|name| name.starts_with("edge") || **name == "xtask").collect();
        let json = serde_json::json!({
            "packages": names.iter().map(package).collect::<Vec<_>>(),
            "workspace_members": members,
            "resolve": {"nodes": names.iter().map(node).collect::<Vec<_>>()},
            "workspace_root": "/r",
        });
        Graph::parse(&json.to_string()).unwrap().check().into_iter().map(|violation| violation.kind).collect()
    }

    #[test]
    fn allowed_edges_pass() {
        let edges = [
            ("edge-relay", "edge-link", None),
            ("edge-link", "edge-crypto", None),
            ("edge-node", "tokio", None),
            ("edge-crypto", "aws-lc-rs", None),
            ("edge-relay", "edge-seal", Some("dev")),
        ];
        assert_eq!(found(&edges), []);
    }

    #[test]
    fn a_relay_that_can_name_a_media_key_is_found() {
        let edge = Kind::Edge { from: "edge-relay".into(), to: "edge-seal".into() };
        let reach =
            Kind::Reach { from: "edge-relay".into(), to: "edge-seal".into(), path: "edge-relay → edge-seal".into() };
        assert_eq!(found(&[("edge-relay", "edge-seal", None)]), [edge, reach]);
    }

    #[test]
    fn a_path_through_another_crate_is_found() {
        let kinds = found(&[("edge-relay", "helper", None), ("helper", "edge-group", None)]);
        let path = "edge-relay → helper → edge-group".to_owned();
        assert_eq!(kinds, [Kind::Reach { from: "edge-relay".into(), to: "edge-group".into(), path }]);
    }

    #[test]
    fn a_core_that_reaches_the_runtime_is_found() {
        let kinds = found(&[("edge-alm", "pool", None), ("pool", "tokio", Some("build"))]);
        let path = "edge-alm → pool → tokio".to_owned();
        assert_eq!(kinds, [Kind::Reach { from: "edge-alm".into(), to: "tokio".into(), path }]);
        assert_eq!(found(&[("edge-alm", "tokio", Some("dev"))]), []);
    }

    #[test]
    fn nobody_uses_the_developers_crates() {
        let edge = Kind::Edge { from: "edge-seal".into(), to: "edge-bench".into() };
        assert_eq!(found(&[("edge-seal", "edge-bench", Some("dev"))]), [edge]);
    }

    #[test]
    fn an_unknown_crate_needs_a_row() {
        assert_eq!(found(&[("edge-new", "bytes", None)]), [Kind::UnknownCrate("edge-new".into())]);
    }
}
