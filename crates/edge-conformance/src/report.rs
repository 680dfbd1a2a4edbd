//! What a check found, for people and for programs.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

use serde::Serialize;

use crate::families;
use crate::load::VectorFile;

/// Failures that a report describes for one family; further ones are only counted.
pub const FAILURES_KEPT_MAX: usize = 100;

/// Everything that was checked, by family in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Results by family name.
    pub families: BTreeMap<String, Family>,
    /// Files and folders that could not be read as vectors.
    pub problems: Vec<Failure>,
}

/// The result of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Family {
    /// Whether its cases were computed at all.
    pub support: Support,
    /// Cases in all files of the family.
    pub cases: usize,
    /// Cases that were computed and agree.
    pub passed: usize,
    /// Cases that were computed and differ.
    pub failed: usize,
    /// The first [`FAILURES_KEPT_MAX`] failed cases.
    pub failures: Vec<Failure>,
}

/// Whether a family can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// Its cases are computed.
    Checked,
    /// It is known, but nothing here computes it.
    Unsupported,
    /// No specification names it.
    Unknown,
}

/// One thing that went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The file or folder.
    pub file: String,
    /// The case's id, or its position; absent when the whole file is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// What differed, with its causes.
    pub reason: String,
}

/// The outcome of a whole report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Everything was computed and agrees.
    Passed,
    /// What was computed agrees, but a family was not computed, or there was none.
    Incomplete,
    /// Something differs or could not be read.
    Failed,
}

impl Verdict {
    /// The exit code of a program: 0, 3 for incomplete, 1 for failed.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Incomplete => 3,
            Self::Failed => 1,
        }
    }
}

impl Report {
    /// Checks the content of one file and adds the result; `file` is its name in the report.
    pub fn check(&mut self, file: &Path, content: &[u8]) {
        match VectorFile::parse(file, content) {
            Ok(vectors) => self.check_cases(file, &vectors),
            Err(error) => self.add_problem(file, &error),
        }
    }

    /// The outcome over all families and files.
    pub fn verdict(&self) -> Verdict {
        let failed = self.families.values().any(|family| family.failed > 0);
        let unchecked = |family: &Family| family.support != Support::Checked;
        let skipped = self.families.is_empty() || self.families.values().any(unchecked);
        match (failed || !self.problems.is_empty(), skipped) {
            (true, _) => Verdict::Failed,
            (false, true) => Verdict::Incomplete,
            (false, false) => Verdict::Passed,
        }
    }

    /// A table of families, the failures under it, and the verdict.
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.render_into(&mut out);
        out
    }

    pub(crate) fn add_problem(&mut self, file: &Path, error: &dyn Error) {
        self.problems.push(Failure { file: file.display().to_string(), case: None, reason: chain(error) });
    }

    fn check_cases(&mut self, file: &Path, vectors: &VectorFile) {
        let check = families::find(&vectors.family);
        let family = self.families.entry(vectors.family.clone()).or_insert_with(|| Family::empty(check.support()));
        for (index, case) in vectors.cases.iter().enumerate() {
            family.cases += 1;
            let families::Check::Checked(check) = check else { continue };
            match check(&case.value()) {
                Ok(()) => family.passed += 1,
                Err(reason) => family.fail(file, case.id(index), chain(&reason)),
            }
        }
    }

    fn render_into(&self, out: &mut String) -> std::fmt::Result {
        let width = self.families.keys().map(String::len).max().unwrap_or(0).max("family".len());
        writeln!(out, "{:width$}  {:>6}  {:>6}  {:>6}  result", "family", "cases", "passed", "failed")?;
        for (name, family) in &self.families {
            let Family { cases, passed, failed, .. } = family;
            writeln!(out, "{name:width$}  {cases:>6}  {passed:>6}  {failed:>6}  {}", family.label())?;
        }
        for failure in self.families.values().flat_map(|family| &family.failures).chain(&self.problems) {
            let case = failure.case.as_ref().map(|case| format!(" [{case}]")).unwrap_or_default();
            writeln!(out, "FAILED {}{case}: {}", failure.file, failure.reason)?;
        }
        let total = |count: fn(&Family) -> usize| self.families.values().map(count).sum::<usize>();
        let (passed, failed) = (total(|family| family.passed), total(|family| family.failed));
        let skipped = total(|family| family.cases) - passed - failed;
        let problems = self.problems.len();
        writeln!(out, "{passed} passed, {failed} failed, {skipped} not checked, {problems} unreadable")
    }
}

impl Family {
    fn empty(support: Support) -> Self {
        Self { support, cases: 0, passed: 0, failed: 0, failures: Vec::new() }
    }

    fn fail(&mut self, file: &Path, case: String, reason: String) {
        self.failed += 1;
        if self.failures.len() < FAILURES_KEPT_MAX {
            self.failures.push(Failure { file: file.display().to_string(), case: Some(case), reason });
        }
    }

    fn label(&self) -> &'static str {
        match (self.support, self.failed) {
            (Support::Checked, 0) => "ok",
            (Support::Checked, _) => "FAILED",
            (Support::Unsupported, _) => "unsupported",
            (Support::Unknown, _) => "unknown family",
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
