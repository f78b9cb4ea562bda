//! What the report shows of it.

use super::queues::{LOAD, Queue, SERVICE};
use super::verdict::listed;
use super::{Figures, WORKERS, Way, closing, deal, stranded};
use crate::exhibit::{Cell, Curves, Exhibit, Table, Tone};
use loadgen::svg::Curve;

/// One sentence for people.
pub(super) fn headline(figures: &Figures) -> String {
    let waiting = figures.stranded(Way::Reuseport).map_or(0, |it| it.waiting);
    format!(
        "With a listener for each worker {waiting} of {} clients wait for a busy one while the others \
         are idle; with one for all nobody does.",
        stranded::CLIENTS
    )
}

/// Its tables.
pub(super) fn exhibits(figures: &Figures) -> Vec<Exhibit> {
    vec![
        Exhibit::Table(deals(figures)),
        Exhibit::Table(beside_one(figures)),
        Exhibit::Table(queues(figures)),
        Exhibit::Curves(curves(figures)),
        Exhibit::Table(closings(figures)),
    ]
}

fn curves(figures: &Figures) -> Curves {
    let curve = |queue: &Queue| Curve {
        name: queue.accept.to_string(),
        points: queue.curve.clone(),
        ..Curve::default()
    };
    Curves {
        title: "Wait and service, by how many had to bear as much".into(),
        caption:
            "From the connection to the answer. The services are the same for both: what lies \
                  between the curves is waiting behind others while some worker is idle."
                .into(),
        curves: figures.queues.iter().map(curve).collect(),
    }
}

fn table(title: &str, caption: &str, header: &[&str], rows: Vec<Vec<Cell>>) -> Table {
    Table {
        title: title.to_owned(),
        caption: caption.to_owned(),
        header: header.iter().map(|&head| head.to_owned()).collect(),
        rows,
    }
}

fn deals(figures: &Figures) -> Table {
    let row = |accept: &Way| {
        let of = |stay| figures.deal(*accept, stay).map(|it| listed(&it.accepted));
        vec![
            accept.to_string().into(),
            Cell::or_dash(of(deal::Stay::Long)),
            Cell::or_dash(of(deal::Stay::Short)),
        ]
    };
    table(
        &format!(
            "Who accepted: {} clients, one after the other, {WORKERS} idle workers",
            deal::CLIENTS
        ),
        "Short connections may all go to one worker: it was idle. Long ones stay where they went, \
         and their work with them.",
        &["--accept", "clients that stay", "clients that leave"],
        Way::ALL.iter().map(row).collect(),
    )
}

fn beside_one(figures: &Figures) -> Table {
    let row = |it: &stranded::Stranded| {
        let tone = |count: u32| match count {
            0 => Tone::Plain,
            _ => Tone::Bad,
        };
        vec![
            it.accept.to_string().into(),
            it.answered.to_string().into(),
            Cell::toned(it.waiting.to_string(), tone(it.waiting)),
            it.answered_after.to_string().into(),
            Cell::toned(it.lost.to_string(), tone(it.lost)),
        ]
    };
    table(
        &format!("{} clients beside one busy worker", stranded::CLIENTS),
        "Then that worker is killed. Its successor gets the same socket, so that nobody who waited \
         there is lost.",
        &[
            "--accept",
            "answered",
            "wait for it",
            "answered after its death",
            "lost",
        ],
        figures.stranded.iter().map(row).collect(),
    )
}

fn queues(figures: &Figures) -> Table {
    let ms = |ms: f64| format!("{ms:.1} ms");
    let row = |queue: &Queue| {
        let model = match queue.accept {
            Way::Reuseport => format!("{WORKERS} × M/M/1"),
            Way::Shared | Way::Handoff => format!("M/M/{WORKERS}"),
        };
        vec![
            queue.accept.to_string().into(),
            model.into(),
            Cell::or_dash(queue.predicted_wait_ms.map(ms)),
            Cell::or_dash(queue.wait_ms.map(ms)),
            Cell::or_dash(queue.predicted_p99_ms.map(ms)),
            Cell::or_dash(queue.p99_ms.map(ms)),
        ]
    };
    table(
        &format!(
            "One queue or {WORKERS} at {:.0} % load, services of {} ms in the mean",
            LOAD * 100.0,
            SERVICE.as_millis()
        ),
        "The wait without the service; p99 with it. The same arrivals for both, at the same time. \
         What a connection costs beside its service is in the measured figures only.",
        &["--accept", "model", "wait", "measured", "p99", "measured"],
        figures.queues.iter().map(row).collect(),
    )
}

fn closings(figures: &Figures) -> Table {
    let row = |it: &closing::Closing| {
        let name = if it.own_sockets {
            "a socket each (SO_REUSEPORT)"
        } else {
            "one socket, shared"
        };
        let tone = if it.reset > 0 { Tone::Bad } else { Tone::Plain };
        vec![
            name.into(),
            it.accepted.to_string().into(),
            Cell::toned(it.reset.to_string(), tone),
        ]
    };
    let caption = if figures.migrates {
        "This machine passes them on to the other sockets (tcp_migrate_req)."
    } else {
        "They were connected, and had asked; nobody had said no."
    };
    table(
        &format!(
            "One of {WORKERS} holders closes its listener while {} clients wait",
            closing::CLIENTS
        ),
        caption,
        &["bare sockets", "accepted by the others", "reset"],
        figures.closing.iter().map(row).collect(),
    )
}
