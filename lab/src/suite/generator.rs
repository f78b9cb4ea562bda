//! Programs that make load, ours and others: started as a person starts them, told a port, a number of
//! clients and a time by places in their command, and asked for nothing but how many answers they got.
//!
//! What they cost is read from outside, when they are gone.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use cli::Interrupt;
use rustix::process::{Pid, Signal, kill_process_group};

use super::take::Unfit;
use crate::bench::Failure;
use crate::launcher::{Launcher, NotBuilt};
use crate::log::Log;
use crate::process::{self, StartError};
use crate::subject::{CLIENTS, Launch, PORT, Program, SECONDS, Subject, TARGET};

/// Our load generator, as typed.
pub(super) const NAME: &str = "loadgen";
/// Bytes of a message, as the plain client has them.
pub(super) const SIZE: &str = "64";
/// How long a client of ours that stays is silent.
pub(super) const HOLD: &str = "{seconds}s";
/// The shortest run of which processor time is read: that of the start, some milliseconds, is in it.
pub(super) const SHORTEST: Duration = Duration::from_secs(2);
/// How much longer than told a program may take until it is gone.
const GRACE: Duration = Duration::from_secs(10);
/// How often one looks whether the user wants to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What stands in front of the number of answers, where that is not all that is printed: in documents
/// of ours and of the reference clients, and in what neper prints.
const KEYS: [&str; 3] = ["\"answered\":", "\"reqs\":", "num_transactions="];
/// What stands behind it in what wrk prints.
const BEHIND: &str = " requests in ";

/// What a program is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) port: u16,
    pub(super) clients: u32,
    pub(super) time: Duration,
}

/// A program that makes load; whoever drops it ends it and all that it started.
#[derive(Debug)]
pub(super) struct Generator {
    child: Child,
    log: Log,
    printed: File,
    give_up_at: Instant,
}

/// Our load generator, which is to be found beside the lab.
pub(super) fn own(launcher: &Launcher, flags: &[&str]) -> Subject {
    let time = format!("{SECONDS}s");
    let load = [NAME, TARGET, "-c", CLIENTS, "-d", &time];
    let rest = ["--warmup", "0s", "--threads", "1", "--format", "json"];
    let mut program = Program::of(&[&load[..], &rest, flags].concat());
    if let Some(first) = program.argv.first_mut() {
        *first = launcher.beside(NAME).to_string_lossy().into_owned();
    }
    Subject {
        name: NAME.to_owned(),
        launch: Launch::Program(program),
    }
}

