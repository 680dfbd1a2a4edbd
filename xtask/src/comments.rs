//! Comments say why, about today: what they must not hold.

use crate::scan::Comment;
use crate::violation::{Kind, Violation};

const HISTORY: &str = "history belongs to CHANGELOG.md and git, a comment tells why the code is as it is";
const NUMBER: &str = "a reader of the code does not have that list; say the reason itself";
const VERSION: &str = "say what holds, not since which version";
const PLAN: &str = "plans belong to the tracker; the tree holds finished code";
const PRAISE: &str = "say what it does, the reader will judge";

/// Phrases that never describe the code as it is. Lower case, matched on word borders.
const PHRASES: &[(&str, &str)] = &[
    ("formerly", HISTORY),
    ("legacy", HISTORY),
    ("used to be", HISTORY),
    ("it used to", HISTORY),
    ("this used to", HISTORY),
    ("that used to", HISTORY),
    ("we used to", HISTORY),
    ("they used to", HISTORY),
    ("there used to", HISTORY),
    ("we no longer", HISTORY),
    ("no longer supported", HISTORY),
    ("was previously", HISTORY),
    ("were previously", HISTORY),
    ("we previously", HISTORY),
    ("backward compatible", HISTORY),
    ("backwards compatible", HISTORY),
    ("backward compatibility", HISTORY),
    ("backwards compatibility", HISTORY),
    ("reference system", HISTORY),
    ("reference implementation", HISTORY),
    ("old code", HISTORY),
    ("new code", HISTORY),
    ("old implementation", HISTORY),
    ("new implementation", HISTORY),
    ("was refactored", HISTORY),
    ("for now", PLAN),
    ("not implemented yet", PLAN),
    ("not yet implemented", PLAN),
    ("future work", PLAN),
    ("in a later version", PLAN),
    ("in a future version", PLAN),
    ("will be removed", PLAN),
    ("will be added", PLAN),
    ("will be implemented", PLAN),
    ("work in progress", PLAN),
    ("stub", PLAN),
    ("blazing", PRAISE),
    ("battle-tested", PRAISE),
    ("state-of-the-art", PRAISE),
    ("cutting-edge", PRAISE),
    ("world-class", PRAISE),
];

/// Words that are only wrong in capitals.
const MARKERS: &[&str] = &["TODO", "FIXME", "XXX", "HACK", "WIP", "TBD"];

/// Words that name a list entry when a number follows.
const LISTS: &[&str] = &["issue", "issues", "bug", "pr", "pull request", "gh", "milestone", "sprint"];

/// Words after which a three-part number is a place in a document.
const PLACES: &[&str] =
    &["section", "sections", "clause", "clauses", "annex", "appendix", "table", "figure", "§", "oid"];

/// Finds what does not belong into `comments` of `file`.
pub(crate) fn check(file: &str, comments: &[Comment]) -> Vec<Violation> {
    let mut out = Vec::new();
    for comment in comments {
        for (line, text) in (comment.line..).zip(comment.text.lines()) {
            let found = first_fault(text);
            out.extend(found.map(|(text, why)| Violation {
                file: file.into(),
                line,
                kind: Kind::Comment { text, why },
            }));
        }
    }
    out
}

/// The first fault of one comment line; one a line is enough to act on.
fn first_fault(line: &str) -> Option<(String, &'static str)> {
    let line = &without_code(line);
    let words: Vec<&str> = line.split_whitespace().map(trim).filter(|word| !word.is_empty()).collect();
    marker(line).or_else(|| phrase(line)).or_else(|| sentence_start(line)).or_else(|| number(&words))
}

/// A comment line without what stands between backticks: quoted code is no prose.
fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join(" ` ")
}

/// A word without the punctuation around it; `#`, `§`, and signs inside the word stay.
fn trim(word: &str) -> &str {
    word.trim_matches(|sign: char| !sign.is_alphanumeric() && sign != '#' && sign != '§')
}

fn marker(line: &str) -> Option<(String, &'static str)> {
    MARKERS.iter().find(|marker| holds(line, marker)).map(|marker| ((*marker).to_owned(), PLAN))
}

fn phrase(line: &str) -> Option<(String, &'static str)> {
    let lower = line.to_lowercase();
    PHRASES.iter().find(|(phrase, _)| holds(&lower, phrase)).map(|(phrase, why)| ((*phrase).to_owned(), *why))
}

