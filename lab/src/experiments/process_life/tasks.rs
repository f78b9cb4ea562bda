//! Three tasks of 1, 2 and 3 units, started together and joined in turn: they take 3 units, not 6.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bench::Bench;
use crate::exhibit::Table;
use crate::part::{self, now_s};
use crate::player::Player;
use crate::verdict::{Ruling, Zones};

/// What each task takes, in units.
const UNITS: [u32; 3] = [1, 2, 3];
/// A unit in the short form.
const UNIT: Duration = Duration::from_millis(200);
/// More than this many units are as near to 6 as to 3.
const AMBIGUOUS_UNITS: f64 = 4.5;

/// How many run at the same time: all of them, or one after the other. If the first had ended when the
/// last began, a busy machine may have been slow to start it.
const AT_ONCE: Zones = Zones {
    enough: UNITS.len() as f64,
    wrong: 2.0,
};

/// When a task was asked for, when it began and ended by its own account, and when its parent had
/// joined it, in seconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Task {
    units: u32,
    asked_s: f64,
    began_s: f64,
    ended_s: f64,
    joined_s: f64,
}

/// A task's own account.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Account {
    began_s: f64,
    ended_s: f64,
}

/// All three; times are counted from before the first was started.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Tasks {
    unit_s: f64,
    total_s: f64,
    tasks: Vec<Task>,
}

impl Tasks {
    /// How long all of it took, in units.
    pub(super) fn total_units(&self) -> f64 {
        self.total_s / self.unit_s
    }

    /// How many ran at the same time, at most: somebody's beginning is one of those moments.
    fn most_at_once(&self) -> usize {
        let at = |moment_s: f64| {
            let running = |it: &&Task| it.began_s <= moment_s && moment_s < it.ended_s;
            self.tasks.iter().filter(running).count()
        };
        let most = self.tasks.iter().map(|it| at(it.began_s)).max();
        most.unwrap_or(0)
    }

    /// Whether each was asked for only when the one before was joined. Those that were not and did
    /// not meet either were late.
    fn were_asked_one_by_one(&self) -> bool {
        let mut pairs = self.tasks.windows(2);
        pairs.all(|pair| pair[1].asked_s >= pair[0].joined_s)
    }
}

pub(super) fn run(bench: &Bench) -> io::Result<Tasks> {
    let unit = bench.window(UNIT);
    let start_s = now_s();
    let mut tasks = Vec::new();
    let mut started = Vec::new();
    for units in UNITS {
        let mut command = bench.launcher.part("process-life.task");
        let ms = (unit * units).as_millis().to_string();
        let asked_s = now_s();
        let player = Player::start(command.arg(ms))?;
        started.push(Started {
            units,
            asked_s,
            player,
        });
        if bench.faulted() {
            tasks.extend(joined(&mut started, start_s)?);
        }
    }
    tasks.extend(joined(&mut started, start_s)?);
    Ok(Tasks {
        unit_s: unit.as_secs_f64(),
        total_s: now_s() - start_s,
        tasks,
    })
}

/// A task that was started.
struct Started {
    units: u32,
    asked_s: f64,
    player: Player,
}

/// Joins those in the order in which they were started.
fn joined(started: &mut Vec<Started>, start_s: f64) -> io::Result<Vec<Task>> {
    let join = |mut it: Started| {
        let account: Account = it.player.says()?;
        it.player.join()?;
        Ok(Task {
            units: it.units,
            asked_s: it.asked_s - start_s,
            began_s: account.began_s - start_s,
            ended_s: account.ended_s - start_s,
            joined_s: now_s() - start_s,
        })
    };
    started.drain(..).map(join).collect()
}

/// The part of a task: its work is to wait.
pub(super) fn task(args: &[String]) -> io::Result<u8> {
    let ms = args.first().and_then(|ms| ms.parse().ok());
    let time = Duration::from_millis(ms.ok_or(io::ErrorKind::InvalidInput)?);
    let began_s = now_s();
    std::thread::sleep(time);
    let ended_s = now_s();
    part::say(&Account { began_s, ended_s })?;
    Ok(cli::exit::SUCCESS)
}

