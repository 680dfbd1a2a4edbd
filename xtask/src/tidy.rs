//! Limits on functions, files and lines; comments about today; no unfinished code; crate roots that state their laws.

use crate::functions::{self, Outline};
use crate::scan::{Scan, scan};
use crate::tree::{File, Kind as FileKind};
use crate::violation::{Kind, Violation};
use crate::{Error, comments, layers, paths, tree};

const FUNCTION_LINES_MAX: usize = 70;
const PROOF_FUNCTION_LINES_MAX: usize = 100;
const FILE_LINES_MAX: usize = 800;
const PROOF_FILE_LINES_MAX: usize = 1200;
const LINE_WIDTH_MAX: usize = 120;

/// Code that is unfinished or switched off. Attributes are matched by their start, so that a reason does not hide them.
const UNFINISHED: &[&str] = &["todo!", "unimplemented!", "#[ignore"];

/// Folders of one developer's machine, spelled so that this file does not name them.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Checks the whole tree; also returns a line about its size.
pub(crate) fn run() -> Result<(String, Vec<Violation>), Error> {
    let root = tree::root();
    let files = tree::files(&root, ".rs")?;
    let mut found = Vec::new();
    let mut lengths = Vec::new();
    for file in &files {
        found.extend(check(file, &mut lengths));
        found.extend(paths::in_comments(&root, &file.path, &scan(&file.text).comments));
    }
    for document in tree::files(&root, ".md")? {
        found.extend(paths::in_document(&root, &document.path, &document.text));
        found.extend(machine_paths(&document).into_iter().map(|(line, kind)| Violation {
            file: document.path.clone(),
            line,
            kind,
        }));
    }
    lengths.sort_unstable();
    let median = lengths.get(lengths.len() / 2).copied().unwrap_or_default();
    let longest = lengths.last().copied().unwrap_or_default();
    let summary =
        format!("{} files, {} product functions, median {median} lines, longest {longest}", files.len(), lengths.len());
    Ok((summary, found))
}

/// Checks one file and adds the lengths of its product functions to `lengths`.
fn check(file: &File, lengths: &mut Vec<usize>) -> Vec<Violation> {
    let at = |line: usize, kind: Kind| Violation { file: file.path.clone(), line, kind };
    let outline = match functions::outline(&file.text) {
        Ok(outline) => outline,
        Err(error) => return vec![at(error.span().start().line, Kind::Syntax(error.to_string()))],
    };
    let scan = scan(&file.text);
    let mut found = comments::check(&file.path, &scan.comments);
    let lines = file_length(file, &outline).into_iter().chain(function_lengths(file, &outline));
    let text = widths(&scan).into_iter().chain(unfinished(&scan)).chain(machine_paths(file));
    found.extend(lines.chain(text).chain(root_docs(file)).map(|(line, kind)| at(line, kind)));
    let product = outline.functions.iter().filter(|function| file.kind == FileKind::Product && !function.in_tests);
    lengths.extend(product.map(|function| function.lines));
    found
}

fn function_lengths(file: &File, outline: &Outline) -> Vec<(usize, Kind)> {
    let mut found = Vec::new();
    for function in &outline.functions {
        let proof = file.kind == FileKind::Proof || function.in_tests;
        let bound = if proof { PROOF_FUNCTION_LINES_MAX } else { FUNCTION_LINES_MAX };
        if function.lines > bound {
            let kind = Kind::LongFunction { name: function.name.clone(), lines: function.lines, bound };
            found.push((function.line, kind));
        }
    }
    found
}

fn file_length(file: &File, outline: &Outline) -> Option<(usize, Kind)> {
    let (bound, skip_tests) = match file.kind {
        FileKind::Product => (FILE_LINES_MAX, true),
        FileKind::Proof => (PROOF_FILE_LINES_MAX, false),
    };
    let lines = (1..=file.text.lines().count()).filter(|&line| !(skip_tests && outline.is_test(line))).count();
    (lines > bound).then_some((1, Kind::LongFile { lines, bound }))
}

fn widths(scan: &Scan) -> Vec<(usize, Kind)> {
    let wide = |(line, width): (usize, usize)| (line, Kind::WideLine { width, bound: LINE_WIDTH_MAX });
    let lines = (1..).zip(scan.unquoted.lines().map(|line| line.chars().count()));
    lines.filter(|&(_, width)| width > LINE_WIDTH_MAX).map(wide).collect()
}

fn unfinished(scan: &Scan) -> Vec<(usize, Kind)> {
    let mut found = Vec::new();
    for (line, code) in (1..).zip(scan.code.lines()) {
        let squeezed: String = code.split_whitespace().collect();
        let hits = UNFINISHED.iter().filter(|pattern| squeezed.contains(*pattern));
        found.extend(hits.map(|pattern| (line, Kind::Unfinished(pattern))));
    }
    found
}

