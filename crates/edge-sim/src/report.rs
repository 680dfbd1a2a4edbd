//! What a run found: figures, bars that it had to reach, and drawings.

use std::fmt::Write;

use serde::Serialize;

use crate::plot::Chart;

/// The result of one run. Equal inputs give equal reports, down to the digest.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Name of the scenario.
    pub scenario: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// Viewers, the publisher not counted.
    pub peers: usize,
    /// Seed of everything random.
    pub seed: u64,
    /// Simulated seconds.
    pub duration_s: u64,
    /// Settings of the scenario, as text.
    pub parameters: Vec<Parameter>,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// What had to be reached.
    pub bars: Vec<Bar>,
    /// SHA-256 over every delivery of the run, in hexadecimal.
    pub digest: String,
    /// Drawings, for [`svg`](crate::plot::svg).
    #[serde(skip)]
    pub charts: Vec<Chart>,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Its value with its unit.
    pub value: String,
}

/// One measured value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Its unit; empty for a count.
    pub unit: &'static str,
}

/// A bound, and whether it was kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bar {
    /// Its name.
    pub name: &'static str,
    /// What was measured.
    pub value: f64,
    /// How the value must lie to the bound.
    pub must_be: Side,
    /// The bound.
    pub bound: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// Whether it was kept.
    pub pass: bool,
}

/// On which side of its bound a value must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// At the bound or below.
    AtMost,
    /// At the bound or above.
    AtLeast,
}

impl Report {
    /// Whether every bar was reached.
    pub fn passed(&self) -> bool {
        self.bars.iter().all(|bar| bar.pass)
    }

    /// Adds a figure.
    pub fn figure(&mut self, name: &'static str, value: f64, unit: &'static str) {
        self.figures.push(Figure { name, value, unit });
    }

    /// Adds a bar that a value may not exceed.
    pub fn at_most(&mut self, name: &'static str, value: f64, bound: f64, unit: &'static str) {
        self.bars.push(Bar { name, value, must_be: Side::AtMost, bound, unit, pass: value <= bound });
    }

    /// Adds a bar that a value must reach.
    pub fn at_least(&mut self, name: &'static str, value: f64, bound: f64, unit: &'static str) {
        self.bars.push(Bar { name, value, must_be: Side::AtLeast, bound, unit, pass: value >= bound });
    }

    /// A figure's value by name.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|figure| figure.name == name).map(|figure| figure.value)
    }

    /// The report as a person reads it.
    pub fn to_text(&self) -> String {
        let mut out = format!(
            "{}: {}\n{} viewers, {} s, seed {}\n\n",
            self.scenario, self.about, self.peers, self.duration_s, self.seed
        );
        for Parameter { name, value } in &self.parameters {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "  {name:<44} {value}");
        }
        out.push('\n');
        for Figure { name, value, unit } in &self.figures {
            let _ = writeln!(out, "  {name:<44} {:>12} {unit}", number(*value));
        }
        out.push('\n');
        self.bars.iter().for_each(|bar| out.push_str(&bar.to_line()));
        let _ = writeln!(out, "\ndigest {}", self.digest);
        out
    }
}

impl Bar {
    fn to_line(&self) -> String {
        let verdict = if self.pass { "pass" } else { "FAIL" };
        let relation = match self.must_be {
            Side::AtMost => "≤",
            Side::AtLeast => "≥",
        };
        let (value, bound) = (number(self.value), number(self.bound));
        format!("{verdict}  {:<44} {value:>10} {relation} {bound} {}\n", self.name, self.unit)
    }
}

/// Whole numbers whole, others with as many digits as tell something.
fn number(value: f64) -> String {
    match value {
        value if value.fract() == 0.0 => format!("{value:.0}"),
        value if value.abs() >= 100.0 => format!("{value:.1}"),
        value => format!("{value:.3}"),
    }
}