/// Whether they ran at the same time is an order of events; how long all of it took is only a doubt, since
/// a busy machine may be late for each of them.
pub(super) fn objections(tasks: &Tasks) -> Vec<Ruling> {
    let (total_s, unit_s) = (tasks.total_s, tasks.unit_s);
    let shortest_s = f64::from(UNITS[2]) * unit_s;
    let at_once = tasks.most_at_once();
    let found = format!(
        "at most {at_once} of {} tasks ran at the same time, and all took {:.1} units",
        UNITS.len(),
        tasks.total_units()
    );
    let ruling = if let Some(apart) = AT_ONCE.objection(at_once as f64, found.as_str()) {
        if tasks.were_asked_one_by_one() {
            apart
        } else {
            Ruling::inconclusive(format!("{found}; is the machine busy?"))
        }
    } else if total_s < shortest_s {
        Ruling::does_not_hold(format!(
            "all were joined after {total_s:.2} s, before the last could end ({shortest_s:.2} s)"
        ))
    } else if total_s > AMBIGUOUS_UNITS * unit_s {
        let units = tasks.total_units();
        Ruling::inconclusive(format!(
            "three tasks took {units:.1} units; is the machine busy?"
        ))
    } else {
        return Vec::new();
    };
    vec![ruling]
}

pub(super) fn table(tasks: &Tasks) -> Table {
    let ms = |s: f64| format!("{:.0} ms", s * 1e3).into();
    let row = |task: &Task| {
        vec![
            format!(
                "{} ({:.0} ms)",
                task.units,
                f64::from(task.units) * tasks.unit_s * 1e3
            )
            .into(),
            ms(task.began_s),
            ms(task.ended_s),
            ms(task.joined_s),
        ]
    };
    let header = ["task of units", "began", "ended", "joined"];
    Table {
        title: format!(
            "Joined: {:.2} units of time for tasks of 1, 2 and 3",
            tasks.total_units()
        ),
        caption: "Started one right after the other, joined in that order.".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: tasks.tasks.iter().map(row).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::verdict::Verdict;

    /// Tasks that each began `apart` units after the one before.
    pub(in super::super) fn apart(apart: f64) -> Tasks {
        let task = |(index, units): (u32, u32)| {
            let began_s = f64::from(index) * apart;
            let ended_s = began_s + f64::from(units);
            Task {
                units,
                asked_s: began_s,
                began_s,
                ended_s,
                joined_s: ended_s,
            }
        };
        let tasks: Vec<Task> = (0..).zip(UNITS).map(task).collect();
        let total_s = tasks.iter().map(|it| it.joined_s).fold(0.0, f64::max);
        Tasks {
            unit_s: 1.0,
            total_s,
            tasks,
        }
    }

    #[test]
    fn who_runs_at_once_takes_as_long_as_the_longest() {
        let verdict = |tasks: &Tasks| objections(tasks).first().map(|ruling| ruling.verdict);
        assert_eq!(verdict(&apart(0.1)), None);
        assert_eq!(verdict(&apart(0.45)), None);
        assert_eq!(
            verdict(&apart(0.5)),
            Some(Verdict::Inconclusive),
            "two at once"
        );
        assert_eq!(verdict(&apart(1.0)), Some(Verdict::Inconclusive));
        let mut late = apart(0.1);
        late.total_s = 4.6;
        assert_eq!(verdict(&late), Some(Verdict::Inconclusive));
        assert_eq!(verdict(&apart(1.9)), Some(Verdict::Inconclusive));
        assert_eq!(verdict(&apart(2.0)), Some(Verdict::DoesNotHold));
        let mut slow = apart(2.0);
        slow.tasks.iter_mut().for_each(|it| it.asked_s = 0.0);
        assert_eq!(verdict(&slow), Some(Verdict::Inconclusive), "begun late");
        let mut early = apart(0.1);
        early.total_s = 2.9;
        assert_eq!(verdict(&early), Some(Verdict::DoesNotHold));
    }
}