/// The adverb tells history where it opens a sentence; "a previously seen counter" does not.
fn sentence_start(line: &str) -> Option<(String, &'static str)> {
    ["Previously", "Originally", "Historically"]
        .iter()
        .find(|word| holds(line, word))
        .map(|word| ((*word).to_owned(), HISTORY))
}

/// List entries and versions.
fn number(words: &[&str]) -> Option<(String, &'static str)> {
    words.iter().enumerate().find_map(|(at, word)| {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).copied().unwrap_or_default().to_lowercase();
        if (is_entry(word) && before != "pkcs") || (LISTS.contains(&before.as_str()) && is_number(word)) {
            return Some((format!("{before} {word}").trim().to_owned(), NUMBER));
        }
        let place = PLACES.contains(&before.as_str()) || word.starts_with('§');
        (is_version(word) && !place).then(|| ((*word).to_owned(), VERSION))
    })
}

/// `#12`, and `owner/name#12`.
fn is_entry(word: &str) -> bool {
    word.rsplit_once('#').is_some_and(|(_, number)| is_number(number) && number.len() <= 5)
}

fn is_number(word: &str) -> bool {
    let word = word.trim_start_matches('#');
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// `v1.2`, `v1.2.3`, `1.2.3`, but not an address of four parts and not a two-part number.
fn is_version(word: &str) -> bool {
    let (bare, needed) = match word.strip_prefix('v') {
        Some(bare) => (bare, 2..=4),
        None => (word, 3..=3),
    };
    let parts: Vec<&str> = bare.split('.').collect();
    needed.contains(&parts.len()) && parts.iter().all(|part| is_number(part) && !part.starts_with('#'))
}

/// Whether `line` has `phrase` with no letter or digit at either side.
fn holds(line: &str, phrase: &str) -> bool {
    let is_word = |sign: Option<char>| sign.is_some_and(|sign| sign.is_alphanumeric() || sign == '_');
    line.match_indices(phrase).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + phrase.len()..].chars().next());
        !is_word(before) && !is_word(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(line: &str) -> Option<&'static str> {
        first_fault(line).map(|(_, why)| why)
    }

    #[test]
    fn numbers_of_other_lists_are_found() {
        for line in ["see #12", "fixes issue 7", "Issue #3", "PR 41 did this", "quinn-rs/quinn#2210 explains", "(#9)"] {
            assert_eq!(fault(line), Some(NUMBER), "{line}");
        }
    }

    #[test]
    fn versions_are_found() {
        for line in ["since v1.2", "openmls 0.9.2 does that", "as of v18.5.0,", "needs libaom (3.11.0)"] {
            assert_eq!(fault(line), Some(VERSION), "{line}");
        }
    }

    #[test]
    fn plans_history_and_praise_are_found() {
        for line in ["TODO later", "FIXME", "a stub for now", "XXX", "this will be removed"] {
            assert_eq!(fault(line), Some(PLAN), "{line}");
        }
        for line in
            ["it used to panic", "Previously, we slept", "the legacy reader", "we no longer retry", "formerly Sealer"]
        {
            assert_eq!(fault(line), Some(HISTORY), "{line}");
        }
        assert_eq!(fault("a blazing fast relay"), Some(PRAISE));
    }

    #[test]
    fn the_words_of_the_domain_pass() {
        for line in [
            "RFC 9420 §12.4.3.1 and FIPS 204, section 5.2.1",
            "draft-ietf-mls-pq-ciphersuites, suite 0x004D, X-Wing draft-06",
            "the key used to seal chunk 12, no longer needed after the epoch",
            "a previously seen counter is refused",
            "binds 127.0.0.1:0, or [::1]; TLS 1.3, HTTP/1.1, MLS 1.0",
            "domain label edge/key-package/v1, CIRIS-AV-INNER-V1",
            "see media.md §3.4 and §12 H-13; table 5.1.2 lists them",
            "the frame is not yet complete; times in the future are refused",
            "`#[cfg(test)]`, r#type, #00ff7f, \\#",
            "an issue of this design: pr is a variable, 12 of them",
            "50 % of 2.5 Mbit/s, 0.14 µs, 1.5 ms",
            "OID 1.2.840 names it; PKCS #8 holds it",
            "what `v1.2` or `TODO` or `owner/name#12` would be",
        ] {
            assert_eq!(first_fault(line), None, "{line}");
        }
    }

    #[test]
    fn the_line_within_a_block_is_named() {
        let comment = Comment { line: 4, text: "why\nit used to fail\n".into() };
        assert_eq!(check("a.rs", &[comment]).first().map(|found| found.line), Some(5));
    }
}
