//! Servers in other languages, as their programmers write them: for questions that our own server
//! cannot answer, such as what an interpreter's lock does to a pool of threads.
//!
//! ```text
//! name ──find──▶ Foreign ──lack? (is it installed)──▶ subject ──▶ Launch::Program
//!                            Go alone: ──build once──▶ a folder ──┘
//! ```
//!
//! Their sources are part of this program. They read as much at once as our own server, listen with
//! as long a queue, send small answers at once, and can do the same work for each line.

mod build;

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use server::work::Work;

use crate::subject::{Launch, PORT, Program, Subject};

/// The sources.
const POOL_PY: &str = include_str!("servers/pool.py");
const ECHO_JS: &str = include_str!("servers/echo.js");
const ECHO_GO: &str = include_str!("servers/echo.go");
/// Where they are found in this repository: how a person starts the same.
const SOURCES: &str = "lab/src/foreign/servers";
/// How many connections may wait to be accepted; where the kernel allows fewer, that holds for all.
const BACKLOG: &str = "4096";

/// A kind of server in another language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// As typed.
    pub name: &'static str,
    /// What it is, in a few words.
    pub what: &'static str,
    recipe: Recipe,
}

/// What it takes to start one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recipe {
    /// `pool.py` of this kind.
    Python(&'static str),
    /// `echo.js`.
    Node,
    /// `echo.go`.
    Go,
    /// A command line is all of it.
    Socat,
}

/// All of them.
pub const ALL: &[Foreign] = &[
    Foreign {
        name: "python-thread-pool",
        what: "Python, a ThreadPoolExecutor: a connection each for --workers threads",
        recipe: Recipe::Python("threads"),
    },
    Foreign {
        name: "python-process-pool",
        what: "Python, a ProcessPoolExecutor: a connection each for --workers processes",
        recipe: Recipe::Python("processes"),
    },
    Foreign {
        name: "python-thread-per-connection",
        what: "Python, a thread for each connection",
        recipe: Recipe::Python("thread-per-connection"),
    },
    Foreign {
        name: "python-asyncio",
        what: "Python, one event loop with a coroutine for each connection",
        recipe: Recipe::Python("asyncio"),
    },
    Foreign {
        name: "node",
        what: "Node.js, one event loop",
        recipe: Recipe::Node,
    },
    Foreign {
        name: "go",
        what: "Go, a goroutine for each connection",
        recipe: Recipe::Go,
    },
    Foreign {
        name: "socat",
        what: "socat, which forks and executes cat for each connection, as inetd does",
        recipe: Recipe::Socat,
    },
];

/// Why one cannot take part.
#[derive(Debug, thiserror::Error)]
pub enum Lack {
    /// What runs it is not there.
    #[error("{name} needs {program}, which is not installed")]
    Missing {
        /// The server.
        name: &'static str,
        /// The program.
        program: &'static str,
    },
    /// It echoes and does nothing else.
    #[error("{name} only echoes: it cannot do --work {work}")]
    NoWork {
        /// The server.
        name: &'static str,
        /// The work.
        work: Work,
    },
    /// It has to be built, and cannot be.
    #[error("{name} cannot be built: {source}")]
    Build {
        /// The server.
        name: &'static str,
        /// What the system or the compiler said.
        source: io::Error,
    },
}

/// The one of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Foreign> {
    ALL.iter().find(|known| known.name == name)
}

impl Foreign {
    /// Why it cannot run here and do `work`; none if it can. Looks for the program that runs it, and
    /// builds nothing.
    #[must_use]
    pub fn lack(&self, work: Work) -> Option<Lack> {
        let name = self.name;
        if self.recipe == Recipe::Socat && work != Work::None {
            return Some(Lack::NoWork { name, work });
        }
        let program = self.recipe.program();
        let missing = Lack::Missing { name, program };
        self.version().is_none().then_some(missing)
    }

