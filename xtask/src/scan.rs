//! Splits Rust text into code, comments and string literals, as far as the checks need it.

use std::iter::Peekable;
use std::str::CharIndices;

/// A comment, without its slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Comment {
    /// Line of its first character, from 1.
    pub(crate) line: usize,
    /// Its text, line by line as written.
    pub(crate) text: String,
}

/// A file taken apart.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The file with comments and the insides of literals blanked; line breaks stay.
    pub(crate) code: String,
    /// The file with only the insides of string literals removed; line breaks stay.
    pub(crate) unquoted: String,
    /// Every comment, one entry a line for line comments.
    pub(crate) comments: Vec<Comment>,
}

/// Takes `text` apart.
pub(crate) fn scan(text: &str) -> Scan {
    let mut scanner = Scanner { chars: text.char_indices().peekable(), text, line: 1, out: Scan::default() };
    while scanner.step() {}
    scanner.out
}

struct Scanner<'a> {
    chars: Peekable<CharIndices<'a>>,
    text: &'a str,
    line: usize,
    out: Scan,
}

impl Scanner<'_> {
    /// Consumes one lexical element; false at the end.
    fn step(&mut self) -> bool {
        let Some(&(at, first)) = self.chars.peek() else { return false };
        let rest = &self.text[at..];
        match first {
            '/' if rest.starts_with("//") => self.line_comment(),
            '/' if rest.starts_with("/*") => self.block_comment(),
            '"' => self.string(),
            '\'' => self.char_or_lifetime(rest),
            'r' | 'b' | 'c' if raw_hashes(rest).is_some() && !self.inside_word() => self.raw_string(rest),
            _ => self.keep(),
        }
        true
    }

    /// Whether the last character of the code belongs to an identifier, so that an `r` here starts no literal.
    fn inside_word(&self) -> bool {
        self.out.code.chars().next_back().is_some_and(|last| last.is_alphanumeric() || last == '_')
    }

    fn next(&mut self) -> Option<char> {
        let (_, found) = self.chars.next()?;
        if found == '\n' {
            self.line += 1;
        }
        Some(found)
    }

    /// Copies one character of code.
    fn keep(&mut self) {
        if let Some(found) = self.next() {
            self.out.code.push(found);
            self.out.unquoted.push(found);
        }
    }

    /// Drops one character from the code, but not its line break.
    fn blank(&mut self, in_literal: bool) -> Option<char> {
        let found = self.next()?;
        self.out.code.push(if found == '\n' { '\n' } else { ' ' });
        if !in_literal || found == '\n' {
            self.out.unquoted.push(found);
        }
        Some(found)
    }

    fn line_comment(&mut self) {
        let line = self.line;
        let mut text = String::new();
        while self.chars.peek().is_some_and(|&(_, next)| next != '\n') {
            text.extend(self.blank(false));
        }
        let text = text.trim_start_matches('/').trim_start_matches('!').to_owned();
        self.out.comments.push(Comment { line, text });
    }

    fn block_comment(&mut self) {
        let line = self.line;
        let (mut text, mut depth) = (String::new(), 0_usize);
        while let Some(&(at, _)) = self.chars.peek() {
            let rest = &self.text[at..];
            let step = if rest.starts_with("/*") { 1 } else { -1_isize };
            if rest.starts_with("/*") || rest.starts_with("*/") {
                depth = depth.saturating_add_signed(step);
                self.blank(false);
                self.blank(false);
                if depth == 0 {
                    break;
                }
            } else {
                text.extend(self.blank(false));
            }
        }
        self.out.comments.push(Comment { line, text });
    }

    fn string(&mut self) {
        self.keep();
        while let Some(&(_, next)) = self.chars.peek() {
            match next {
                '"' => return self.keep(),
                '\\' => {
                    self.blank(true);
                    self.blank(true);
                }
                _ => {
                    self.blank(true);
                }
            }
        }
    }

    fn raw_string(&mut self, rest: &str) {
        let hashes = raw_hashes(rest).unwrap_or(0);
        let close = format!("\"{}", "#".repeat(hashes));
        while self.chars.peek().is_some_and(|&(_, next)| next != '"') {
            self.keep();
        }
        self.keep();
        while let Some(&(at, _)) = self.chars.peek() {
            if self.text[at..].starts_with(&close) {
                return close.chars().for_each(|_| self.keep());
            }
            self.blank(true);
        }
    }

    /// `'x'` and `'\n'` are literals, `'a` is a lifetime.
    fn char_or_lifetime(&mut self, rest: &str) {
        let mut ahead = rest.chars().skip(1);
        let (first, second) = (ahead.next(), ahead.next());
        self.keep();
        if first == Some('\\') {
            self.blank(true);
            self.blank(true);
            while self.chars.peek().is_some_and(|&(_, next)| next != '\'' && next != '\n') {
                self.blank(true);
            }
            self.keep();
        } else if second == Some('\'') {
            self.blank(true);
            self.keep();
        }
    }
}

/// How many hashes a raw string that starts here has; none when no raw string starts here.
fn raw_hashes(rest: &str) -> Option<usize> {
    let after = ["br", "cr", "r"].iter().find_map(|prefix| rest.strip_prefix(prefix))?;
    let hashes = after.chars().take_while(|&next| next == '#').count();
    after[hashes..].starts_with('"').then_some(hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_leave_the_code() {
        let scan =
            scan("let a = \"todo!() // no\"; // yes: 'it'\nlet b = 'x'; /* one /* two */\nthree */ let c: &'a str;\n");
        assert!(!scan.code.contains("todo"));
        assert_eq!(scan.code.lines().count(), 3);
        assert!(scan.code.contains("let c: &'a str;"));
        assert_eq!(scan.comments[0], Comment { line: 1, text: " yes: 'it'".into() });
        assert_eq!(scan.comments[1].line, 2);
        assert!(scan.comments[1].text.contains("three"));
    }

    #[test]
    fn raw_strings_and_escapes_end_where_they_end() {
        let scan = scan("let a = r#\"x \" // y\"#; let b = \"\\\"\"; let c = b'\\''; let d = br\"q\"; var\"s\"; // z");
        assert_eq!(scan.comments, vec![Comment { line: 1, text: " z".into() }]);
        assert!(scan.code.contains("let b ="));
        assert!(scan.code.contains("let d ="));
    }

    #[test]
    fn text_inside_literals_has_no_width() {
        let scan = scan("let a = \"0123456789\";\n");
        assert_eq!(scan.unquoted, "let a = \"\";\n");
    }
}
