//! Names that a source file must not hold.

use super::table::{is_core, may_hold_unsafe};
use crate::functions::Outline;
use crate::violation::Kind;

/// A path that core crates must not name.
struct Ban {
    what: &'static str,
    instead: &'static str,
    /// Files and folders that are the one place for it, by the start of their path.
    except: &'static [&'static str],
}

const TIME: &str = "take `now` as an argument";
const IO: &str = "the node does input and output";
const RANDOM: &str = "take `&mut dyn Random` as an argument";
const PRINT: &str = "return a value, or an error, or emit an event";

const fn ban(what: &'static str, instead: &'static str) -> Ban {
    Ban { what, instead, except: &[] }
}

const BANS: &[Ban] = &[
    ban("Instant::now", TIME),
    ban("SystemTime", TIME),
    ban("std::thread", IO),
    ban("std::net", IO),
    ban("std::process::Command", IO),
    ban("std::env", IO),
    ban("tokio", IO),
    ban("quinn", IO),
    Ban {
        what: "std::fs",
        instead: IO,
        except: &["crates/edge-identity/src/file.rs", "crates/edge-identity/src/file/"],
    },
    ban("OsRng", RANDOM),
    Ban { what: "rand::", instead: RANDOM, except: &["crates/edge-crypto/src/random.rs"] },
    ban("getrandom", RANDOM),
    ban("println!", PRINT),
    ban("print!", PRINT),
    ban("eprintln!", PRINT),
    ban("eprint!", PRINT),
    ban("dbg!", PRINT),
];

/// What a core crate's source must not name outside its tests; nothing for other files.
pub(super) fn core(path: &str, code: &str, outline: &Outline) -> Vec<(usize, Kind)> {
    let core =
        path.strip_prefix("crates/").and_then(|rest| rest.split_once("/src/")).is_some_and(|(name, _)| is_core(name));
    if !core {
        return Vec::new();
    }
    let mut found = Vec::new();
    for ban in BANS.iter().filter(|ban| !ban.except.iter().any(|place| path.starts_with(place))) {
        let lines = (1..).zip(code.lines()).filter(|(_, text)| names(text, ban.what)).map(|(line, _)| line);
        let uses = outline.uses.iter().filter(|(used, _)| names(&format!("{used}::"), ban.what)).map(|(_, line)| *line);
        let mut lines: Vec<usize> = lines.chain(uses).filter(|&line| !outline.is_test(line)).collect();
        lines.sort_unstable();
        lines.dedup();
        found.extend(lines.into_iter().map(|line| (line, Kind::Banned { what: ban.what, instead: ban.instead })));
    }
    found
}

/// Lines with `unsafe` in a crate that must not hold any.
pub(super) fn unsafe_code(path: &str, code: &str) -> Vec<(usize, Kind)> {
    if may_hold_unsafe(path) {
        return Vec::new();
    }
    let lines = (1..).zip(code.lines()).filter(|(_, text)| names(text, "unsafe"));
    lines.map(|(line, _)| (line, Kind::Unsafe)).collect()
}

/// Whether `text` names `what`, spaces aside, and not as a part of a longer identifier.
fn names(text: &str, what: &str) -> bool {
    let text = text.replace(" ::", "::").replace(":: ", "::");
    let is_word = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    let open_end = !is_word(what.chars().next_back());
    text.match_indices(what).any(|(at, _)| {
        let (before, after) = (text[..at].chars().next_back(), text[at + what.len()..].chars().next());
        !is_word(before) && (open_end || !is_word(after))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::outline;
    use crate::scan::scan;

    fn found(path: &str, text: &str) -> Vec<&'static str> {
        let kinds = core(path, &scan(text).code, &outline(text).unwrap());
        let what = |(_, kind)| if let Kind::Banned { what, .. } = kind { what } else { "?" };
        kinds.into_iter().map(what).collect()
    }

    const CORE_FILE: &str = "crates/edge-relay/src/queue.rs";

    #[test]
    fn clocks_sockets_files_and_generators_are_banned_in_cores() {
        let cases = [
            ("fn a() { let _ = std::time::Instant::now(); }", "Instant::now"),
            ("use std::time::SystemTime;", "SystemTime"),
            ("use std::{fs, fmt};", "std::fs"),
            ("use std::{fmt, net::{TcpStream}};", "std::net"),
            ("fn a() { std::thread::sleep(D); }", "std::thread"),
            ("fn a() { tokio::spawn(b()); }", "tokio"),
            ("use aws_lc_rs::rand;", "rand::"),
            ("fn a() { rand::random() }", "rand::"),
            ("fn a() { println!(\"a\"); }", "println!"),
        ];
        for (text, what) in cases {
            assert_eq!(found(CORE_FILE, text), [what], "{text}");
            assert_eq!(found("crates/edge-node/src/run.rs", text), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn tests_comments_literals_and_longer_names_pass() {
        let text = "//! No tokio, no std::net.\nconst A: &str = \"println!\";\nfn operand::<A>() {}\n";
        let text = &text.replace("fn operand::<A>() {}", "fn a() { operand::take(); }");
        assert_eq!(found(CORE_FILE, text), [] as [&str; 0]);
        assert_eq!(found(CORE_FILE, "#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n"), [] as [&str; 0]);
        assert_eq!(found("crates/edge-relay/tests/a.rs", "use std::fs;"), [] as [&str; 0]);
    }

    #[test]
    fn the_named_files_are_excepted() {
        assert_eq!(found("crates/edge-identity/src/file.rs", "use std::fs;"), [] as [&str; 0]);
        assert_eq!(found("crates/edge-identity/src/bundle.rs", "use std::fs;"), ["std::fs"]);
        assert_eq!(found("crates/edge-crypto/src/random.rs", "fn a() { aws_lc_rs::rand::fill(b) }"), [] as [&str; 0]);
    }

    #[test]
    fn unsafe_is_found_outside_its_crates() {
        let text = "fn a() { unsafe { b() } }\n#![forbid(unsafe_code)]\n";
        assert_eq!(unsafe_code("crates/edge-net/src/a.rs", text), [(1, Kind::Unsafe)]);
        assert_eq!(unsafe_code("crates/edge-codec/src/video/aom.rs", text), []);
    }
}
