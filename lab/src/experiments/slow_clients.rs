//! Clients that are slow on purpose: whom they keep out, and which limits let the others in again.

mod apart;

use std::num::NonZeroU32;
use std::time::Duration;

use cli::units::micros;
use serde::Serialize;

use super::WORKERS;
use crate::bench::{Bench, Failure};
use crate::exhibit::{Bars, Cell, Exhibit, Table};
use crate::experiment::{Chapter, Experiment, Fault, Finding, figures_of};
use crate::load::{Load, Measured};
use crate::modes::{self, Capacity};
use crate::process::ServerProcess;
use crate::subject::Subject;
use crate::verdict::Ruling;
use loadgen::Profile;
use loadgen::svg::Bar;

/// See the module.
pub(super) const EXPERIMENT: Experiment = Experiment {
    name: "slow-clients",
    chapter: Chapter::Trouble,
    question: "How many clients does it take to shut a server, if they are slow enough?",
    claim: "As many as it has workers, where a worker owns a connection: 6 slow clients shut every \
            pool of 4. A limit on slowness opens it again. Where a waiting client costs no worker \
            they are not noticed.",
    prediction: "S = 6 slow clients are there first. A mode that serves C clients at once has C - S \
                 places left, so of N = 4 normal clients min(N, C - S) are served: none in a pool of \
                 4. With limits a slow client holds its place for at most the grace: silence for \
                 300 ms, or a line that is not there 300 ms after it began, with 1 s more for every \
                 100 bytes that came (3 at 10 B/s: 30 ms). The queue is first come, first served, so \
                 after S / C turns of about 0.33 s the normal clients have their places, min(N, C) \
                 of them, and keep them although the slow ones come again and again. Each limit \
                 alone is blind to what the other is for: clients that trickle are never silent, and \
                 silent ones have begun no line. So of its own kind it lets min(N, C) pass, of the \
                 other none.",
    method: "All modes at the same time, twice. Two clients each send a byte every 100 ms, half a \
             line and then nothing, and nothing at all; once they are connected 4 normal clients \
             come and ask some 200 times a second. Then the same with --min-rate 100, --min-rate-grace \
             300ms and --idle-timeout 300ms, and on thread-pool each limit alone against 6 that \
             trickle and against 6 that are silent. Counted is which of the normal clients got a byte.",
    lesson: "A place that a client may hold for as long as it likes belongs to whoever is slowest. \
             Limit it: in the server one connection machine decides what is slow (its pace and its \
             watch), for every mode and without a clock while lines come whole. A limit bounds what \
             a slow client takes; only a grain of one request makes it take nothing.",
    fault: Fault {
        what: "The limits are not switched on.",
        symptom: "with limits",
    },
    run,
};

/// Slow clients: more than any pool has workers, two of each kind.
const SLOW: NonZeroU32 = NonZeroU32::new(6).expect("6 is not 0");
/// What they do.
const KINDS: [Profile; 3] = [Profile::SlowWrite, Profile::HalfOpen, Profile::Idle];
/// Normal clients.
const NORMAL: NonZeroU32 = NonZeroU32::new(4).expect("4 is not 0");
/// The pause of a normal client.
const THINK: Duration = Duration::from_millis(4);
/// How long is watched whether anybody gets in without limits.
const WINDOW: Duration = Duration::from_millis(1_500);
/// How long a slow client is borne with, as flags.
const LIMITS: [&str; 6] = [
    "--min-rate",
    "100",
    "--min-rate-grace",
    "300ms",
    "--idle-timeout",
    "300ms",
];
/// The same as a time: the grace, and what three bytes add to it.
const BORNE: Duration = Duration::from_millis(330);
/// How much later a slow client may be found out: some modes look every 250 ms.
const LATE: Duration = Duration::from_millis(250);

/// One mode.
#[derive(Clone, Debug, Serialize)]
struct Row {
    mode: String,
    capacity: Capacity,
    without: Side,
    with: Side,
}

