//! A plan, and what was measured for it, for people and for programs.

use cli::units::{bytes, micros, number, span};
use serde_json::{Value, json};

use super::calibration::{Calibration, Cost};
use super::demand::{Demand, Kind};
use super::sizing::{Need, Row};
use crate::exhibit::{Cell, Table};
use crate::report::{Tool, captioned_text};
use crate::stats::Spread;

/// The version of the document of a plan; it grows when a key changes its meaning.
const SCHEMA: u32 = 1;

/// Where the model ends, in the words that stand under every plan.
const ENDS: &str = "  Where the model ends: arrivals are taken to be random and services exponential; all clients are
  alike, and memory is that of clients who have little in flight. Network, downstream and the
  kernel's own limits beyond those named are not in it. `lab run plan-check` tries it out.
";

/// What the columns of a plan are.
const NEEDED: &str = "For: what there would have to be more of, for fewer machines. The rest is \
    of each machine: what is needed of it, the response by formula, and played, the same in a \
    simulation, where requests queue.";

/// What the columns of a calibration are.
const MEASURED: &str = "Request and connection: processor time of the server for one more, with \
    64 bytes and no work. Server: its memory with few quiet clients; client, in the kernel, worker: \
    for one more. A client of a pool that owns connections costs its worker too.";

/// A plan as text.
#[must_use]
pub fn plan_text(demand: &Demand, calibration: &Calibration, rows: &[Row]) -> String {
    format!(
        "\n{}\n\n{}\n{}\n  {}\n{ENDS}",
        opening(demand),
        captioned_text(&needs(demand, rows)),
        next(demand, rows),
        source(calibration),
    )
}

/// A plan as a document.
#[must_use]
pub fn plan_json(demand: &Demand, calibration: &Calibration, rows: &[Row]) -> Value {
    json!({
        "schema": SCHEMA,
        "tool": Tool::lab(),
        "demand": {
            "clients": demand.clients,
            "think_s": demand.rate_per_s.is_none().then_some(demand.think.as_secs_f64()),
            "service_s": demand.service.as_secs_f64(),
            "service_kind": demand.kind,
            "rate_per_s": demand.arrivals_per_s(demand.clients),
            "slo": demand.promise,
            "stay_s": demand.stay.map(|stay| stay.as_secs_f64()),
            "cores": demand.cores,
            "memory_bytes": demand.memory_bytes,
            "utilization": demand.utilization,
        },
        "calibration": calibration,
        "modes": rows,
    })
}

/// A calibration as text.
#[must_use]
pub fn calibration_text(calibration: &Calibration) -> String {
    let limits = calibration.limits;
    let hold = calibration
        .hold_us
        .map_or_else(|| "-".to_owned(), |hold| micros(hold.median));
    format!(
        "\n{}\n  A waiting request costs a worker {hold} besides its service. A server may have {} \
         connections,\n  {} threads or {} processes that serve one each.\n  {}\n",
        captioned_text(&costs(calibration)),
        limits.descriptors,
        limits.threads,
        limits.processes,
        source(calibration),
    )
}

/// What is to be served, in one line.
fn opening(demand: &Demand) -> String {
    let rate_per_s = demand.arrivals_per_s(demand.clients);
    let kind = match demand.kind {
        Kind::Io => "waits",
        Kind::Cpu => "computes",
    };
    let pause = match demand.rate_per_s {
        Some(_) => String::new(),
        None => format!(" that think for {}", span(demand.think)),
    };
    let busy = rate_per_s * demand.service.as_secs_f64();
    format!(
        "{} clients{pause}: {} requests/s of which each {kind} for {}, so {} at once.",
        number(demand.clients as f64),
        number(rate_per_s),
        span(demand.service),
        number(busy),
    )
}

