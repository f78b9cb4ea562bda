//! The figures for people.

use cli::units::micros;

use super::figures::{Computing, Figures, Pings, Reach};
use crate::exhibit::{Cell, Table, Tone};

pub(super) fn headline(figures: &Figures) -> String {
    let of = |name: &str| {
        let found = figures.computing.iter().find(|one| one.name == name);
        found.and_then(|one| one.runnable).unwrap_or(0.0)
    };
    let python = if figures.python {
        format!(
            ", in Python of {:.1} and {:.1}",
            of("python-thread-pool"),
            of("python-process-pool")
        )
    } else {
        String::new()
    };
    let stopped = figures
        .pings
        .iter()
        .find(|one| one.shares_thread && !one.offloaded);
    let wait = stopped.and_then(|one| one.waits_s);
    format!(
        "Of 8 threads {:.1} compute at once, of 8 processes {:.1}{python}. On an event loop \
         everybody else waits{}.",
        of("thread-pool"),
        of("process-pool"),
        wait.map_or_else(String::new, |wait| format!(
            " {}",
            micros(wait.median * 1e6)
        ))
    )
}

/// What waiting and computing come to in each server.
pub(super) fn work_table(figures: &Figures) -> Table {
    let header = [
        "server",
        "served",
        "waiting: answers/s each",
        "computing: at once",
        "processors",
    ];
    let row = |one: &Computing| {
        let waiting = figures.waiting.iter().find(|it| it.name == one.name);
        let each = waiting.and_then(|it| Some(it.share(figures.wait_s)? / figures.wait_s));
        let tone = match one.reach {
            Reach::One | Reach::Confined => Tone::Bad,
            Reach::All => Tone::Good,
            Reach::Dealt => Tone::Faint,
        };
        let shown = |figure: Option<f64>, digits: usize| {
            figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        vec![
            one.name.as_str().into(),
            Cell::or_dash(waiting.map(|it| it.served.to_string())),
            Cell::or_dash(each.map(|each| format!("{each:.1}"))),
            Cell::toned(shown(one.runnable, 1), tone),
            Cell::toned(shown(one.cores, 2), tone),
        ]
    };
    Table {
        title: "Waiting and computing".into(),
        caption: format!(
            "Lines that wait {:.0} ms, and lines that compute: how many threads have or want a \
             processor at once, and how many of the {} processors they got. Where each event \
             loop keeps the connections that it took, chance decides how many loops have any.",
            figures.wait_s * 1e3,
            figures.processors
        ),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.computing.iter().map(row).collect(),
    }
}

/// How long a client waits that costs nothing.
pub(super) fn pings_table(figures: &Figures) -> Table {
    let header = [
        "mode",
        "computed",
        "median wait",
        "one in ten waits",
        "longest wait",
    ];
    let row = |one: &Pings| {
        let tone = if one.shares_thread && !one.offloaded {
            Tone::Bad
        } else {
            Tone::Good
        };
        let wait = |seconds: Option<f64>| {
            let text = seconds.map_or_else(|| "-".to_owned(), |seconds| micros(seconds * 1e6));
            Cell::toned(text, tone)
        };
        let place = if one.offloaded { "by a pool" } else { "inline" };
        vec![
            one.mode.as_str().into(),
            place.into(),
            wait(one.waits_s.map(|waits| waits.median)),
            wait(one.p90_s),
            wait(one.waits_s.map(|waits| waits.max)),
        ]
    };
    Table {
        title: format!(
            "A ping beside lines that compute {:.0} ms",
            figures.compute_s * 1e3
        ),
        caption: "One worker, one client that computes, and one whose bytes cost nothing.".into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.pings.iter().map(row).collect(),
    }
}
