//! Servers and load on processors of their own, so that they do not take each other's.
//!
//! A process inherits where it may run from the *thread* that starts it, so that thread moves over to
//! the servers' half while it starts one, and back.

use std::io;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// A division of the processors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    load: Vec<usize>,
    servers: Vec<usize>,
}

/// There is nothing to divide.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// One processor is too few.
    #[error("--pin needs 2 processors, and this program may use {0}; leave it out")]
    TooFew(usize),
    /// The system does not tell.
    #[error("--pin cannot be had: {0}; leave it out")]
    Unknown(#[from] io::Error),
}

impl Pin {
    /// The lower half of the processors that this program may use for the load, the others for the
    /// servers.
    ///
    /// # Errors
    ///
    /// [`PinError`].
    pub fn halves() -> Result<Self, PinError> {
        let all = allowed()?;
        let load = all.len() / 2;
        Self::divide(all, load)
    }

    /// The last of them for the servers, the others for the load: then a server has the same processor
    /// to itself on every machine.
    ///
    /// # Errors
    ///
    /// [`PinError`].
    pub(crate) fn one_for_servers() -> Result<Self, PinError> {
        let all = allowed()?;
        let load = all.len().saturating_sub(1);
        Self::divide(all, load)
    }

    fn divide(mut all: Vec<usize>, load: usize) -> Result<Self, PinError> {
        if all.len() < 2 {
            return Err(PinError::TooFew(all.len()));
        }
        let servers = all.split_off(load);
        Ok(Self { load: all, servers })
    }

    /// Lets the calling thread, and what it starts, run where the load shall.
    ///
    /// # Errors
    ///
    /// When the system does not let it.
    pub fn take_to_load(&self) -> io::Result<()> {
        run_on(&self.load)
    }

    /// The same where the servers shall.
    ///
    /// # Errors
    ///
    /// When the system does not let it.
    pub fn take_to_servers(&self) -> io::Result<()> {
        run_on(&self.servers)
    }

    /// The same on all of them.
    ///
    /// # Errors
    ///
    /// When the system does not let it.
    pub(crate) fn take_to_all(&self) -> io::Result<()> {
        run_on(&[self.load.as_slice(), &self.servers].concat())
    }

    /// What was done, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let list = |cpus: &[usize]| -> String {
            let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
            cpus.join(", ")
        };
        let (servers, load) = (list(&self.servers), list(&self.load));
        format!("servers on processors {servers}, load on {load}")
    }
}

/// Has `start` start what it does on a single processor, and nothing else.
///
/// # Errors
///
/// When the system does not let it.
pub(crate) fn on_one<T>(start: impl FnOnce() -> T) -> io::Result<T> {
    let allowed = sched_getaffinity(None)?;
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
    run_on(first.as_slice())?;
    let started = start();
    sched_setaffinity(None, &allowed)?;
    Ok(started)
}

/// The processors that the calling thread may use.
fn allowed() -> io::Result<Vec<usize>> {
    let allowed = sched_getaffinity(None)?;
    let all = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
    Ok(all.collect())
}

fn run_on(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    Ok(sched_setaffinity(None, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_have_nothing_in_common() {
        let pin = Pin::divide(vec![1, 3, 4, 7, 9], 2).unwrap();
        assert_eq!(
            pin.in_words(),
            "servers on processors 4, 7, 9, load on 1, 3"
        );
        assert!(matches!(Pin::divide(vec![3], 0), Err(PinError::TooFew(1))));
    }

    #[test]
    fn a_single_processor_is_for_what_is_started_and_not_for_whoever_starts_it() {
        let processors = || {
            let set = sched_getaffinity(None).unwrap();
            (0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).count()
        };
        let before = processors();
        assert_eq!(on_one(processors).unwrap(), 1);
        assert_eq!(processors(), before);
    }

    #[test]
    fn what_a_thread_starts_runs_where_it_does() {
        let Ok(pin) = Pin::halves() else {
            eprintln!("skipped: one processor cannot be divided");
            return;
        };
        // A thread of its own: the others of this test program stay where they are.
        let started = std::thread::spawn(move || {
            pin.take_to_servers().unwrap();
            let mut child = std::process::Command::new("sleep")
                .arg("60")
                .spawn()
                .unwrap();
            pin.take_to_load().unwrap();
            let process = rustix::process::Pid::from_child(&child);
            let there = sched_getaffinity(Some(process)).unwrap();
            let here = sched_getaffinity(None).unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            let cpus = |set: &CpuSet| {
                (0..CpuSet::MAX_CPU)
                    .filter(|cpu| set.is_set(*cpu))
                    .collect::<Vec<_>>()
            };
            (cpus(&there) == pin.servers, cpus(&here) == pin.load)
        });
        assert_eq!(started.join().unwrap(), (true, true));
    }
}
