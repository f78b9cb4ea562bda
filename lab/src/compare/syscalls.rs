//! How many system calls a server makes, counted by the program `perf`: once, and apart from what is
//! measured, since counting slows every call down.

use std::process::{Command, Stdio};
use std::time::Duration;

/// The tracepoint that every call passes.
const EVENT: &str = "raw_syscalls:sys_enter";

/// Counts of system calls on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter(());

impl Counter {
    /// A counter, if `perf` is there and may count.
    ///
    /// # Errors
    ///
    /// Why not, in words.
    pub(crate) fn here() -> Result<Self, String> {
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", EVENT, "--", "true"]);
        match count_of(&mut command) {
            Ok(_) => Ok(Self(())),
            Err(why) => Err(format!("system calls are not counted: {why}")),
        }
    }

    /// How many system calls the processes `pids` make within `time`; none if they are gone, or could
    /// not be counted all the time.
    pub(crate) fn count(self, pids: &[u32], time: Duration) -> Option<f64> {
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        let seconds = time.as_secs_f64().to_string();
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-e", EVENT, "-p", &pids.join(",")]);
        count_of(command.args(["--", "sleep", &seconds])).ok()
    }
}

fn count_of(command: &mut Command) -> Result<f64, String> {
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output();
    let output = output.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "perf is not installed".to_owned(),
        _ => format!("perf cannot be run: {error}"),
    })?;
    let said = String::from_utf8_lossy(&output.stderr);
    parse(&said).ok_or_else(|| "perf may not count here (kernel.perf_event_paranoid)".to_owned())
}

/// The count in the line `COUNT,,raw_syscalls:sys_enter,…`.
fn parse(said: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.contains(EVENT))?;
    line.split(',').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_and_excuses_are_not() {
        assert_eq!(
            parse("144,,raw_syscalls:sys_enter,1343990,100.00,,"),
            Some(144.0)
        );
        let refused = "<not supported>,,raw_syscalls:sys_enter,0,100.00,,";
        assert_eq!((parse(refused), parse("event syntax error")), (None, None));
    }

    #[test]
    fn what_makes_calls_is_counted_and_who_is_gone_is_not() {
        let Ok(counter) = Counter::here().inspect_err(|why| eprintln!("SKIPPED: {why}")) else {
            return;
        };
        let mut writing = Command::new("yes").stdout(Stdio::null()).spawn().unwrap();
        let calls = counter.count(&[writing.id()], Duration::from_millis(500));
        writing.kill().unwrap();
        writing.wait().unwrap();
        assert!(calls.is_some_and(|calls| calls > 0.0), "{calls:?}");
        let gone = counter.count(&[writing.id()], Duration::from_millis(50));
        assert_eq!(gone, None);
    }
}
