//! The status for people.

use std::fmt::{self, Display, Write as _};
use std::time::Duration;

use cli::units;

use crate::status::{Status, WorkerStatus};

/// What a figure is shown as that does not exist.
const NONE: &str = "-";

/// The whole status, as lines.
pub(super) fn status(status: &Status) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write_all(&mut text, status);
    text
}

fn write_all(out: &mut String, status: &Status) -> fmt::Result {
    let Status {
        version,
        pid,
        state,
        addr,
        mode,
        capacity,
        ..
    } = status;
    let inside = status
        .worker_mode
        .map(|inside| format!(" of {}", inside.mode()));
    let inside = inside.unwrap_or_default();
    writeln!(
        out,
        "echolab server {version}, pid {pid}: {state} for {}",
        span(status.uptime_s)
    )?;
    let addr = printable(addr);
    writeln!(
        out,
        "listening on {addr}, mode {mode}{inside}, capacity {capacity}\n"
    )?;
    let listen = &status.listen;
    for (name, value) in [
        ("connections", status.counters.open().to_string()),
        ("  queued, fresh, answered", {
            let by = status.connections;
            format!("{}, {}, {}", by.queued, by.fresh, by.answered)
        }),
        ("  at the most", status.max_connections.to_string()),
        ("accept queue", or_none(listen.queue)),
        ("  at the most", or_none(listen.limit)),
        ("  overflows", or_none(listen.overflows)),
        (
            "processor time",
            or_none(status.cpu_s.map(|cpu_s| format!("{cpu_s:.2} s"))),
        ),
        (
            "workers",
            format!("{} of {}", status.workers.len(), status.workers_wanted),
        ),
    ] {
        writeln!(out, "{name:<28}{value}")?;
    }
    out.push('\n');
    workers(out, &status.workers)?;
    out.push('\n');
    for (name, meaning, value) in status.counters.list() {
        writeln!(out, "{name:<12}{value:>12}  {}", meaning.trim())?;
    }
    Ok(())
}

fn workers(out: &mut String, workers: &[WorkerStatus]) -> fmt::Result {
    writeln!(
        out,
        "{:<12} {:>8}  {:<9}{:>12}{:>10}{:>12}{:>10}  peer",
        "worker", "pid", "state", "connections", "accepted", "requests", "cpu"
    )?;
    for one in workers {
        let cpu = or_none(one.cpu_s.map(|cpu_s| format!("{cpu_s:.2}s")));
        writeln!(
            out,
            "{:<12} {:>8}  {:<9}{:>12}{:>10}{:>12}{cpu:>10}  {}",
            one.name,
            one.pid,
            one.state.to_string(),
            one.connections,
            one.accepted,
            one.requests,
            one.peer.as_deref().map_or(NONE.into(), printable),
        )?;
    }
    Ok(())
}

/// Without anything that a terminal would obey.
fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

fn or_none(value: Option<impl Display>) -> String {
    value.map_or(NONE.into(), |value| value.to_string())
}

fn span(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds.floor()).unwrap_or_default();
    units::span(whole)
}
