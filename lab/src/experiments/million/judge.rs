//! What the figures say about the claim. Pure.

use serde::Serialize;

use crate::verdict::{Ruling, Zones};

/// With fewer clients nothing is said of many.
const MANY: u32 = 100_000;
/// How long it may take until everybody has an answer, in seconds.
const ANSWER_LIMIT_S: f64 = 60.0;
/// User memory for each connection, of the server and of the generators: a place in a table. Beyond
/// a page there would be a buffer.
const USER_BYTES: Zones = Zones {
    enough: 640.0,
    wrong: 4096.0,
};
/// The kernel's memory for both ends; others' sockets and files are in it.
const KERNEL_BYTES: Zones = Zones {
    enough: 12_288.0,
    wrong: 16_384.0,
};

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    /// Clients that were wanted, and that the machine has room for.
    pub(super) wanted: u32,
    pub(super) clients: u32,
    /// Why they are fewer.
    pub(super) limited_by: Option<String>,
    pub(super) workers: u32,
    pub(super) generators: u32,
    /// How many clients the server says that it can have.
    pub(super) capacity: Option<usize>,
    pub(super) connected: u32,
    pub(super) answered: u32,
    pub(super) errors: u64,
    pub(super) mismatches: u64,
    /// Lines of the server's log that complain of a shortage.
    pub(super) complaints: usize,
    /// From the first connect to the last.
    pub(super) open_s: f64,
    /// From when all are asked to the last answer.
    pub(super) answer_s: f64,
    /// Bytes for each connection.
    pub(super) server_bytes: f64,
    pub(super) generator_bytes: f64,
    pub(super) kernel_bytes: f64,
    /// Connections of the worker that has the fewest, and the most.
    pub(super) least_of_worker: u64,
    pub(super) most_of_worker: u64,
}

/// Whether the claim holds.
pub(super) fn judge(figures: &Figures) -> Ruling {
    let Figures {
        clients,
        connected,
        answered,
        ..
    } = *figures;
    let mut objections = Vec::new();
    if connected < clients {
        let text = format!("{connected} of {clients} clients could connect");
        objections.push(Ruling::does_not_hold(text));
    }
    if answered < clients {
        let text = format!("{answered} of {clients} clients got an answer");
        objections.push(Ruling::does_not_hold(text));
    }
    let wrong = [
        (figures.errors, "errors"),
        (figures.mismatches, "answers that differ"),
        (figures.complaints as u64, "complaints in the server's log"),
    ];
    let wrong = wrong.into_iter().filter(|(count, _)| *count > 0);
    objections.extend(wrong.map(|(count, what)| Ruling::does_not_hold(format!("{count} {what}"))));
    if figures.answer_s > ANSWER_LIMIT_S {
        let text = format!("the last answer came after {:.0} s", figures.answer_s);
        objections.push(Ruling::does_not_hold(text));
    }
    objections.extend(memory(figures));
    if clients < MANY {
        let by = figures.limited_by.as_deref().unwrap_or("its flags");
        let text = format!("this machine has room for {clients} clients only, by {by}");
        objections.push(Ruling::inconclusive(text));
    }
    Ruling::unless(
        objections,
        format!(
            "{connected} connections stood in {:.1} s and all had an answer {:.1} s after they were \
             asked, with {} workers; each takes {:.0} B of the server, {:.0} B of the generators and \
             {:.1} KiB of the kernel",
            figures.open_s,
            figures.answer_s,
            figures.workers,
            figures.server_bytes,
            figures.generator_bytes,
            figures.kernel_bytes / 1024.0
        ),
    )
}

/// What is wrong with what a connection takes.
fn memory(figures: &Figures) -> Vec<Ruling> {
    let parts = [
        (figures.server_bytes, USER_BYTES, "the server"),
        (figures.generator_bytes, USER_BYTES, "the generators"),
        (figures.kernel_bytes, KERNEL_BYTES, "the kernel"),
    ];
    let objection = |(bytes, zones, whose): (f64, Zones, &str)| {
        zones.objection(bytes, format!("a connection takes {bytes:.0} B of {whose}"))
    };
    parts.into_iter().filter_map(objection).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn figures() -> Figures {
        Figures {
            wanted: 100_000,
            clients: 100_000,
            limited_by: None,
            workers: 6,
            generators: 6,
            capacity: Some(100_000),
            connected: 100_000,
            answered: 100_000,
            errors: 0,
            mismatches: 0,
            complaints: 0,
            open_s: 3.0,
            answer_s: 2.0,
            server_bytes: 290.0,
            generator_bytes: 320.0,
            kernel_bytes: 10_000.0,
            least_of_worker: 100,
            most_of_worker: 19_900,
        }
    }

    fn verdict(change: impl FnOnce(&mut Figures)) -> Verdict {
        let mut figures = figures();
        change(&mut figures);
        judge(&figures).verdict
    }

    #[test]
    fn everybody_connected_and_answered_in_time_holds() {
        assert_eq!(verdict(|_| {}), Verdict::Holds);
        // However unevenly the workers share, and however long it took to open.
        assert_eq!(verdict(|it| it.least_of_worker = 0), Verdict::Holds);
        assert_eq!(verdict(|it| it.open_s = 300.0), Verdict::Holds);
    }

    #[test]
    fn anybody_who_is_missing_contradicts_the_claim() {
        let mut few = figures();
        few.answered = 99_000;
        assert_eq!(
            judge(&few),
            Ruling::does_not_hold("99000 of 100000 clients got an answer")
        );
        assert_eq!(verdict(|it| it.connected = 99_999), Verdict::DoesNotHold);
        assert_eq!(verdict(|it| it.errors = 1), Verdict::DoesNotHold);
        assert_eq!(verdict(|it| it.mismatches = 1), Verdict::DoesNotHold);
        assert_eq!(verdict(|it| it.complaints = 1), Verdict::DoesNotHold);
        assert_eq!(verdict(|it| it.answer_s = 60.1), Verdict::DoesNotHold);
    }

    #[test]
    fn memory_is_a_doubt_before_it_is_a_contradiction() {
        assert_eq!(verdict(|it| it.server_bytes = 900.0), Verdict::Inconclusive);
        assert_eq!(
            verdict(|it| it.generator_bytes = 5_000.0),
            Verdict::DoesNotHold
        );
        assert_eq!(
            verdict(|it| it.kernel_bytes = 14_000.0),
            Verdict::Inconclusive
        );
        assert_eq!(
            verdict(|it| it.kernel_bytes = 20_000.0),
            Verdict::DoesNotHold
        );
    }

    #[test]
    fn a_machine_for_fewer_proves_nothing() {
        let small = |it: &mut Figures| {
            (it.clients, it.connected, it.answered) = (50_000, 50_000, 50_000);
            it.limited_by = Some("memory".into());
        };
        assert_eq!(verdict(small), Verdict::Inconclusive);
    }
}
