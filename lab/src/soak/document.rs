//! What a soak found out, as `soak.json` and as the table of figures to publish.

use std::collections::HashSet;

use serde::Serialize;

use super::case::{AS_BEFORE, CLEAN_LOG, ENDS};
use super::figure::{Figure, Outcome, Published, outcome, together};
use super::step::Step;
use crate::bench::Effort;
use crate::exhibit::{Cell, Table, Tone};
use crate::machine::Machine;
use crate::report::Tool;

/// The version of the document; it grows when a key changes its meaning.
const SCHEMA: u32 = 1;
/// The document's name in the output folder.
pub const FILE: &str = "soak.json";
/// Where figures stand that every case has.
const EVERY_CASE: &str = "every case";

/// Everything that was found out.
#[derive(Debug, Serialize)]
pub struct Document {
    schema: u32,
    tool: Tool,
    command: String,
    /// Whether a signal ended the work early.
    pub interrupted: bool,
    machine: Machine,
    /// The commit that was checked out where the soak ran, if there is one.
    commit: Option<String>,
    profile: &'static str,
    seed: u64,
    /// The steps, in the order in which they were run.
    pub steps: Vec<StepEntry>,
}

/// A step in all its modes.
#[derive(Debug, Serialize)]
pub struct StepEntry {
    /// [`Step::name`].
    pub name: &'static str,
    /// [`Step::claim`].
    pub claim: &'static str,
    /// The worst of its cases.
    pub outcome: Outcome,
    /// How long all of them took.
    pub took_s: f64,
    /// One for each mode.
    pub cases: Vec<CaseEntry>,
}

/// A step in one mode.
#[derive(Debug, Serialize)]
pub struct CaseEntry {
    /// The mode.
    pub mode: String,
    /// What follows from the figures.
    pub outcome: Outcome,
    /// Why, where it is no success.
    pub reason: String,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// How often it was run until it could tell; the figures are those of the last time.
    pub attempts: u32,
    /// How long all of that took.
    pub took_s: f64,
}

impl CaseEntry {
    /// A case that came to its end.
    #[must_use]
    pub fn measured(mode: String, figures: Vec<Figure>, notes: &[String]) -> Self {
        let worst = outcome(&figures);
        let missed = figures
            .iter()
            .filter(|figure| figure.outcome() > Outcome::Pass);
        let mut reasons: Vec<String> = missed
            .map(|figure| {
                let (measured, goal) = (figure.measured(), figure.goal_text());
                format!("{}: {measured} (goal: {goal})", figure.name)
            })
            .collect();
        if worst > Outcome::Pass {
            reasons.extend(notes.iter().cloned());
        }
        Self {
            mode,
            outcome: worst,
            reason: reasons.join("; "),
            figures,
            attempts: 1,
            took_s: 0.0,
        }
    }

    /// A case without figures.
    #[must_use]
    pub fn without_figures(mode: String, outcome: Outcome, reason: String) -> Self {
        Self {
            mode,
            outcome,
            reason,
            figures: Vec::new(),
            attempts: 1,
            took_s: 0.0,
        }
    }
}

impl CaseEntry {
    /// Whether another attempt may tell more: the machine was busy, or nothing was missed but a
    /// time. What the server does wrong makes it late each time, and what happened to the machine
    /// only now and then; what must not happen at all has happened, and is never tried again.
    #[must_use]
    pub fn may_be_the_machine(&self) -> bool {
        let missed = |figure: &&Figure| figure.outcome() == Outcome::Fail;
        match self.outcome {
            Outcome::Inconclusive => true,
            Outcome::Fail => {
                let mut missed = self.figures.iter().filter(missed).peekable();
                missed.peek().is_some() && missed.all(|figure| figure.unit.is_of_time())
            }
            Outcome::Skipped | Outcome::Pass | Outcome::Broken => false,
        }
    }
}

impl StepEntry {
    /// A step of which these cases were run.
    #[must_use]
    pub fn of(step: &Step, cases: Vec<CaseEntry>, took_s: f64) -> Self {
        let worst = cases.iter().map(|case| case.outcome).max();
        Self {
            name: step.name,
            claim: step.claim,
            outcome: worst.unwrap_or(Outcome::Skipped),
            took_s,
            cases,
        }
    }

