//! What the reader sees.

use super::judge::Figures;
use crate::exhibit::{Cell, Table};

/// The sentence for the page's head.
pub(super) fn headline(figures: &Figures) -> String {
    let bytes = figures.server_bytes + figures.generator_bytes + figures.kernel_bytes;
    format!(
        "{} connections stand, each is answered, and each takes {:.1} KiB with both of its ends.",
        figures.answered,
        bytes / 1024.0
    )
}

/// The figures, one a row.
pub(super) fn table(figures: &Figures) -> Table {
    let row = |name: &str, value: Cell| vec![name.into(), value];
    let per_s = |count: u32, seconds: f64| {
        let rate = f64::from(count) / seconds.max(f64::MIN_POSITIVE);
        format!("{seconds:.1} s ({:.0} a second)", rate)
    };
    let bytes = |bytes: f64| -> Cell { format!("{bytes:.0} B").into() };
    Table {
        title: format!("{} connections at once", figures.clients),
        caption: format!(
            "By hand: server --mode process-pool --worker-mode epoll --workers {}, and loadgen -c {} \
             --processes auto. All connect at once and say nothing; when the last is connected they \
             say something in turn, 25,000 a second. Bytes are for one connection, those of the kernel for both of its ends, \
             and others disturb them.",
            figures.workers, figures.clients
        ),
        header: ["what", "figure"].map(str::to_owned).to_vec(),
        rows: vec![
            row(
                "connected",
                Cell::served(figures.connected, figures.clients),
            ),
            row("answered", Cell::served(figures.answered, figures.clients)),
            row("errors", figures.errors.to_string().into()),
            row(
                "time to connect all",
                per_s(figures.connected, figures.open_s).into(),
            ),
            row(
                "time to answer all",
                per_s(figures.answered, figures.answer_s).into(),
            ),
            row("memory of the server", bytes(figures.server_bytes)),
            row("memory of the generators", bytes(figures.generator_bytes)),
            row("memory of the kernel", bytes(figures.kernel_bytes)),
            row("workers", figures.workers.to_string().into()),
            row(
                "connections of a worker",
                format!("{} to {}", figures.least_of_worker, figures.most_of_worker).into(),
            ),
            row("generators", figures.generators.to_string().into()),
        ],
    }
}
