//! Ending: TERM is a request. One process dies of it, one ends when it has finished, one does not
//! listen and has to be killed; and whoever joins one does not wait for the others.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use signal_hook::consts::SIGTERM;
use signal_hook::iterator::Signals;

use crate::bench::Bench;
use crate::exhibit::{Cell, Table, Tone};
use crate::part;
use crate::player::Player;
use crate::process::is_gone_within;
use crate::verdict::Ruling;

/// How long one who was asked to end may take until it is killed.
const GRACE: Duration = Duration::from_millis(100);

/// What a process makes of TERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Manner {
    /// What the system does for those who did not say otherwise.
    Default,
    /// Finishes what it has begun: here until it is told so.
    Orderly,
    /// Goes on.
    Deaf,
}

impl Manner {
    const ALL: [Self; 3] = [Self::Default, Self::Orderly, Self::Deaf];

    fn name(self) -> &'static str {
        match self {
            Self::Default => "dies of TERM",
            Self::Orderly => "finishes first",
            Self::Deaf => "does not listen",
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    Signal(i32),
    Code(i32),
}

/// What became of one.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Ending {
    manner: Manner,
    /// Whether it lived when the request had been sent; where it answers, when it had arrived.
    alive_after_term: bool,
    alive_after_grace: bool,
    end: End,
    /// How many of the others were alive when it had been joined.
    others_alive: usize,
}

pub(super) fn run(bench: &Bench) -> io::Result<Vec<Ending>> {
    let mut players = Vec::new();
    for manner in Manner::ALL {
        let mut command = bench.launcher.part("process-life.listener");
        let mut player = Player::start(command.arg(serde_json::to_string(&manner)?))?;
        let () = player.says()?;
        players.push((manner, player));
    }
    let mut endings = Vec::new();
    while !players.is_empty() {
        let (manner, mut player) = players.remove(0);
        let mut ending = end(manner, &mut player)?;
        for (_, other) in &mut players {
            ending.others_alive += usize::from(other.is_alive()?);
        }
        endings.push(ending);
    }
    Ok(endings)
}

/// The ladder: asks, waits, and kills who is still there.
fn end(manner: Manner, player: &mut Player) -> io::Result<Ending> {
    player.signal(Signal::TERM)?;
    if manner != Manner::Default {
        let () = player.says()?;
    }
    let alive_after_term = player.is_alive()?;
    if manner == Manner::Orderly {
        player.hang_up();
    }
    let alive_after_grace = match manner {
        Manner::Deaf => player.is_alive()? && !is_gone_within(player.pid(), GRACE),
        // However long a busy machine takes for it.
        Manner::Default | Manner::Orderly => player.join().is_err(),
    };
    if alive_after_grace {
        player.signal(Signal::KILL)?;
    }
    Ok(Ending {
        manner,
        alive_after_term,
        alive_after_grace,
        end: ended(player.join()?)?,
        others_alive: 0,
    })
}

fn ended(status: ExitStatus) -> io::Result<End> {
    let signal = status.signal().map(End::Signal);
    let end = signal.or(status.code().map(End::Code));
    end.ok_or_else(|| io::Error::other("neither a signal nor a code"))
}

/// The part of one that is asked to end.
pub(super) fn listener(args: &[String]) -> io::Result<u8> {
    let manner = args.first().map(|manner| serde_json::from_str(manner));
    let manner: Manner = manner.ok_or(io::ErrorKind::InvalidInput)??;
    if manner == Manner::Default {
        part::say(&())?;
        part::stay()?;
        return Ok(cli::exit::SUCCESS);
    }
    let mut signals = Signals::new([SIGTERM])?;
    part::say(&())?;
    for _ in signals.forever() {
        part::say(&())?;
        if manner == Manner::Orderly {
            break;
        }
    }
    part::stay()?;
    Ok(cli::exit::SUCCESS)
}

pub(super) fn objections(endings: &[Ending]) -> Vec<Ruling> {
    let (term, kill) = (Signal::TERM.as_raw(), Signal::KILL.as_raw());
    let wrong = endings.iter().enumerate().filter_map(|(index, ending)| {
        let expected = match ending.manner {
            Manner::Default => (ending.alive_after_term, false, End::Signal(term)),
            Manner::Orderly => (true, false, End::Code(0)),
            Manner::Deaf => (true, true, End::Signal(kill)),
        };
        let Ending {
            manner,
            alive_after_term,
            alive_after_grace,
            end,
            others_alive,
        } = *ending;
        let others = endings.len() - 1 - index;
        let name = manner.name();
        if (alive_after_term, alive_after_grace, end) != expected {
            let expected = expected.2;
            Some(format!(
                "the child that {name} ended by {end:?}, not {expected:?} as predicted"
            ))
        } else if others_alive != others {
            Some(format!(
                "joining one left {others_alive} of {others} others alive"
            ))
        } else {
            None
        }
    });
    wrong.map(Ruling::does_not_hold).collect()
}

pub(super) fn table(endings: &[Ending]) -> Table {
    let header = [
        "a child that",
        "alive after TERM",
        "after the grace",
        "ended by",
        "others alive",
    ];
    let yes = |is: bool| -> Cell { if is { "yes" } else { "no" }.into() };
    let row = |ending: &Ending| {
        let end = match ending.end {
            End::Code(code) => Cell::toned(format!("itself, exit code {code}"), Tone::Good),
            End::Signal(signal) if signal == SIGTERM => "TERM".into(),
            End::Signal(9) => Cell::toned("KILL", Tone::Bad),
            End::Signal(other) => Cell::toned(format!("signal {other}"), Tone::Bad),
        };
        vec![
            ending.manner.name().into(),
            yes(ending.alive_after_term),
            yes(ending.alive_after_grace),
            end,
            ending.others_alive.to_string().into(),
        ]
    };
    Table {
        title: "Ended: TERM is a request, KILL is not".into(),
        caption: "Whoever joins one child waits for that one; the others live on meanwhile.".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: endings.iter().map(row).collect(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What is predicted.
    pub(in super::super) fn ended() -> Vec<Ending> {
        let ending = |(others_alive, manner): (usize, Manner)| Ending {
            manner,
            alive_after_term: true,
            alive_after_grace: manner == Manner::Deaf,
            end: match manner {
                Manner::Default => End::Signal(15),
                Manner::Orderly => End::Code(0),
                Manner::Deaf => End::Signal(9),
            },
            others_alive,
        };
        [2, 1, 0].into_iter().zip(Manner::ALL).map(ending).collect()
    }

    fn objected(index: usize, change: impl FnOnce(&mut Ending)) -> usize {
        let mut endings = ended();
        change(&mut endings[index]);
        objections(&endings).len()
    }

    #[test]
    fn each_kind_of_child_ends_in_its_own_way() {
        assert_eq!(
            objected(0, |it| it.alive_after_term = false),
            0,
            "may be quick"
        );
        assert_eq!(objected(0, |it| it.end = End::Code(0)), 1);
        assert_eq!(objected(1, |it| it.alive_after_term = false), 1);
        assert_eq!(objected(1, |it| it.end = End::Signal(9)), 1);
        assert_eq!(objected(2, |it| it.alive_after_grace = false), 1);
        assert_eq!(objected(0, |it| it.others_alive = 1), 1);
    }
}