    /// The step for people: a line for it, and one for each case that is no success.
    #[must_use]
    pub fn text(&self) -> String {
        let count = |outcome| {
            self.cases
                .iter()
                .filter(|case| case.outcome == outcome)
                .count()
        };
        let outcomes = Outcome::ALL.iter().rev();
        let counts: Vec<String> = outcomes
            .map(|outcome| (outcome, count(*outcome)))
            .filter(|(_, count)| *count > 0)
            .map(|(outcome, count)| format!("{count} {outcome}"))
            .collect();
        let mut text = format!(
            "{}: {} — {} in {:.1} s\n",
            self.name,
            self.outcome,
            counts.join(", "),
            self.took_s
        );
        // What is missing for a step is usually missing in every mode.
        let reasons: HashSet<&str> = self.cases.iter().map(|case| case.reason.as_str()).collect();
        if self.outcome == Outcome::Skipped && reasons.len() == 1 {
            text.extend(reasons.iter().map(|reason| format!("  {reason}\n")));
            return text;
        }
        for case in self
            .cases
            .iter()
            .filter(|case| case.outcome != Outcome::Pass)
        {
            text += &format!("  {}: {}: {}\n", case.mode, case.outcome, case.reason);
        }
        text
    }
}

impl Document {
    /// A document without results.
    #[must_use]
    pub fn new(command: String, effort: Effort, seed: u64) -> Self {
        let tool = Tool::lab();
        Self {
            schema: SCHEMA,
            commit: tool.commit.clone(),
            tool,
            command,
            interrupted: false,
            machine: Machine::here(),
            profile: match effort {
                Effort::Short => "quick",
                Effort::Full => "full",
            },
            seed,
            steps: Vec::new(),
        }
    }

    /// The exit code that the results deserve. What was skipped is no failure.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.steps.iter().map(|step| step.outcome).max() {
            None | Some(Outcome::Skipped | Outcome::Pass) => cli::exit::SUCCESS,
            Some(Outcome::Inconclusive) => crate::exit::INCONCLUSIVE,
            Some(Outcome::Fail) => crate::exit::DOES_NOT_HOLD,
            Some(Outcome::Broken) => cli::exit::FAILED,
        }
    }

    /// What the figures are worth nothing without.
    #[must_use]
    pub fn circumstances(&self) -> String {
        let machine = &self.machine;
        let model = machine.cpu_model.as_deref().unwrap_or("unknown processors");
        let memory = machine
            .memory_bytes
            .map_or("unknown".into(), cli::units::bytes);
        format!(
            "{} × {model}, {memory} memory, kernel {}, commit {}, {} profile, seed {}; bounds with a \
             certainty of 95 %",
            machine.cpus,
            machine.kernel,
            self.commit.as_deref().unwrap_or("unknown"),
            self.profile,
            self.seed
        )
    }

    /// The figures to publish: each over all its modes, and last those that every case has.
    #[must_use]
    pub fn table(&self) -> Table {
        let mut rows = Vec::new();
        for step in &self.steps {
            let figures = step.cases.iter().flat_map(|case| &case.figures);
            let own = together(figures.filter(|figure| !of_every_case(figure)));
            rows.extend(own.iter().map(|published| row(step.name, published)));
            if own.is_empty() {
                let reason = step.cases.first().map_or("no mode", |case| &case.reason);
                rows.push(vec![
                    Cell::toned(format!("{}: {reason}", step.name), Tone::Faint),
                    "-".into(),
                    "-".into(),
                    step.cases.len().to_string().into(),
                    cell(step.outcome),
                ]);
            }
        }
        let all = self.steps.iter().flat_map(|step| &step.cases);
        let all = all.flat_map(|case| &case.figures);
        let common = together(all.filter(|figure| of_every_case(figure)));
        rows.extend(common.iter().map(|published| row(EVERY_CASE, published)));
        let head = ["figure", "goal", "measured", "cases", "verdict"];
        Table {
            title: "Figures to publish".into(),
            caption: self.circumstances(),
            header: head.map(str::to_owned).to_vec(),
            rows,
        }
    }

    /// The document as JSON, with a line break at its end.
    #[must_use]
    pub fn json(&self) -> String {
        crate::report::pretty(self)
    }
}

fn of_every_case(figure: &Figure) -> bool {
    [AS_BEFORE, CLEAN_LOG, ENDS].contains(&figure.name.as_ref())
}

fn row(step: &str, published: &Published) -> Vec<Cell> {
    let figure = &published.figure;
    vec![
        format!("{step}: {}", figure.name).into(),
        figure.goal_text().into(),
        figure.measured().into(),
        published.modes.to_string().into(),
        cell(published.outcome),
    ]
}

fn cell(outcome: Outcome) -> Cell {
    let tone = match outcome {
        Outcome::Pass => Tone::Good,
        Outcome::Skipped => Tone::Faint,
        Outcome::Inconclusive | Outcome::Fail | Outcome::Broken => Tone::Bad,
    };
    Cell::toned(outcome.to_string(), tone)
}

#[cfg(test)]
mod tests;
