//! Text moves with code: a path that a document or a comment names must exist.

use std::path::Path;

use crate::scan::Comment;
use crate::violation::{Kind, Violation};

/// Folders whose files are named from the root.
const FOLDERS: &[&str] = &["bench/", "conformance/", "crates/", "docs/", "fuzz/", "netlab/", "xtask/"];
/// Endings of files that are tracked; what is written at run time ends otherwise or lives elsewhere.
const ENDINGS: &[&str] = &[".md", ".rs", ".toml", ".sh"];

/// Paths in the comments of a source file.
pub(crate) fn in_comments(root: &Path, file: &str, comments: &[Comment]) -> Vec<Violation> {
    comments.iter().flat_map(|comment| check(root, file, comment.line, &comment.text)).collect()
}

/// Paths in a whole document.
pub(crate) fn in_document(root: &Path, file: &str, text: &str) -> Vec<Violation> {
    check(root, file, 1, text)
}

fn check(root: &Path, file: &str, first: usize, text: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    for (line, text) in (first..).zip(text.lines()) {
        let missing = named(text).filter(|path| !root.join(path).exists());
        let violation = |path: &str| Violation { file: file.into(), line, kind: Kind::DeadPath(path.into()) };
        found.extend(missing.map(violation));
    }
    found
}

/// The paths from the root that a line names, without placeholders.
fn named(line: &str) -> impl Iterator<Item = &str> {
    let part_of_path = |sign: char| sign.is_ascii_alphanumeric() || "_-./<>*{}…".contains(sign);
    let words = line.split(move |sign: char| !part_of_path(sign)).map(|word| word.trim_end_matches('.'));
    words.filter(|word| {
        let placeholder = word.contains(['<', '>', '*', '{', '}', '…']);
        let starts = FOLDERS.iter().any(|folder| word.starts_with(folder));
        starts && !placeholder && ENDINGS.iter().any(|ending| word.ends_with(ending))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;

    #[test]
    fn paths_are_found_in_prose_and_placeholders_are_not() {
        let line = "see `xtask/src/paths.rs`, [spec](docs/spec/README.md). Not docs/spec/*.md, tests/<behaviour>.rs, fuzz/corpus.";
        assert_eq!(named(line).collect::<Vec<_>>(), ["xtask/src/paths.rs", "docs/spec/README.md"]);
        assert_eq!(named("crates/…/a.rs, ../fuzz/src/lib.rs, bench/results/a.json").count(), 0);
    }

    #[test]
    fn a_path_that_is_gone_is_a_finding() {
        let text = "one\n`xtask/src/paths.rs`\n`xtask/src/gone.rs`\n";
        let found = in_document(&tree::root(), "A.md", text);
        assert_eq!(found.iter().map(|found| found.line).collect::<Vec<_>>(), [3]);
        let comment = Comment { line: 9, text: " in docs/spec/gone.md".into() };
        assert_eq!(in_comments(&tree::root(), "a.rs", &[comment]).len(), 1);
    }
}