/// Where the costs come from.
fn source(calibration: &Calibration) -> String {
    let machine = &calibration.machine;
    let build = if calibration.optimized {
        ""
    } else {
        "; a debug build, which costs several times as much"
    };
    let times = match calibration.repeats {
        1 => "once".to_owned(),
        repeats => format!("{repeats} times"),
    };
    format!(
        "Costs: measured {times} on {} processors, Linux {}, by lab {}{build}.",
        machine.cpus, machine.kernel, calibration.tool.version
    )
}

fn needs(demand: &Demand, rows: &[Row]) -> Table {
    let figure = demand.promise.as_ref().map(|slo| slo.figure.to_string());
    let figure = figure.as_deref().unwrap_or("mean");
    let header = [
        "mode", "machines", "for", "clients", "workers", "cores", "memory", figure, "played",
    ];
    let row = |row: &Row| {
        let mut cells: Vec<Cell> = vec![row.mode.name().into()];
        match &row.need {
            Some(need) => cells.extend(figures(need)),
            None => cells.resize(header.len(), "-".into()),
        }
        cells
    };
    Table {
        title: format!(
            "What it takes, on machines of {} cores and {}: machines, what binds, and for each",
            demand.cores,
            bytes(demand.memory_bytes)
        ),
        caption: NEEDED.into(),
        header: header.map(str::to_owned).to_vec(),
        rows: rows.iter().map(row).collect(),
    }
}

fn figures(need: &Need) -> [Cell; 8] {
    let time = |ms: f64| micros(ms * 1e3);
    let played = need
        .trial
        .map(|trial| trial.promised_ms.unwrap_or(trial.response_ms));
    [
        number(need.machines as f64).into(),
        Cell::or_dash(need.binds.map(|binds| binds.to_string())),
        number(need.each.clients as f64).into(),
        number(need.each.workers as f64).into(),
        need.each.cores.to_string().into(),
        bytes(need.each.memory_bytes).into(),
        time(need.promised_ms.unwrap_or(need.response_ms)).into(),
        Cell::or_dash(played.map(time)),
    ]
}

/// A line for each mode: words are no column of figures.
fn next(demand: &Demand, rows: &[Row]) -> String {
    let line = |row: &Row| {
        let told = match (&row.need, &row.why_not) {
            (Some(need), _) => need.next.sees.clone(),
            (None, why) => format!("cannot be: {}", why.as_deref().unwrap_or("unknown")),
        };
        format!("   {:24}{told}\n", row.mode.name())
    };
    let lines: String = rows.iter().map(line).collect();
    format!("What client number {} sees\n{lines}", demand.clients + 1)
}

fn costs(calibration: &Calibration) -> Table {
    let header = [
        "mode",
        "request",
        "connection",
        "server",
        "client",
        "in the kernel",
        "worker",
    ];
    let time = |spread: Option<Spread>| shown(spread, micros);
    let memory = |spread: Option<Spread>| {
        shown(spread, |value| {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an amount of memory"
            )]
            let whole = value as u64;
            bytes(whole)
        })
    };
    let row = |cost: &Cost| {
        vec![
            cost.mode.name().into(),
            time(cost.cpu_per_request_us),
            time(cost.cpu_per_connect_us),
            memory(cost.base_bytes),
            memory(cost.client_bytes),
            memory(cost.kernel_client_bytes),
            memory(cost.worker_bytes),
        ]
    };
    Table {
        title: "What the modes cost here: processor time, and memory (± half the spread)".into(),
        caption: MEASURED.into(),
        header: header.map(str::to_owned).to_vec(),
        rows: calibration.modes.iter().map(row).collect(),
    }
}

/// The median, and by how much the measurements differ where there are several.
fn shown(spread: Option<Spread>, show: impl Fn(f64) -> String) -> Cell {
    Cell::or_dash(spread.map(|spread| {
        let around = spread.relative();
        if around == 0.0 {
            return show(spread.median);
        }
        format!("{} ±{:.0}%", show(spread.median), around * 100.0)
    }))
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
