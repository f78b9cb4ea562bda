//! `--pid-file`: where an operator finds the process that is the server, also after upgrades.
//!
//! It is there from the moment that the server is ready, and always whole: a successor puts its own in
//! place of it in one step. Only the last one removes it.

use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use tracing::error;

/// Everybody may read it.
const MODE: u32 = 0o644;

/// A file that is not there yet.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    written: NamedTempFile,
}

/// A file that cannot be.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot write --pid-file {}: {source}; its directory must exist and be writable for this user",
    path.display()
)]
pub(crate) struct PidFileError {
    path: PathBuf,
    source: io::Error,
}

/// A file that is there, and is removed when this is dropped, if it is still ours.
#[derive(Debug)]
pub(crate) struct Published(PathBuf);

impl PidFile {
    /// Writes it beside its place, so that what can go wrong does so before the server is ready.
    ///
    /// # Errors
    ///
    /// When there can be no file at `path`.
    pub(crate) fn prepare(path: &Path) -> Result<Self, PidFileError> {
        let failed = |source| PidFileError {
            path: path.to_owned(),
            source,
        };
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let is_file = path.file_name().is_some() && !path.is_dir();
        if !is_file {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let write = || {
            let mut builder = tempfile::Builder::new();
            builder.permissions(std::fs::Permissions::from_mode(MODE));
            let mut written = builder.prefix(".pid-").tempfile_in(directory)?;
            writeln!(written, "{}", std::process::id())?;
            Ok(written)
        };
        Ok(Self {
            written: write().map_err(failed)?,
            path: path.to_owned(),
        })
    }

    /// Puts it in its place, instead of a predecessor's.
    pub(crate) fn publish(self) -> Option<Published> {
        let Self { path, written } = self;
        match written.persist(&path) {
            Ok(_) => Some(Published(path)),
            Err(failed) => {
                let error = failed.error;
                error!(path = %path.display(), %error, "cannot put --pid-file in its place; the server goes on without");
                None
            }
        }
    }
}

impl Published {
    /// It is a successor's to remove.
    pub(crate) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        let own = std::process::id().to_string();
        if std::fs::read_to_string(&self.0).is_ok_and(|text| text.trim() == own) {
            // Whoever removed it meanwhile has done the same.
            let _ = std::fs::remove_file(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_at_once_and_as_a_whole_and_goes_with_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.pid");
        let entries = || std::fs::read_dir(directory.path()).unwrap().count();
        std::fs::write(&path, "an older one\n").unwrap();
        let prepared = PidFile::prepare(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "an older one\n");
        let published = prepared.publish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
        assert_eq!(entries(), 1);
        drop(published);
        assert_eq!(entries(), 0);
        drop(PidFile::prepare(&path).unwrap());
        assert_eq!(entries(), 0, "one that never was leaves nothing");
    }

    #[test]
    fn another_ones_file_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("server.pid");
        let published = PidFile::prepare(&path).unwrap().publish().unwrap();
        std::fs::write(&path, "1\n").unwrap();
        drop(published);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n");
        assert!(PidFile::prepare(directory.path()).is_err());
        assert!(PidFile::prepare(&directory.path().join("no/such")).is_err());
    }
}