impl Generator {
    /// Starts `subject` on the processors of this thread.
    ///
    /// # Errors
    ///
    /// [`Failure`] when that cannot be done.
    pub(super) fn start(
        subject: &Subject,
        launcher: &Launcher,
        told: Told,
    ) -> Result<Self, Failure> {
        let subject = subject
            .clone()
            .filled(PORT, &told.port.to_string())
            .filled(CLIENTS, &told.clients.to_string())
            .filled(SECONDS, &told.time.as_secs_f64().to_string());
        let printed = tempfile::tempfile().map_err(Failure::system("keep what is printed"))?;
        let stdout = printed
            .try_clone()
            .map_err(Failure::system("keep what is printed"))?;
        let mut command = process::command(&subject, launcher, told.port);
        let program = command.get_program().into();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| StartError::Spawn {
            name: subject.name.clone(),
            source: io::Error::new(
                error.kind(),
                NotBuilt {
                    program,
                    source: error,
                },
            ),
        })?;
        Ok(Self {
            log: Log::of(child.stderr.take()),
            child,
            printed,
            give_up_at: Instant::now() + told.time + GRACE,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many answers it had, once it has ended by itself.
    ///
    /// # Errors
    ///
    /// [`Failure`] when the user does not want to wait, or the system loses it.
    pub(super) fn answers(mut self, interrupt: &Interrupt) -> Result<Result<u64, Unfit>, Failure> {
        while !process::is_gone_within(self.pid(), LOOK_EVERY) {
            if interrupt.signal().is_some() {
                return Err(Failure::Interrupted);
            }
            if Instant::now() >= self.give_up_at {
                let late = cli::units::span(GRACE);
                return Ok(Err(Unfit(format!(
                    "it has not ended {late} after its time"
                ))));
            }
        }
        let status = self
            .child
            .wait()
            .map_err(Failure::system("wait for a client"))?;
        if !status.success() {
            let words = self.log.last_words();
            return Ok(Err(Unfit(format!("it ended with {status}{words}"))));
        }
        let mut printed = String::new();
        self.printed
            .rewind()
            .and_then(|()| self.printed.read_to_string(&mut printed))
            .map_err(Failure::system("read what was printed"))?;
        let answers = parse(&printed).filter(|answers| *answers > 0);
        let why = || Unfit("it does not print a number of answers".to_owned());
        Ok(answers.ok_or_else(why))
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        // Who was waited for is gone, and its number may belong to someone else.
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
    }
}

/// The number of answers in what a program printed: behind one of the keys, in front of the words, or
/// all there is.
fn parse(printed: &str) -> Option<u64> {
    let behind = |key: &&str| printed.split_once(*key).map(|(_, rest)| rest.trim_start());
    let number = match (KEYS.iter().find_map(behind), printed.split_once(BEHIND)) {
        (Some(rest), _) => rest.split(|c: char| !c.is_ascii_digit()).next()?,
        (None, Some((before, _))) => before.split_ascii_whitespace().next_back()?,
        (None, None) => printed.trim(),
    };
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{sync, usage};

    const LIMIT: Duration = Duration::from_secs(10);

    /// A client whose command is `script`, told port 7, 3 clients and a second.
    fn client(script: &str) -> Generator {
        let subject = format!("c-client={script} # {{port}}").parse().unwrap();
        let told = Told {
            port: 7,
            clients: 3,
            time: Duration::from_secs(1),
        };
        Generator::start(&subject, &launcher(), told).unwrap()
    }

    fn launcher() -> Launcher {
        Launcher::of_one("/nonexistent/lab", "@server", "@part")
    }

    fn answers(client: Generator) -> Result<u64, String> {
        let answers = client.answers(&Interrupt::default()).unwrap();
        answers.map_err(|Unfit(why)| why)
    }

    #[test]
    fn the_number_of_answers_is_read_off_what_programs_print() {
        assert_eq!(parse("8123\n"), Some(8123));
        assert_eq!(parse("{\"reqs\":8123,\"rps\":812}\n"), Some(8123));
        let document = "{\n \"requests\": {\n \"answered\": 8123,\n \"errors\": 0}}\n";
        assert_eq!(parse(document), Some(8123));
        let neper = "num_flows=50\nnum_transactions=8123\nlatency_min=0.0001\n";
        assert_eq!(parse(neper), Some(8123));
        let wrk =
            "    Req/Sec 4.06k 0.11k\n  8123 requests in 2.00s, 0.33MB read\nRequests/sec: 4061\n";
        assert_eq!(parse(wrk), Some(8123));
        for other in [
            "",
            "8123 requests",
            "-1",
            "\"reqs\": none",
            "\"reqs\":",
            " requests in ",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_client_is_told_its_places_and_its_answers_are_counted() {
        assert_eq!(answers(client("echo {port}{clients}{seconds}")), Ok(731));
        // More than a pipe holds, which nobody would empty.
        let long = "echo '\"reqs\":5,'; head -c 1000000 /dev/zero";
        assert_eq!(answers(client(long)), Ok(5));
    }

    #[test]
    fn a_client_that_fails_or_prints_nothing_of_use_is_told_in_a_line() {
        assert_eq!(
            answers(client("echo no such host >&2; exit 3")).unwrap_err(),
            "it ended with exit status: 3 (it said: no such host)"
        );
        for useless in ["true", "echo 0", "echo done"] {
            let why = answers(client(useless)).unwrap_err();
            assert_eq!(why, "it does not print a number of answers", "{useless}");
        }
    }

    #[test]
    fn a_load_generator_that_was_not_built_is_named_with_its_path_and_a_remedy() {
        let told = Told {
            port: 7,
            clients: 1,
            time: Duration::ZERO,
        };
        let error = Generator::start(&own(&launcher(), &[]), &launcher(), told).unwrap_err();
        let line = error.to_string();
        assert!(
            line.starts_with("cannot start loadgen: /nonexistent/loadgen: "),
            "{line}"
        );
        assert!(
            line.ends_with("; build all programs: cargo build --release"),
            "{line}"
        );
    }

    #[test]
    fn a_dropped_client_takes_its_children_along() {
        let client = client("sleep 60 & wait");
        let group = client.pid();
        let both = || usage::family_of(client.pid()).len() == 2;
        assert!(sync::until(LIMIT, both).is_ok(), "the child never came");
        drop(client);
        let gone = || usage::living_members_of(group).is_empty();
        assert!(sync::until(LIMIT, gone).is_ok(), "the group lives on");
    }
}
