//! What a benchmark found out, as `bench.json`: with every figure of every round, so that whoever reads
//! it later can judge anew and compare.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::baseline::{Change, Trend};
use super::goal::{Figure, Goal, Relation};
use super::judge::{Judgement, Round, Verdict};
use crate::machine::Machine;
use crate::report::{self, ReadError, SaveError, Tool};

/// The version of the document; it grows when a key changes its meaning.
pub const SCHEMA: u32 = 1;
/// The document's name in the output folder.
pub const FILE: &str = "bench.json";
/// What to do about one that cannot be used.
const REMEDY: &str = "name a bench.json of this version of the lab";

/// Everything that was found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Who wrote it.
    pub tool: Tool,
    /// The command line.
    pub command: String,
    /// Whether a signal ended the work early.
    pub interrupted: bool,
    /// Where it ran.
    pub machine: Machine,
    /// Where servers and load ran.
    pub pinning: String,
    /// Where all random choices came from.
    pub seed: u64,
    /// One for each goal that was asked for, in the order of the table.
    pub rows: Vec<Row>,
    /// Where the rows went since the baseline, if there is one.
    pub changes: Option<Vec<Change>>,
}

/// One goal, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// [`Goal::name`].
    pub name: String,
    /// What was measured.
    pub figure: Figure,
    /// What it was to be.
    pub goal: Relation,
    /// How it was measured.
    pub settings: Settings,
    /// What follows.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// What has to be known of it.
    pub remarks: Vec<String>,
    /// The figures of each round.
    pub rounds: Vec<Round>,
    /// How long it took; rows that were measured together have the same.
    pub took_s: f64,
}

/// What two measurements must have in common to be the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How our server was started.
    pub own: String,
    /// The reference, if there is one.
    pub reference: Option<Reference>,
    /// Rounds.
    pub pairs: usize,
    /// How long a run is measured.
    pub window_s: f64,
}

/// Who our server was measured beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Its name.
    pub name: String,
    /// How it was started, with `{port}` for its port.
    pub command: String,
}

/// Why the goals as a whole are reached, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// None was missed, and none became slower.
    Reached,
    /// At least one was, or did.
    Missed,
    /// None was missed for sure, but of one nothing can be said.
    Open,
}

impl Document {
    /// The document at `path`.
    ///
    /// # Errors
    ///
    /// [`ReadError`] names the file.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let path = path.to_owned();
        match fs::read_to_string(&path) {
            Ok(text) => report::parsed(&text, path, SCHEMA, REMEDY),
            Err(source) => Err(ReadError::Unreadable {
                path,
                source,
                remedy: REMEDY,
            }),
        }
    }

    /// Writes it into `folder`, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`SaveError`] names the file; an older one of that name is then still whole.
    pub fn save(&self, folder: &Path) -> Result<(), SaveError> {
        report::put(folder, FILE, &report::pretty(self))
    }

    /// What the worst of the rows says; one that became slower is as bad as one that is missed.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let any = |of: fn(Verdict) -> bool| self.rows.iter().any(|row| of(row.judgement.verdict));
        let mut changes = self.changes.iter().flatten();
        let slower = changes.any(|change| change.trend == Trend::Slower);
        if slower || any(|verdict| verdict == Verdict::Missed) {
            Outcome::Missed
        } else if any(Verdict::is_open) {
            Outcome::Open
        } else {
            Outcome::Reached
        }
    }

    /// The row of that name.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl Row {
    /// A row of which nothing is known yet.
    #[must_use]
    pub fn of(goal: &Goal, settings: Settings) -> Self {
        Self {
            name: goal.name.to_owned(),
            figure: goal.figure,
            goal: goal.relation,
            settings,
            judgement: Judgement::none(Verdict::NotMeasured),
            remarks: Vec::new(),
            rounds: Vec::new(),
            took_s: 0.0,
        }
    }

    /// Whether it is what would be measured now: it need not be measured again.
    #[must_use]
    pub fn answers(&self, goal: &Goal, settings: &Settings) -> bool {
        let same = (self.figure, self.goal) == (goal.figure, goal.relation);
        same && self.settings == *settings && self.rounds.len() == settings.pairs
    }
}

impl Outcome {
    /// The exit code that it deserves.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Reached => cli::exit::SUCCESS,
            Self::Missed => crate::exit::DOES_NOT_HOLD,
            Self::Open => crate::exit::INCONCLUSIVE,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::suite::goal;
    use crate::suite::simulation::rounds;

    /// A document of one machine with these rounds for the first rows of the table.
    pub(in crate::suite) fn document(of: &[Vec<Round>]) -> Document {
        let row = |(goal, rounds): (&Goal, &Vec<Round>)| Row {
            judgement: Judgement::of(goal.relation, rounds),
            rounds: rounds.clone(),
            ..Row::of(goal, settings(rounds.len()))
        };
        Document {
            schema: SCHEMA,
            tool: Tool {
                name: "lab".into(),
                version: "0.1.0".into(),
                commit: None,
            },
            command: "lab bench".into(),
            interrupted: false,
            machine: Machine {
                cpus: 2,
                cpu_model: Some("a processor".into()),
                memory_bytes: Some(1 << 34),
                kernel: "6.18".into(),
            },
            pinning: "servers on processors 1, load on 0".into(),
            seed: 1,
            rows: goal::ALL.iter().zip(of).map(row).collect(),
            changes: None,
        }
    }

    fn settings(pairs: usize) -> Settings {
        Settings {
            own: "server 127.0.0.1:0 --mode epoll --workers 1".into(),
            reference: Some(Reference {
                name: "plain-epoll".into(),
                command: "lab @part plain-epoll 127.0.0.1:0 1".into(),
            }),
            pairs,
            window_s: 0.5,
        }
    }

    #[test]
    fn one_that_is_missed_outweighs_one_that_is_open() {
        let (good, bad, few) = (
            rounds(1, 8, 1.0, 0.01),
            rounds(2, 8, 0.5, 0.01),
            rounds(3, 2, 1.0, 0.01),
        );
        // The first row is a rate, where less is worse.
        let code = |of: &[Vec<Round>]| document(of).outcome().exit_code();
        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[good.clone(), good.clone()]), 0);
        assert_eq!(code(&[good.clone(), few.clone()]), 4);
        assert_eq!(code(&[bad, few]), 3);
    }

    #[test]
    fn what_was_saved_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let saved = document(&[rounds(1, 8, 1.0, 0.01)]);
        saved.save(folder.path()).unwrap();
        assert_eq!(Document::read(&folder.path().join(FILE)).unwrap(), saved);
    }

    #[test]
    fn a_row_is_measured_again_when_anything_of_it_changed() {
        let row = document(&[rounds(1, 8, 1.0, 0.01)]).rows.remove(0);
        let (goal, settings) = (&goal::ALL[0], row.settings.clone());
        assert!(row.answers(goal, &settings));
        assert!(!row.answers(&goal::ALL[1], &settings));
        let longer = Settings {
            window_s: 1.0,
            ..settings.clone()
        };
        assert!(!row.answers(goal, &longer));
        let more = Settings {
            pairs: 9,
            ..settings
        };
        assert!(!row.answers(goal, &more));
    }
}
