//! How our own server and our own parts are started.

use std::io;
use std::path::PathBuf;
use std::process::Command;

/// The program `server`, as typed.
const SERVER: &str = "server";

/// See the module.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// What is our server.
    pub server: Start,
    /// What plays a part ([`crate::part`]).
    pub part: Start,
}

/// A program, and what comes before all other arguments.
#[derive(Clone, Debug)]
pub struct Start {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub args: Vec<String>,
}

/// A program that is to be found beside the lab is not there.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}; build all programs: cargo build --release", .program.display())]
pub struct NotBuilt {
    /// Where it was looked for.
    pub program: PathBuf,
    /// The system's reason.
    pub source: io::Error,
}

impl Launcher {
    /// One that has `program`, usually this one, do both; it is the server after the argument `server`
    /// and plays a part after `part`.
    #[must_use]
    pub fn of_one(program: impl Into<PathBuf>, server: &str, part: &str) -> Self {
        let program = program.into();
        let start = |arg: &str| Start {
            program: program.clone(),
            args: vec![arg.to_owned()],
        };
        Self {
            server: start(server),
            part: start(part),
        }
    }

    /// The same with the program `server`, which is to be found beside the lab.
    ///
    /// # Errors
    ///
    /// [`NotBuilt`].
    pub fn with_the_program(self) -> Result<Self, NotBuilt> {
        let program = self.beside(SERVER);
        if let Err(source) = program.metadata() {
            return Err(NotBuilt { program, source });
        }
        let args = Vec::new();
        let server = Start { program, args };
        Ok(Self { server, ..self })
    }

    /// Where another program of ours is: in the same folder as the lab.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.part.program.with_file_name(name)
    }

    /// The command that plays a part of an experiment in a process of its own.
    #[must_use]
    pub fn part(&self, name: &str) -> Command {
        let mut command = self.part.command();
        command.arg(name);
        command
    }
}

impl Start {
    /// The command so far.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_program_is_taken_from_beside_the_lab_and_parts_stay_the_labs() {
        let folder = tempfile::tempdir().unwrap();
        let launcher = || Launcher::of_one(folder.path().join("lab"), "@server", "@part");
        let missing = launcher().with_the_program().unwrap_err().to_string();
        let program = folder.path().join("server");
        let start = format!("{}: ", program.display());
        assert!(missing.starts_with(&start), "{missing}");
        let remedy = "; build all programs: cargo build --release";
        assert!(missing.ends_with(remedy), "{missing}");

        fs::write(&program, "").unwrap();
        let launcher = launcher().with_the_program().unwrap();
        let words = |start: &Start| format!("{:?}", start.command());
        assert_eq!(words(&launcher.server), format!("{program:?}"));
        let lab = folder.path().join("lab");
        assert_eq!(words(&launcher.part), format!("{lab:?} \"@part\""));
    }
}
