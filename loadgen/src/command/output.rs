//! Where the report goes: stdout, or a file that is replaced in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use clap::{ValueEnum, ValueHint};
use loadgen::report::{Report, csv, hdr_log, html, json, ndjson, text};

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people
    #[default]
    Text,
    /// The whole document, for programs and for `loadgen report`
    Json,
    /// A table with a row for each run
    Csv,
    /// The intervals as an HdrHistogram log 1.3
    Hdr,
    /// A time series with a JSON object for each interval
    Ndjson,
    /// For people with a browser: one page with pictures, which needs no network
    Html,
}

/// The form of a report and the places that take it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Delivery {
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    #[command(flatten)]
    place: Place,
    /// Write a table with a row for each run to this file too
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the intervals as an HdrHistogram log to this file too
    #[arg(long, value_name = "FILE")]
    hdr_log: Option<PathBuf>,
    /// Write a time series, a JSON object for each interval, to this file too
    #[arg(long, value_name = "FILE")]
    timeseries: Option<PathBuf>,
}

/// The place that takes a text: stdout, unless a file is named.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Place {
    /// Write to this file instead of stdout; an old one stays whole until then
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl Form {
    /// `reports` in this form; where people read several, each below its name.
    ///
    /// # Errors
    ///
    /// In one line: a histogram that cannot be read, or several reports in a form for one.
    fn render(self, reports: &[Report], names: &[String]) -> Result<String, String> {
        match self {
            Self::Text => Ok(texts(reports, names)),
            Self::Json => self.only(reports).map(json::render),
            Self::Csv => Ok(csv::render(reports)),
            Self::Hdr => hdr_log::render(self.only(reports)?)
                .map_err(|why| format!("the result holds a histogram that cannot be read: {why}")),
            Self::Ndjson => Ok(ndjson::render(reports)),
            Self::Html => Ok(match reports {
                [only] => html::render(only),
                several => html::render_many(several),
            }),
        }
    }

    fn only(self, reports: &[Report]) -> Result<&Report, String> {
        match reports {
            [only] => Ok(only),
            several => Err(format!(
                "--format {self} holds one result and here are {}; name one, or merge them",
                several.len()
            )),
        }
    }
}

fn texts(reports: &[Report], names: &[String]) -> String {
    let heading = |name: &String| format!("{}:\n", text::visible(name));
    let mut headings = names.iter().map(heading).filter(|_| reports.len() > 1);
    let text = |report| headings.next().unwrap_or_default() + &text::render(report);
    reports.iter().map(text).collect::<Vec<_>>().join("\n")
}

/// The name as typed.
impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.to_possible_value();
        f.write_str(
            value
                .as_ref()
                .map_or("", clap::builder::PossibleValue::get_name),
        )
    }
}

impl Delivery {
    /// Checks before the work that its result can be delivered, as far as that can be known.
    ///
    /// # Errors
    ///
    /// Why not, in one line.
    pub(super) fn check(&self) -> Result<(), String> {
        self.place.check()?;
        self.beside()
            .try_for_each(|(file, _)| check(file).map_err(|error| unwritable(file, &error)))
    }

    /// Checks that no file is named twice: the last form would replace the others.
    ///
    /// # Errors
    ///
    /// Which one is, in one line; a usage error.
    pub(super) fn no_file_twice(&self) -> Result<(), String> {
        let mut files: Vec<&Path> = self.place.output.iter().map(PathBuf::as_path).collect();
        for (file, _) in self.beside() {
            if files.contains(&file) {
                let file = file.display();
                return Err(format!(
                    "{file} is named for two forms; give each a file of its own"
                ));
            }
            files.push(file);
        }
        Ok(())
    }

    /// Writes `report` where it belongs.
    ///
    /// # Errors
    ///
    /// Why that failed, in one line.
    pub(super) fn deliver(&self, report: &Report) -> Result<(), String> {
        self.deliver_all(std::slice::from_ref(report), &[])
    }

    /// Writes all `reports` where they belong; people are told their `names` if there are several.
    ///
    /// # Errors
    ///
    /// Why that failed, in one line.
    pub(super) fn deliver_all(&self, reports: &[Report], names: &[String]) -> Result<(), String> {
        let main = self.format.render(reports, names)?;
        for (file, form) in self.beside() {
            write(file, &form.render(reports, names)?).map_err(|error| unwritable(file, &error))?;
        }
        self.place.write(&main)
    }