    /// What runs it, and which version of it; none when it is not installed.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        let mut command = Command::new(self.recipe.program());
        let command = command.args(self.recipe.version_args());
        let output = command.stdin(Stdio::null()).output().ok()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let line = said.lines().find(|line| line.contains(char::is_numeric));
        let line = line.filter(|_| output.status.success())?.trim();
        Some(match self.recipe {
            Recipe::Node => format!("Node.js {line}"),
            _ => line.to_owned(),
        })
    }

    /// The server with `workers` workers, where it has any, that does `work` for each line. What has to
    /// be built is built in `folder`, once.
    ///
    /// # Errors
    ///
    /// [`Lack`].
    pub fn subject(&self, workers: usize, work: Work, folder: &Path) -> Result<Subject, Lack> {
        if let Some(lack) = self.lack(work) {
            return Err(lack);
        }
        let (workers, work) = (workers.to_string(), in_seconds(work));
        let program = match self.recipe {
            Recipe::Python(kind) => {
                let given = [kind, PORT, &workers, "--work", &work, "--backlog", BACKLOG];
                script("python3", ["-c", POOL_PY], "pool.py", &given)
            }
            Recipe::Node => script(
                "node",
                ["-e", ECHO_JS],
                "echo.js",
                &["--", PORT, &work, BACKLOG],
            ),
            Recipe::Go => {
                let built = build::go("echo", ECHO_GO, folder);
                let name = self.name;
                let built = built.map_err(|source| Lack::Build { name, source })?;
                Program {
                    argv: vec![
                        built.to_string_lossy().into_owned(),
                        PORT.into(),
                        work.clone(),
                    ],
                    shown: format!("go run {SOURCES}/echo.go {PORT} {work}"),
                }
            }
            Recipe::Socat => {
                let listen = format!(
                    "TCP-LISTEN:{PORT},bind=127.0.0.1,reuseaddr,fork,nodelay,backlog={BACKLOG}"
                );
                Program::of(&["socat", &listen, "EXEC:cat,nofork"])
            }
        };
        Ok(Subject {
            name: self.name.to_owned(),
            launch: Launch::Program(program),
        })
    }
}

impl Recipe {
    fn program(self) -> &'static str {
        match self {
            Self::Python(_) => "python3",
            Self::Node => "node",
            Self::Go => "go",
            Self::Socat => "socat",
        }
    }

    fn version_args(self) -> &'static [&'static str] {
        match self {
            Self::Python(_) | Self::Node => &["--version"],
            Self::Go => &["version"],
            Self::Socat => &["-V"],
        }
    }
}

/// A source that an interpreter is handed as an argument, and is shown by its file.
fn script(interpreter: &str, [flag, source]: [&str; 2], file: &str, given: &[&str]) -> Program {
    let argv = [&[interpreter, flag, source], given].concat();
    let given: Vec<&str> = given.iter().copied().filter(|arg| *arg != "--").collect();
    Program {
        argv: argv.into_iter().map(str::to_owned).collect(),
        shown: format!("{interpreter} {SOURCES}/{file} {}", given.join(" ")),
    }
}

/// Work as the sources read it.
fn in_seconds(work: Work) -> String {
    let s = |time: Duration| time.as_secs_f64();
    match work {
        Work::None => "none".to_owned(),
        Work::Compute(time) => format!("cpu={}", s(time)),
        Work::Wait(time) => format!("io={}", s(time)),
        Work::WaitExponential(mean) => format!("io=exp:{}", s(mean)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_found() {
        let names: HashSet<&str> = ALL.iter().map(|known| known.name).collect();
        assert_eq!(names.len(), ALL.len());
        assert!(
            names
                .iter()
                .all(|name| find(name).is_some() && !name.contains('='))
        );
        assert!(find("cobol").is_none());
    }

    #[test]
    fn work_is_told_in_seconds() {
        for (typed, told) in [
            ("none", "none"),
            ("cpu=250us", "cpu=0.00025"),
            ("io=5ms", "io=0.005"),
            ("io=exp:2ms", "io=exp:0.002"),
        ] {
            assert_eq!(in_seconds(typed.parse().unwrap()), told);
        }
    }

    #[test]
    fn a_source_is_an_argument_and_is_shown_by_its_file() {
        let program = script(
            "python3",
            ["-c", POOL_PY],
            "pool.py",
            &["threads", PORT, "4"],
        );
        let told: Vec<&String> = program
            .argv
            .iter()
            .filter(|arg| arg.contains(PORT))
            .collect();
        assert_eq!(
            told,
            [PORT],
            "the port is told once, and the source says nothing of it"
        );
        assert_eq!(
            program.shown,
            "python3 lab/src/foreign/servers/pool.py threads {port} 4"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let work = "cpu=1ms".parse().unwrap();
        let lack = find("socat").and_then(|socat| socat.lack(work)).unwrap();
        assert_eq!(
            lack.to_string(),
            "socat only echoes: it cannot do --work cpu=1ms"
        );
        let (name, program) = ("go", "go");
        assert_eq!(
            Lack::Missing { name, program }.to_string(),
            "go needs go, which is not installed"
        );
    }
}