fn machine_paths(file: &File) -> Vec<(usize, Kind)> {
    let mut found = Vec::new();
    for (line, text) in (1..).zip(file.text.lines()) {
        let hits = MACHINE_PATHS.iter().filter(|path| text.contains(*path));
        found.extend(hits.map(|path| (line, Kind::MachinePath(path))));
    }
    found
}

/// Every crate root says what it is; a core crate also states its model and its laws.
fn root_docs(file: &File) -> Vec<(usize, Kind)> {
    let Some(name) = root_of(&file.path) else { return Vec::new() };
    let docs: Vec<&str> = file.text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim_start).collect();
    let mut needed = vec![("…", !docs.is_empty())];
    if layers::is_core(name) {
        let opens = |word: &str| docs.iter().any(|line| line.starts_with(word));
        needed.extend([("Model: …", opens("Model:")), ("Laws: …", opens("Laws:"))]);
    }
    needed.into_iter().filter(|&(_, there)| !there).map(|(part, _)| (1, Kind::RootDocs(part))).collect()
}

/// The crate whose root `path` is.
fn root_of(path: &str) -> Option<&str> {
    let folder = path.strip_suffix("/src/lib.rs").or_else(|| path.strip_suffix("/src/main.rs"))?;
    folder.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(path: &str, text: &str) -> Vec<Kind> {
        let kind = if path.contains("tests/") { FileKind::Proof } else { FileKind::Product };
        let file = File { path: path.into(), text: text.into(), kind };
        check(&file, &mut Vec::new()).into_iter().map(|found| found.kind).collect()
    }

    fn function_of(lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "    step();\n".repeat(lines.saturating_sub(2)))
    }

    #[test]
    fn a_function_may_have_seventy_lines() {
        assert_eq!(kinds("a/src/b.rs", &function_of(70)), []);
        let long = Kind::LongFunction { name: "long".into(), lines: 71, bound: 70 };
        assert_eq!(kinds("a/src/b.rs", &function_of(71)), [long]);
        assert_eq!(kinds("a/tests/b.rs", &function_of(71)), []);
        assert_eq!(kinds("a/tests/b.rs", &function_of(101)).len(), 1);
    }

    #[test]
    fn a_file_may_have_eight_hundred_lines_outside_tests() {
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    const A: () = ();\n".repeat(500));
        let product = "const A: () = ();\n".repeat(800);
        assert_eq!(kinds("a/src/b.rs", &format!("{product}{tests}")), []);
        let long = Kind::LongFile { lines: 801, bound: 800 };
        assert_eq!(kinds("a/src/b.rs", &format!("const B: () = ();\n{product}{tests}")), [long]);
    }

    #[test]
    fn width_counts_code_and_comments_but_no_literal() {
        let literal = format!("const A: &str = \"{}\";\n", "0".repeat(200));
        assert_eq!(kinds("a/src/b.rs", &literal), []);
        let comment = format!("// {}\nconst A: () = ();\n", "a".repeat(118));
        assert_eq!(kinds("a/src/b.rs", &comment), [Kind::WideLine { width: 121, bound: 120 }]);
    }

    #[test]
    fn unfinished_code_is_found_in_code_only() {
        let bad = "fn a() { todo ! () }\nfn b() { unimplemented!(\"b\") }\n#[ignore = \"slow\"]\nfn c() {}\n";
        let expected: Vec<Kind> = UNFINISHED.iter().map(|pattern| Kind::Unfinished(pattern)).collect();
        assert_eq!(kinds("a/src/b.rs", bad), expected);
        assert_eq!(kinds("a/src/b.rs", "// the lint that refuses todo!()\nconst A: &str = \"unimplemented!\";\n"), []);
    }

    #[test]
    fn folders_of_one_machine_are_found_in_literals_too() {
        let path = MACHINE_PATHS[0];
        let text = format!("const A: &str = \"{path}main\";\n");
        assert_eq!(kinds("a/src/b.rs", &text), [Kind::MachinePath(path)]);
    }

    #[test]
    fn a_core_crate_states_model_and_laws() {
        let root = "crates/edge-wire/src/lib.rs";
        assert_eq!(kinds(root, "//! Bytes.\n//!\n//! Model: one.\n//!\n//! Laws: none.\n"), []);
        assert_eq!(kinds(root, "//! Bytes.\n//!\n//! Model: one.\n"), [Kind::RootDocs("Laws: …")]);
        assert_eq!(kinds(root, "mod a;\n").len(), 3);
        assert_eq!(kinds("crates/edge-node/src/lib.rs", "//! The node.\n"), []);
        assert_eq!(kinds("crates/edge-node/src/lib.rs", "mod a;\n"), [Kind::RootDocs("…")]);
    }

    #[test]
    fn a_file_that_is_not_rust_is_a_finding() {
        assert!(matches!(kinds("a/src/b.rs", "fn (").as_slice(), [Kind::Syntax(_)]));
    }

    #[test]
    fn comments_are_checked() {
        assert!(matches!(kinds("a/src/b.rs", "// see #12\n").as_slice(), [Kind::Comment { .. }]));
    }
}
