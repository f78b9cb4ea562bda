//! The columns of the matrix: the server's own list of modes, and what can be told of each from
//! what it is made of. A mode that is added there is soaked unasked.

use std::num::NonZeroUsize;
use std::str::FromStr;

use server::{Choice, Mode, Plan};

/// The workers of every mode that has any: threads, or processes.
pub const WORKERS: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
/// Threads in each worker process whose mode has a fixed number of them.
pub const WORKER_THREADS: NonZeroUsize = NonZeroUsize::new(4).expect("4 is not 0");
/// A limit that no mode reaches by the number of its workers.
const MANY: u32 = 1_000_000;

/// What the mode is made of here.
#[must_use]
pub fn plan(choice: Choice) -> Plan {
    choice.plan(WORKERS, WORKER_THREADS)
}

/// Every mode.
#[must_use]
pub fn any(_: Choice) -> bool {
    true
}

/// As many clients as its limit allows are served at once: no worker is held by a client.
#[must_use]
pub fn unbounded(choice: Choice) -> bool {
    plan(choice).capacity(MANY) == MANY as usize
}

/// A worker owns one request and not the connection: there is a fixed number of them, and still
/// everybody is served.
#[must_use]
pub fn request_grain(choice: Choice) -> bool {
    plan(choice).inside.uses_threads() && unbounded(choice)
}

/// The modes of [`request_grain`] that serve in one process.
#[must_use]
pub fn request_grain_in_one_process(choice: Choice) -> bool {
    request_grain(choice) && plan(choice).processes.is_none()
}

/// Workers are processes under a supervisor.
#[must_use]
pub fn supervised(choice: Choice) -> bool {
    plan(choice).processes.is_some()
}

/// There is a process for each connection, or for each worker.
#[must_use]
pub fn of_processes(choice: Choice) -> bool {
    supervised(choice) || process_each(choice)
}

/// There is a process for each connection.
#[must_use]
pub fn process_each(choice: Choice) -> bool {
    plan(choice).inside.mode() == Mode::ProcessPerConnection
}

/// There is a thread for each connection.
#[must_use]
pub fn thread_each(choice: Choice) -> bool {
    plan(choice).inside.mode() == Mode::ThreadPerConnection
}

/// The flags that start the server in that mode.
#[must_use]
pub fn flags(choice: Choice) -> Vec<String> {
    let plan = plan(choice);
    let mut flags: Vec<String> = choice.args().into_iter().map(str::to_owned).collect();
    if plan.uses_workers() {
        flags.extend(["--workers".into(), WORKERS.to_string()]);
    }
    if plan.processes.is_some() && plan.inside.uses_threads() {
        flags.extend(["--worker-threads".into(), WORKER_THREADS.to_string()]);
    }
    flags
}

/// What `--mode` says: a mode, or one inside the workers of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    mode: String,
    inside: Option<String>,
}

impl Wanted {
    /// Whether `choice` is meant. A pool without more stands for all pools.
    #[must_use]
    pub fn means(&self, choice: Choice) -> bool {
        let inside = self.inside.as_deref();
        choice.mode.name() == self.mode
            && inside.is_none_or(|inside| inside == choice.inside.mode().name())
    }
}

impl FromStr for Wanted {
    type Err = String;

    /// `epoll`, `process-pool`, `process-pool:epoll`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (mode, inside) = match text.split_once(':') {
            Some((mode, inside)) => (mode, Some(inside.to_owned())),
            None => (text, None),
        };
        let wanted = Self {
            mode: mode.to_owned(),
            inside,
        };
        if Choice::ALL.iter().any(|choice| wanted.means(*choice)) {
            return Ok(wanted);
        }
        let names: Vec<&str> = crate::modes::all().collect();
        Err(format!(
            "there is no such mode; the modes are {}, and process-pool:MODE for one inside the \
             workers",
            names.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: impl Fn(Choice) -> bool) -> Vec<String> {
        let choices = Choice::ALL.iter().filter(|choice| wanted(**choice));
        choices.map(ToString::to_string).collect()
    }

    #[test]
    fn the_grain_of_a_mode_follows_from_what_it_is_made_of() {
        let known = ["ready-pool", "async", "epoll"];
        let grain = names(request_grain_in_one_process);
        assert!(
            known.iter().all(|name| grain.iter().any(|it| it == name)),
            "{grain:?}"
        );
        for pool in [
            "sequential",
            "thread-pool",
            "rayon",
            "thread-per-connection",
        ] {
            assert!(!grain.iter().any(|name| name == pool), "{pool}");
        }
        assert!(request_grain(Choice::pool_of(server::Inner::Epoll)));
    }

    #[test]
    fn what_is_made_of_processes_is_known() {
        let processes = names(of_processes);
        assert!(
            processes
                .iter()
                .any(|name| name == "process-per-connection")
        );
        assert!(processes.iter().any(|name| name == "process-pool"));
        assert!(!processes.iter().any(|name| name == "epoll"));
        assert!(
            !names(supervised)
                .iter()
                .any(|name| name == "process-per-connection")
        );
        assert!(thread_each(Choice::of(Mode::ThreadPerConnection)));
    }

    #[test]
    fn flags_are_given_only_where_they_mean_something() {
        let line = |choice| flags(choice).join(" ");
        assert_eq!(line(Choice::of(Mode::Sequential)), "--mode sequential");
        assert_eq!(line(Choice::of(Mode::Epoll)), "--mode epoll --workers 4");
        assert_eq!(
            line(Choice::pool_of(server::Inner::Epoll)),
            "--mode process-pool --worker-mode epoll --workers 4 --worker-threads 4"
        );
    }

    #[test]
    fn a_pool_stands_for_all_pools_and_can_be_told_apart() {
        let means = |text: &str| names(|choice| text.parse::<Wanted>().unwrap().means(choice));
        assert_eq!(means("epoll"), ["epoll"]);
        assert_eq!(means("process-pool:epoll"), ["process-pool of epoll"]);
        assert_eq!(means("process-pool:sequential"), ["process-pool"]);
        assert!(means("process-pool").len() > 5);
        for none in ["green", "epoll:async", "process-pool:process-pool"] {
            assert!(none.parse::<Wanted>().is_err(), "{none}");
        }
    }
}