/// The normal clients beside the slow ones.
#[derive(Clone, Debug, Serialize)]
struct Side {
    served: u32,
    /// Until the last of those who were served got its first byte.
    last_admitted_s: Option<f64>,
    /// None where the 99th of a hundred got no answer, and where there were too few.
    p99_us: Option<f64>,
    #[serde(skip)]
    invalid: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct Figures {
    slow: u32,
    normal: u32,
    borne_s: f64,
    late_s: f64,
    modes: Vec<Row>,
    /// Each limit alone against each kind of slow clients.
    apart: Vec<apart::Trial>,
    /// Normal clients without slow ones.
    alone: Vec<apart::Alone>,
}

impl Figures {
    /// Until the slow clients have had as many turns as they need on so many places.
    fn turns_s(&self, places: usize) -> f64 {
        let turns = (self.slow as usize).div_ceil(places.max(1));
        turns as f64 * (self.borne_s + self.late_s)
    }
}

fn run(bench: &mut Bench) -> Result<Finding, Failure> {
    let limits: &[&str] = if bench.faulted() { &[] } else { &LIMITS };
    let without = side_by_side(bench, &[], Duration::ZERO)?;
    // Where there is one place the slow ones have it one after the other.
    let with = side_by_side(bench, limits, (BORNE + LATE) * SLOW.get())?;
    let modes = modes::possible().zip(without.into_iter().zip(with));
    let (apart, alone) = (apart::trials(bench)?, apart::alone(bench)?);
    let figures = Figures {
        slow: SLOW.get(),
        normal: NORMAL.get(),
        borne_s: BORNE.as_secs_f64(),
        late_s: LATE.as_secs_f64(),
        modes: modes
            .map(|(mode, ((server, without), (_, with)))| Row {
                capacity: Capacity::planned(mode, WORKERS).said_by(&server.ready),
                mode: server.name.clone(),
                without,
                with,
            })
            .collect(),
        apart,
        alone,
    };
    Ok(Finding {
        ruling: judge(&figures),
        headline: headline(&figures),
        exhibits: vec![
            Exhibit::Bars(bars(&figures)),
            Exhibit::Table(table(&figures)),
            Exhibit::Table(apart::table(&figures.apart)),
        ],
        figures: figures_of(&figures),
    })
}

/// Normal clients beside slow ones on every mode, after the time that it may take until they are let
/// in.
fn side_by_side(
    bench: &mut Bench,
    flags: &[&str],
    warmup: Duration,
) -> Result<Vec<(ServerProcess, Side)>, Failure> {
    let mut servers = Vec::new();
    for mode in modes::possible() {
        servers.push(bench.start(&Subject::own(mode.name(), WORKERS).with(flags))?);
    }
    let window = bench.window(WINDOW);
    let slow = Load::busy(SLOW, window).of(&KINDS.map(|kind| (kind, NonZeroU32::MIN)));
    let normal = Load::busy(NORMAL, window).after(warmup).thinking(THINK);
    let measured = bench.load_all_beside(&servers, &slow, &normal)?;
    let sides = measured.iter().map(side);
    Ok(servers.into_iter().zip(sides).collect())
}

fn side(measured: &Measured) -> Side {
    let rtt = measured.report.latency.rtt.as_ref();
    let first_bytes = measured.clients.iter().filter_map(|one| one.first_byte_at);
    Side {
        served: measured.report.clients.served,
        last_admitted_s: first_bytes.max().map(|at| at.as_secs_f64()),
        p99_us: rtt.and_then(|rtt| rtt.p99_us),
        invalid: measured.invalid(),
    }
}

fn judge(figures: &Figures) -> Ruling {
    let rows = &figures.modes;
    let mut objections: Vec<Ruling> = rows
        .iter()
        .flat_map(|row| objections(row, figures))
        .collect();
    objections.extend(figures.apart.iter().filter_map(apart::Trial::objection));
    let shut = |row: &&Row| row.without.served == 0;
    let (closed, open): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(shut);
    if closed.is_empty() || open.is_empty() {
        objections.push(Ruling::inconclusive(
            "there is no contrast between modes that can be shut and others",
        ));
    }
    let admitted = closed.iter().filter_map(|row| row.with.last_admitted_s);
    Ruling::unless(
        objections,
        format!(
            "{} slow clients shut {} modes and are not noticed in {}; with limits all {} serve \
             normal clients, the last after {:.1} s",
            figures.slow,
            closed.len(),
            open.len(),
            rows.len(),
            admitted.fold(0.0, f64::max)
        ),
    )
}

/// What is not as predicted in one mode.
fn objections(row: &Row, figures: &Figures) -> Vec<Ruling> {
    let Figures { slow, normal, .. } = *figures;
    let left = row.capacity.serves(slow + normal).saturating_sub(slow);
    let sides = [
        ("without limits", &row.without, left),
        ("with limits", &row.with, row.capacity.serves(normal)),
    ];
    let objection = |(how, side, expected): (&str, &Side, u32)| {
        let Row { mode, .. } = row;
        if let Some(why) = &side.invalid {
            return Some(Ruling::inconclusive(format!("{mode} {how}: {why}")));
        }
        (side.served != expected).then(|| {
            Ruling::does_not_hold(format!(
                "{mode} {how} served {} of {normal} normal clients beside {slow} slow ones, not \
                 {expected}",
                side.served
            ))
        })
    };
    let word = row.capacity.objection(&row.mode, slow + normal);
    let wrong = sides.into_iter().filter_map(objection);
    word.into_iter()
        .chain(wrong)
        .chain(late(row, figures))
        .collect()
}

/// Normal clients that were let in, but later than the turns of the slow ones explain.
fn late(row: &Row, figures: &Figures) -> Option<Ruling> {
    let last_s = row.with.last_admitted_s?;
    let turns_s = figures.turns_s(row.capacity.places());
    (last_s > turns_s).then(|| {
        Ruling::inconclusive(format!(
            "{} with limits let the last one in after {last_s:.1} s, not within {turns_s:.1} s; is \
             the machine busy?",
            row.mode
        ))
    })
}

fn headline(figures: &Figures) -> String {
    let shut = figures.modes.iter().filter(|row| row.without.served == 0);
    let shut: Vec<&str> = shut.map(|row| row.mode.as_str()).collect();
    format!(
        "{} clients that hardly say anything shut {}; a limit on slowness opens them again.",
        figures.slow,
        shut.join(", ")
    )
}

fn bars(figures: &Figures) -> Bars {
    let bar = |row: &Row| Bar {
        name: row.mode.clone(),
        served: row.without.served,
        waiting: figures.normal.saturating_sub(row.without.served),
        note: format!("with limits {}/{}", row.with.served, figures.normal),
    };
    Bars {
        title: format!(
            "Normal clients beside {} slow ones, without limits",
            figures.slow
        ),
        caption: "Hatched are clients that ask and get no answer, since whoever is slow has all \
                  places."
            .into(),
        bars: figures.modes.iter().map(bar).collect(),
    }
}

fn table(figures: &Figures) -> Table {
    let header = [
        "mode",
        "p99 alone",
        "served",
        "p99",
        "with limits",
        "p99",
        "last let in after",
    ];
    let wait = |side: &Side| Cell::or_dash(side.p99_us.map(micros));
    let row = |row: &Row| {
        let expected = row.capacity.serves(figures.normal);
        let last = row.with.last_admitted_s;
        vec![
            row.mode.as_str().into(),
            Cell::or_dash(apart::p99_us(&figures.alone, &row.mode).map(micros)),
            Cell::served(row.without.served, figures.normal),
            wait(&row.without),
            Cell::served(row.with.served, expected),
            wait(&row.with),
            Cell::or_dash(last.map(|seconds| format!("{seconds:.2} s"))),
        ]
    };
    Table {
        title: "Who still serves a normal client, and how fast".into(),
        caption:
            "Round trips of normal clients that ask some 200 times a second; alone is without \
                  slow ones and limits. No p99 where \
                  nobody or too few were answered: a mode with one place gives it to one of them."
                .into(),
        header: header.map(str::to_owned).to_vec(),
        rows: figures.modes.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Verdict;

    fn side(served: u32) -> Side {
        Side {
            served,
            last_admitted_s: Some(0.4),
            p99_us: Some(90.0),
            invalid: None,
        }
    }

    fn row(mode: &str, planned: Option<usize>, without: u32, with: u32) -> Row {
        Row {
            mode: mode.into(),
            capacity: Capacity {
                planned,
                said: planned.or(Some(16_000)),
            },
            without: side(without),
            with: side(with),
        }
    }

    fn figures() -> Figures {
        Figures {
            slow: 6,
            normal: 4,
            borne_s: 0.33,
            late_s: 0.25,
            modes: vec![
                row("sequential", Some(1), 0, 1),
                row("thread-pool", Some(4), 0, 4),
                row("async", None, 4, 4),
            ],
            apart: apart::as_predicted(),
            alone: vec![],
        }
    }

    #[test]
    fn pools_that_are_shut_and_opened_again_hold() {
        let ruling = judge(&figures());
        assert_eq!(ruling.verdict, Verdict::Holds, "{ruling:?}");
    }

    #[test]
    fn a_pool_that_is_not_shut_or_stays_shut_does_not_hold() {
        let mut open = figures();
        open.modes[1].without.served = 1;
        assert_eq!(judge(&open).verdict, Verdict::DoesNotHold);
        let mut wrong_word = figures();
        wrong_word.modes[1].capacity.said = Some(3);
        assert_eq!(judge(&wrong_word).verdict, Verdict::DoesNotHold);
        let mut shut = figures();
        shut.modes[1].with.served = 0;
        assert_eq!(
            judge(&shut),
            Ruling::does_not_hold(
                "thread-pool with limits served 0 of 4 normal clients beside 6 slow ones, not 4"
            )
        );
    }

    #[test]
    fn a_limit_that_alone_does_another_thing_does_not_hold() {
        for index in 0..4 {
            let mut other = figures();
            other.apart[index].served = 2;
            assert_eq!(judge(&other).verdict, Verdict::DoesNotHold, "{index}");
        }
    }

    #[test]
    fn a_slow_client_that_is_noticed_elsewhere_does_not_hold() {
        let mut noticed = figures();
        noticed.modes[2].without.served = 3;
        assert_eq!(judge(&noticed).verdict, Verdict::DoesNotHold);
    }

    #[test]
    fn who_is_let_in_late_proves_nothing() {
        let mut late = figures();
        late.modes[1].with.last_admitted_s = Some(1.1);
        assert_eq!(judge(&late).verdict, Verdict::Holds, "two turns of 0.58 s");
        late.modes[1].with.last_admitted_s = Some(1.2);
        assert_eq!(judge(&late).verdict, Verdict::Inconclusive);
    }

    #[test]
    fn without_contrast_or_validity_nothing_is_proved() {
        let mut alone = figures();
        alone.modes.truncate(2);
        assert_eq!(judge(&alone).verdict, Verdict::Inconclusive);
        let mut invalid = figures();
        invalid.modes[0].with.invalid = Some("bytes differ".into());
        assert_eq!(judge(&invalid).verdict, Verdict::Inconclusive);
    }
}
