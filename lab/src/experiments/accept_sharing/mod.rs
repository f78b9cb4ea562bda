//! Who takes the next client: whoever has time, whom the kernel deals it to, or whom the master
//! chooses. It decides who works, who waits for whom, and who is lost with whom.

mod closing;
mod deal;
mod queues;
mod show;
mod stranded;
mod verdict;

use std::fmt;

use serde::Serialize;

use super::WORKERS;
use crate::bench::{Bench, Failure};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use closing::Closing;
use deal::Deal;
use queues::Queue;
use stranded::Stranded;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "accept-sharing",
    chapter: Chapter::Serving,
    question: "Four workers, one port: who takes the next client, and what does that cost the others?",
    claim: "One shared listener loses nobody and makes nobody wait for a busy worker, but gives most \
            clients of idle workers to one of them; a listener for each (SO_REUSEPORT) deals them out \
            like dice, also to who is busy; only a master that hands them out deals evenly.",
    prediction: "200 clients one by one on 4 idle workers. Handed out to the least loaded: 50 each, \
                 exactly. By the kernel's hash: 50 each up to chance, chi-square (3 degrees of \
                 freedom) below 30 but once in a million. Shared with epoll: the kernel wakes the \
                 first of its list, which is back on it first: chi-square far above 30. \
                 64 clients beside one busy worker: with own listeners each is dealt to it with \
                 probability 1/4, so 16 ± 3.5 wait for it; otherwise none. At 80 % load a shared \
                 queue is M/M/4, wait 0.75 S; four queues are four M/M/1, wait ρ/(1-ρ) S = 4 S: 5.4 \
                 times as long; at least twice is asked for. A closed listener resets who waits at it \
                 and nobody else.",
    method: "process-pool with 4 workers and each --accept. Clients one after the other, that stay \
             and that leave, on workers with epoll; the counters of /status tell who accepted. 64 \
             clients beside one that stays, whose worker is then killed. Exponential work of 5 ms, a \
             connection per request, the same random arrivals for shared and reuseport at the same \
             time. Bare sockets, of which one is closed while 64 clients wait.",
    lesson: "One queue for all who serve, unless the queue itself is what limits you. The server binds \
             once and shares by default; with --accept reuseport its master keeps every socket open, \
             so that a worker's death does not reset who waits at it, and --accept handoff buys even \
             shares for long connections.",
    fault: Fault {
        what: "The workers that are said to have a listener each share one.",
        symptom: "reuseport",
    },
    run,
};

/// Who takes the next client, as `--accept` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Way {
    Shared,
    Reuseport,
    Handoff,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    deals: Vec<Deal>,
    stranded: Vec<Stranded>,
    /// Whether this kernel was told to pass on who waits at a closed socket (tcp_migrate_req).
    migrates: bool,
    closing: Vec<Closing>,
    queues: Vec<Queue>,
}

impl Way {
    const ALL: [Self; 3] = [Self::Shared, Self::Reuseport, Self::Handoff];

    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Reuseport => "reuseport",
            Self::Handoff => "handoff",
        }
    }

    /// What the server is told.
    fn flag(self, bench: &Bench) -> &'static str {
        match self {
            Self::Reuseport if bench.faulted() => Self::Shared.name(),
            way => way.name(),
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let figures = Figures {
        deals: deal::all(bench)?,
        stranded: stranded::all(bench)?,
        migrates: closing::migrates(),
        closing: closing::all().map_err(Failure::system("close a listener"))?,
        queues: queues::all(bench)?,
    };
    Ok(Finding {
        ruling: verdict::judge(&figures),
        headline: show::headline(&figures),
        exhibits: show::exhibits(&figures),
        figures: figures_of(&figures),
    })
}
