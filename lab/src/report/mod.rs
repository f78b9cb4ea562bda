//! What was found out, as a document, as text and as a page.
//!
//! Results are written after each experiment, first to a file of another name which is then
//! renamed: a reader never sees half a report, and an interruption costs one experiment.

mod html;
mod page;
mod staircase_text;
mod text;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::bench::Effort;
use crate::compare::Comparison;
use crate::experiment::{Entry, Text};
use crate::machine::Machine;
use crate::verdict::Verdict;

pub use text::{
    captioned as captioned_text, comparison as comparison_text, document as document_text,
    entry as entry_text, grid as table_text, opening as opening_text,
};

/// The version of the document; it grows when a key changes its meaning.
pub const SCHEMA: u32 = 1;
/// The page's name in the output folder.
pub const PAGE: &str = "report.html";
/// The document's name in the output folder.
pub const DOCUMENT: &str = "results.json";
/// What to do about a folder without results.
pub(crate) const FOLDER: &str = "name a folder that --out of an earlier run named";

/// Everything that was found out.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
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
    /// How thorough it was.
    pub effort: Effort,
    /// Where all random choices came from.
    pub seed: u64,
    /// The experiments, in the order in which they were run.
    pub experiments: Vec<Entry>,
    /// The comparison, if that was what was asked for.
    pub comparison: Option<Comparison>,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Its name.
    pub name: Text,
    /// Its version.
    pub version: Text,
    /// The commit that was checked out where it ran, if there is one.
    pub commit: Option<String>,
}

/// Results that could not be saved.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; choose another folder by --out", path.display())]
pub struct SaveError {
    path: PathBuf,
    source: io::Error,
}

/// Results that cannot be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is no such file, or it is not ours to read.
    #[error("cannot read {}: {source}; {remedy}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// It holds something else.
    #[error("cannot understand {}: {source}; {remedy}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Where it differs.
        source: serde_json::Error,
        /// What to do about it.
        remedy: &'static str,
    },
    /// Another version of the lab wrote it.
    #[error("{} has schema {found} and not {wanted}: another version wrote it; {remedy}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version of the document.
        found: u32,
        /// That of this program.
        wanted: u32,
        /// What to do about it.
        remedy: &'static str,
    },
}

impl Document {
    /// A document without results.
    #[must_use]
    pub fn new(command: String, effort: Effort, seed: u64) -> Self {
        Self {
            schema: SCHEMA,
            tool: Tool::lab(),
            command,
            interrupted: false,
            machine: Machine::here(),
            effort,
            seed,
            experiments: Vec::new(),
            comparison: None,
        }
    }

    /// The exit code that the results deserve: the worst of the experiments.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.experiments.iter().any(|entry| !entry.completed) {
            return cli::exit::FAILED;
        }
        match self.experiments.iter().map(|entry| entry.verdict).max() {
            None | Some(Verdict::Holds) => cli::exit::SUCCESS,
            Some(Verdict::Inconclusive) => crate::exit::INCONCLUSIVE,
            Some(Verdict::DoesNotHold) => crate::exit::DOES_NOT_HOLD,
        }
    }

    /// How many claims hold, in one line; none where a line each says it all.
    #[must_use]
    pub fn tally(&self) -> Option<String> {
        let count = |verdict| {
            let such = self
                .experiments
                .iter()
                .filter(|entry| entry.verdict == verdict);
            such.count()
        };
        let of = [Verdict::Holds, Verdict::DoesNotHold, Verdict::Inconclusive];
        let counts = of.map(|verdict| (count(verdict), verdict));
        let took_s: f64 = self.experiments.iter().map(|entry| entry.took_s).sum();
        let told = counts.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told
            .map(|(count, verdict)| format!("{count} {verdict}"))
            .collect();
        (self.experiments.len() > 1).then(|| {
            let (all, told) = (self.experiments.len(), told.join(", "));
            format!("\nof {all} claims: {told}; {took_s:.0} s")
        })
    }

    /// The document as JSON, with a line break at its end.
    #[must_use]
    pub fn json(&self) -> String {
        pretty(self)
    }

    /// The document that was saved in `folder`.
    ///
    /// # Errors
    ///
    /// [`ReadError`] names the file.
    pub fn read(folder: &Path) -> Result<Self, ReadError> {
        let path = folder.join(DOCUMENT);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => {
                return Err(ReadError::Unreadable {
                    path,
                    source,
                    remedy: FOLDER,
                });
            }
        };
        parsed(&text, path, SCHEMA, "run the experiments again")
    }

    /// Writes the page alone into `folder`.
    ///
    /// # Errors
    ///
    /// [`SaveError`] names the file; an older one of that name is then still whole.
    pub fn save_page(&self, folder: &Path) -> Result<(), SaveError> {
        put(folder, PAGE, &page::page(self))
    }

    /// Writes page and document into `folder`, which is made if need be.
    ///
    /// # Errors
    ///
    /// [`SaveError`] names the file; an older one of that name is then still whole.
    pub fn save(&self, folder: &Path) -> Result<(), SaveError> {
        put(folder, DOCUMENT, &self.json())?;
        self.save_page(folder)
    }
}

impl Tool {
    /// This program, where it runs.
    #[must_use]
    pub fn lab() -> Self {
        Self {
            name: "lab".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            commit: commit(),
        }
    }
}

/// The commit that is checked out here, marked if there are changes; none outside of a repository.
fn commit() -> Option<String> {
    let asked = Command::new("git")
        .args([
            "describe",
            "--always",
            "--dirty",
            "--abbrev=12",
            "--exclude=*",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8(asked.stdout).ok()?;
    let commit = said.trim();
    (asked.status.success() && !commit.is_empty()).then(|| commit.to_owned())
}

/// A document as JSON, with a line break at its end.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    // Only maps with keys that are no text and failing `Serialize`s can fail; there are none.
    let mut json = serde_json::to_string_pretty(document).unwrap_or_default();
    json.push('\n');
    json
}

/// What `text`, which stood at `path`, says, if this program knows its `schema`.
///
/// # Errors
///
/// [`ReadError::Version`] and [`ReadError::Foreign`], with the `remedy`.
pub(crate) fn parsed<T: DeserializeOwned>(
    text: &str,
    path: PathBuf,
    schema: u32,
    remedy: &'static str,
) -> Result<T, ReadError> {
    /// All that every version has.
    #[derive(Deserialize)]
    struct Versioned {
        schema: u32,
    }
    // First, since what another version wrote has other keys as well.
    match serde_json::from_str(text) {
        Ok(Versioned { schema: found }) if found != schema => Err(ReadError::Version {
            path,
            found,
            wanted: schema,
            remedy,
        }),
        _ => serde_json::from_str(text).map_err(|source| ReadError::Foreign {
            path,
            source,
            remedy,
        }),
    }
}

/// Writes a file into `folder`, which is made if need be.
///
/// # Errors
///
/// [`SaveError`] names the file; an older one of that name is then still whole.
pub(crate) fn put(folder: &Path, name: &str, content: &str) -> Result<(), SaveError> {
    std::fs::create_dir_all(folder).map_err(|source| SaveError {
        path: folder.to_owned(),
        source,
    })?;
    replace(&folder.join(name), content)
}

/// Puts a whole file in the place of another.
fn replace(path: &Path, content: &str) -> Result<(), SaveError> {
    let aside = path.with_extension(format!("{}.tmp", std::process::id()));
    let written = std::fs::File::create(&aside)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| std::fs::rename(&aside, path));
    written.map_err(|source| {
        let _ = std::fs::remove_file(&aside);
        SaveError {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests;
