//! The program's edge: argv, stdout, signals and exit codes meet the library here.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use cli::{exit, usage};
use tracing::{error, warn};

use crate::args::{Args, InvalidArgs};
use crate::board::info_counters;
use crate::config::{Programs, ServerCommand};
use crate::launch::{Launch, Origin, ReadyFd};
use crate::limits::{self, kernel_backlog};
use crate::run::Drained;
use crate::{log, process, sys};

/// Runs the server as its command line says and returns the exit code: 0 stopped on request, or
/// succeeded by another; 1 could not start or crash loop, 2 usage.
///
/// `args[0]` is the name of the program. What `programs` start ends up in [`worker_entry`], and here
/// again.
#[must_use]
pub fn entry(args: &[OsString], programs: &Programs) -> u8 {
    let typed = args.get(1..).unwrap_or_default();
    let args: Args = match usage::parse(args) {
        Ok(args) => args,
        Err(code) => return code,
    };
    // Before anything is opened, since it is known by its numbers.
    let (origin, ready_fd) = match given(&args) {
        Ok(given) => given,
        Err(code) => return code,
    };
    // Whoever started this program may have left something open. Workers get what they need.
    let _ = sys::keep_inherited_descriptors();
    // First, since what the machine allows is part of the configuration.
    limits::raise_descriptor_limit();
    let asked = match args.asked() {
        Ok(asked) => asked,
        Err(invalid) => return usage::refuse("server", &invalid.to_string()),
    };
    log::init(args.log_format);
    let is_own = !matches!(origin, Origin::Manager(_));
    for advice in args.advice(&asked.config, kernel_backlog().filter(|_| is_own)) {
        warn!("{advice}");
    }
    let managed = (!is_own).then(|| args.advice_to_managed());
    for advice in managed.into_iter().flatten() {
        warn!("{advice}");
    }
    let launch = Launch {
        args: &args,
        typed,
        asked: &asked,
        programs,
        ready_fd,
    };
    match launch.start(origin) {
        Ok(drained) => {
            farewell(&drained);
            exit::SUCCESS
        }
        Err(failure) => {
            error!("{failure}");
            exit::FAILED
        }
    }
}

/// What whoever started this process has given it; or the exit code, where that makes no sense.
fn given(args: &Args) -> Result<(Origin, Option<ReadyFd>), u8> {
    let origin = Origin::of_process().map_err(|error| {
        log::init(args.log_format);
        error!("{error}");
        exit::FAILED
    })?;
    let refuse = |why: String| usage::refuse("server", &why);
    if let (Origin::Manager(_), Some(addr)) = (&origin, &args.addr) {
        let addr = addr.clone();
        return Err(refuse(InvalidArgs::TwoPlaces { addr }.to_string()));
    }
    // A predecessor has used it already.
    let is_first = !matches!(origin, Origin::Predecessor(_));
    let ready_fd = args.manager.ready_fd.filter(|_| is_first);
    let ready_fd = ready_fd.map(ReadyFd::take).transpose();
    let ready_fd = ready_fd.map_err(|invalid| refuse(invalid.to_string()))?;
    Ok((origin, ready_fd))
}

/// Serves as a worker of a process pool, or one connection; the parent is on the other end of standard input.
#[must_use]
pub fn worker_entry() -> u8 {
    match process::run_worker() {
        Ok(code) => code,
        Err(failure) => {
            error!("worker: {failure}");
            exit::FAILED
        }
    }
}

/// The last line of the log: the books, and what had to be cut.
fn farewell(drained: &Drained) {
    let left = drained.left;
    info_counters!({} drained.counters, { left, } "stopped");
}

impl ServerCommand {
    /// The program of a process that was started by that name, as a shell finds it, without further
    /// arguments; `otherwise` if there is none.
    #[must_use]
    pub fn named(name: &OsStr, otherwise: PathBuf) -> Self {
        let search = std::env::var_os("PATH").unwrap_or_default();
        Self {
            program: find(name, &search).unwrap_or(otherwise),
            args: Vec::new(),
        }
    }
}

/// Where a shell finds the program `name`, whatever the current directory is later on.
fn find(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    let candidates = match name.as_encoded_bytes().contains(&b'/') {
        true => vec![PathBuf::from(name)],
        false => std::env::split_paths(search)
            .map(|directory| directory.join(name))
            .collect(),
    };
    let mut absolute = candidates.iter().flat_map(std::path::absolute);
    absolute.find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn a_program_is_found_as_a_shell_does_and_by_its_name_and_not_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let (real, link) = (directory.path().join("v1"), directory.path().join("server"));
        std::fs::write(&real, "").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let search = std::env::join_paths([Path::new("/no/such"), directory.path()]).unwrap();
        let find = |name: &Path| find(name.as_os_str(), &search);
        assert_eq!(find(&link), Some(link.clone()));
        assert_eq!(find(Path::new("server")), Some(link));
        assert_eq!(find(Path::new("another")), None);
        assert_eq!(find(directory.path()), None, "a directory is no program");
        assert!(find(Path::new("./Cargo.toml")).unwrap().is_absolute());
    }
}