    /// Whether nothing of the report is on stdout.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.place.output.is_some()
    }

    /// The form of the main output.
    pub(super) const fn form(&self) -> Form {
        self.format
    }

    /// Whether files are asked for beside the main output.
    pub(super) fn has_more(&self) -> bool {
        self.beside().next().is_some()
    }

    /// Writes `text`, which has the form asked for, where the main output belongs.
    ///
    /// # Errors
    ///
    /// Why that failed, in one line.
    pub(super) fn write(&self, text: &str) -> Result<(), String> {
        self.place.write(text)
    }

    /// Checks that a set of results has the form that is asked for.
    ///
    /// # Errors
    ///
    /// That it has none, in one line; a usage error.
    pub(super) fn check_set(&self) -> Result<(), String> {
        let single = self.format == Form::Hdr || self.hdr_log.is_some();
        if single {
            let why =
                "an HdrHistogram log holds one result; use --out, and `loadgen report` on each";
            return Err(why.to_owned());
        }
        Ok(())
    }

    /// Writes a set of results where it belongs: as the `table` for people, as an array for
    /// programs.
    ///
    /// # Errors
    ///
    /// Why that failed, in one line.
    pub(super) fn deliver_set(&self, reports: &[Report], table: &str) -> Result<(), String> {
        let main = match self.format {
            Form::Text => table.to_owned(),
            Form::Json => {
                let text = serde_json::to_string_pretty(reports);
                format!("{}\n", text.expect("the documents have only string keys"))
            }
            form => form.render(reports, &[])?,
        };
        for (file, form) in self.beside() {
            write(file, &form.render(reports, &[])?).map_err(|error| unwritable(file, &error))?;
        }
        self.place.write(&main)
    }

    /// The files that are written beside the main output.
    fn beside(&self) -> impl Iterator<Item = (&Path, Form)> {
        let files = [
            (self.csv.as_deref(), Form::Csv),
            (self.hdr_log.as_deref(), Form::Hdr),
            (self.timeseries.as_deref(), Form::Ndjson),
        ];
        let named = |(file, form): (Option<_>, Form)| file.map(|file| (file, form));
        files.into_iter().filter_map(named)
    }
}

impl Place {
    /// Checks before the work that its result can be written, as far as that can be known.
    ///
    /// # Errors
    ///
    /// Why not, in one line.
    pub(super) fn check(&self) -> Result<(), String> {
        let checked = self.output.as_deref().map_or(Ok(()), check);
        checked.map_err(|error| self.unwritable(&error))
    }

    /// Writes `text`.
    ///
    /// # Errors
    ///
    /// Why that failed, in one line.
    pub(super) fn write(&self, text: &str) -> Result<(), String> {
        let written = match &self.output {
            Some(file) => write(file, text),
            None => cli::stdout::emit(text),
        };
        written.map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &io::Error) -> String {
        match &self.output {
            Some(file) => unwritable(file, error),
            None => format!("cannot write stdout: {error}; name a file with -o"),
        }
    }
}

fn unwritable(file: &Path, error: &io::Error) -> String {
    format!(
        "cannot write {}: {error}; name another file",
        file.display()
    )
}

/// Checks before the run that `file` can be written afterwards, as far as that can be known.
///
/// # Errors
///
/// When its folder does not exist, or it is a folder itself.
fn check(file: &Path) -> io::Result<()> {
    if file.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    fs::metadata(folder(file)).and_then(|found| {
        if found.is_dir() {
            Ok(())
        } else {
            Err(io::ErrorKind::NotADirectory.into())
        }
    })
}

/// Writes `text` to `file`. An ordinary file is replaced by rename, so that whatever goes wrong
/// leaves the old one whole; a device or a pipe is written to.
///
/// # Errors
///
/// Whatever keeps the text from being written.
pub(super) fn write(file: &Path, text: &str) -> io::Result<()> {
    // A link is followed: its target is replaced, not the link.
    let file = &fs::canonicalize(file).unwrap_or(file.to_owned());
    match fs::metadata(file) {
        Ok(found) if !found.is_file() => {
            let mut device = File::options().write(true).open(file)?;
            cli::stdout::tolerate_closed(device.write_all(text.as_bytes()))
        }
        found => {
            let old = found.ok().map(|found| found.permissions());
            replace(file, text, old)
        }
    }
}

fn replace(file: &Path, text: &str, permissions: Option<fs::Permissions>) -> io::Result<()> {
    let temporary = beside(file)?;
    let written = File::create_new(&temporary).and_then(|mut new| {
        new.write_all(text.as_bytes())?;
        if let Some(permissions) = permissions {
            new.set_permissions(permissions)?;
        }
        new.sync_all()
    });
    written
        .and_then(|()| fs::rename(&temporary, file))
        .inspect_err(|_| {
            // It may not even exist; the failure to report is the first one.
            let _ = fs::remove_file(&temporary);
        })
}

/// A name in the same folder that no other process uses.
fn beside(file: &Path) -> io::Result<PathBuf> {
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}.tmp", process::id()));
    Ok(folder(file).join(hidden))
}

fn folder(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_behind() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("report");
        for text in ["old", "new"] {
            write(&file, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("report"), folder.path().join("link"));
        write(&file, "old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_device_is_written_to_and_stays_a_device() {
        let full = Path::new("/dev/full");
        let error = write(full, "text").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(!fs::metadata(full).unwrap().is_file());
    }

    #[test]
    fn a_missing_folder_is_found_before_the_run() {
        assert!(check(Path::new("/nowhere/at/all")).is_err());
        assert!(check(Path::new("/")).is_err());
        assert!(check(Path::new("report.json")).is_ok());
    }
}
