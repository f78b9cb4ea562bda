//! Where the report goes: stdout, or a file that is replaced in one step.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process;

use clap::ValueHint;
use loadgen::report::{Report, html, json, text};

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Form {
    /// For people at a terminal
    #[default]
    Text,
    /// For programs: the whole document
    Json,
    /// For people with a browser: one file with pictures, which needs no network
    Html,
}

impl Form {
    fn render(self, report: &Report) -> String {
        match self {
            Self::Text => text::render(report),
            Self::Json => json::render(report),
            Self::Html => html::render(report),
        }
    }
}

/// The form of a report and the place that takes it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Delivery {
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Write the report to this file instead of stdout; an old one stays whole until then
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

impl Delivery {
    /// Checks before the work that its result can be delivered, as far as that can be known.
    ///
    /// # Errors
    ///
    /// Why not, in one line.
    pub(super) fn check(&self) -> Result<(), String> {
        let checked = self.output.as_deref().map_or(Ok(()), check);
        checked.map_err(|error| self.unwritable(&error))
    }

    /// Writes `report` where it belongs.
    ///
    /// # Errors
    ///
    /// Why that failed, in one line.
    pub(super) fn deliver(&self, report: &Report) -> Result<(), String> {
        self.write(&self.format.render(report))
    }

    /// Whether several reports can be delivered together.
    pub(super) fn takes_several(&self) -> bool {
        self.format == Form::Html
    }

    /// Writes several reports, as one page, where they belong.
    ///
    /// # Errors
    ///
    /// Why that failed, in one line.
    pub(super) fn deliver_several(&self, reports: &[Report]) -> Result<(), String> {
        self.write(&html::render_many(reports))
    }

    fn write(&self, text: &str) -> Result<(), String> {
        let written = match &self.output {
            Some(file) => write(file, text),
            None => cli::stdout::emit(text),
        };
        written.map_err(|error| self.unwritable(&error))
    }

    fn unwritable(&self, error: &io::Error) -> String {
        let file = self.output.as_deref().unwrap_or("stdout".as_ref());
        format!("cannot write {}: {error}", file.display())
    }
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
fn write(file: &Path, text: &str) -> io::Result<()> {
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
