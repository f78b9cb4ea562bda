//! The window second by second: rate, latency, and how the waits were spread.

use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::histogram::decode;
use crate::page::{figure, legend};
use crate::report::{Interval, Report};
use crate::svg::{self, Heat, Measure, Series};

/// Columns of the heat map at most.
const COLUMNS: usize = 60;
/// Rows of the heat map.
const ROWS: usize = 40;
/// Points of a line at most.
const MOST_POINTS: usize = 600;
/// A slice of the window that is too short for a rate.
const SHORTEST_S: f64 = 0.2;

/// The three pictures; nothing where the window has less than two slices.
pub(super) fn section(report: &Report) -> Markup {
    let slices: Vec<&Interval> = report
        .intervals
        .iter()
        .filter(|slice| slice.length_s >= SHORTEST_S)
        .collect();
    if slices.len() < 2 {
        return html! {};
    }
    html! {
        section id="time" {
            h2 { "Was it so all the time?" }
            div class="exhibits" {
                (rates(&slices))
                (latencies(report, &slices))
                @if let Some(map) = heat(&slices) { (spread(&map)) }
            }
        }
    }
}

fn rates(slices: &[&Interval]) -> Markup {
    let per_second = |count: fn(&Interval) -> u64| {
        move |slice: &Interval| Some(count(slice) as f64 / slice.length_s)
    };
    let mut series = vec![line("answered", slices, per_second(|slice| slice.answered))];
    if slices.iter().any(|slice| slice.failed > 0) {
        series.push(line("failed", slices, per_second(|slice| slice.failed)));
    }
    let worst = slices
        .iter()
        .map(|slice| slice.answered as f64 / slice.length_s);
    let caption = match worst.fold(f64::INFINITY, f64::min) {
        0.0 => "There were moments without any answer.".to_owned(),
        least => format!(
            "Never less than {} answers per second.",
            cli::units::number(least)
        ),
    };
    picture(
        ("Throughput", &caption),
        ("per second", Measure::Amount),
        &series,
    )
}

fn latencies(report: &Report, slices: &[&Interval]) -> Markup {
    let due = report.latency.response.is_some();
    let pick = |sent: fn(&Interval) -> Option<f64>, due_us: fn(&Interval) -> Option<f64>| {
        move |slice: &Interval| if due { due_us(slice) } else { sent(slice) }
    };
    let series = [
        line(
            "p50",
            slices,
            pick(|s| s.p50_us, |s| s.response.as_ref()?.p50_us),
        ),
        line(
            "p99",
            slices,
            pick(|s| s.p99_us, |s| s.response.as_ref()?.p99_us),
        ),
        line(
            "max",
            slices,
            pick(|s| s.max_us, |s| s.response.as_ref()?.max_us),
        ),
    ];
    let caption = if due {
        "Response time, from the moment a request was due. A gap is a time without answers."
    } else {
        "Round trips. A gap is a time without answers, and whoever waits has no line."
    };
    picture(
        ("Latency", caption),
        ("time to the answer", Measure::Wait),
        &series,
    )
}

fn picture((title, caption): (&str, &str), y: (&str, Measure), series: &[Series]) -> Markup {
    let x = ("seconds since the start of the window", Measure::Seconds);
    figure(title, caption, &svg::chart(x, y, series), &names(series))
}

/// The names of several lines; one alone needs none.
pub(super) fn names(series: &[Series]) -> Markup {
    let names: Vec<String> = series.iter().map(|line| line.name.clone()).collect();
    match names.as_slice() {
        [] | [_] => html! {},
        names => legend(names),
    }
}

/// One figure of each slice, in its middle; of very many slices only some.
fn line(name: &str, slices: &[&Interval], figure: impl Fn(&Interval) -> Option<f64>) -> Series {
    let every = slices.len().div_ceil(MOST_POINTS).max(1);
    let middle = |slice: &&Interval| (slice.at_s + slice.length_s / 2.0, figure(slice));
    let points = slices.iter().step_by(every).map(middle);
    // A point without a value, so that the axis goes on to the end of the window.
    let end = slices
        .last()
        .map(|slice| (slice.at_s + slice.length_s, None));
    Series {
        name: name.to_owned(),
        points: points.chain(end).collect(),
        ..Series::default()
    }
}

fn spread(map: &Heat) -> Markup {
    let key = html! {
        ul class="legend" {
            li { span class="key shade-few" {} "one answer" }
            li { span class="key served" {} "most answers" }
        }
    };
    let caption = "Each column is a moment and each row a length of wait. Shades are ratios, so \
                   that a few slow answers show beside a million fast ones. Two bands mean two \
                   kinds of answers.";
    figure("Where the waits are", caption, &svg::heat(map), &key)
}

/// Waits in nanoseconds, and how many there were of each length.
type Waits = Vec<(u64, u64)>;

/// The waits of all slices, sorted into the cells of a map; none without a histogram.
fn heat(slices: &[&Interval]) -> Option<Heat> {
    let every = slices.len().div_ceil(COLUMNS).max(1);
    let groups: Vec<Waits> = slices
        .chunks(every)
        .map(|group| group.iter().flat_map(|slice| waits(slice)).collect())
        .collect();
    let nanos = || groups.iter().flatten().map(|(nanos, _)| (*nanos).max(1));
    let low = nanos().min()? as f64 / 1e3;
    let high = nanos().max()? as f64 / 1e3;
    let waits_us = (low, if high > low { high } else { low * 10.0 });
    let last = slices.last()?;
    Some(Heat {
        end_s: last.at_s + last.length_s,
        waits_us,
        columns: groups.iter().map(|group| column(group, waits_us)).collect(),
    })
}

/// What was measured in one slice. A histogram is large, so that only one is held at a time.
fn waits(slice: &Interval) -> Waits {
    let due = slice.response.as_ref().map(|response| &response.histogram);
    let histogram = decode(due.unwrap_or(&slice.histogram));
    let recorded = histogram.iter().flat_map(Histogram::iter_recorded);
    recorded
        .map(|value| (value.value_iterated_to(), value.count_at_value()))
        .collect()
}

fn column(group: &[(u64, u64)], (low, high): (f64, f64)) -> Vec<u64> {
    let mut cells = vec![0; ROWS];
    for (nanos, count) in group {
        let share = (*nanos as f64 / 1e3 / low).ln() / (high / low).ln();
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a cast of a float saturates, and the row is kept inside"
        )]
        let row = (share * ROWS as f64) as usize;
        cells[row.min(ROWS - 1)] += count;
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Samples;

    fn slice(second: u32, nanos: &[u64]) -> Interval {
        let mut samples = Samples::new();
        nanos.iter().for_each(|nanos| samples.record(*nanos));
        Interval {
            at_s: f64::from(second),
            length_s: 1.0,
            answered: samples.count(),
            p50_us: None,
            p99_us: None,
            max_us: None,
            failed: 0,
            histogram: samples.encoded(),
            response: None,
        }
    }

    #[test]
    fn every_answer_is_in_one_cell() {
        let slices = [
            slice(0, &[10_000, 20_000]),
            slice(1, &[]),
            slice(2, &[9_000_000; 3]),
        ];
        let map = heat(&slices.iter().collect::<Vec<_>>()).unwrap();
        let sums: Vec<u64> = map
            .columns
            .iter()
            .map(|column| column.iter().sum())
            .collect();
        assert_eq!(sums, [2, 0, 3]);
        assert_eq!((map.columns[0][0], map.columns[2][ROWS - 1]), (1, 3));
        assert_eq!(heat(&[&slices[1]]), None);
    }

    #[test]
    fn a_long_window_has_no_more_columns_than_an_eye_can_tell_apart() {
        let slices: Vec<Interval> = (0..500).map(|second| slice(second, &[1_000])).collect();
        let map = heat(&slices.iter().collect::<Vec<_>>()).unwrap();
        assert!(map.columns.len() <= COLUMNS);
        assert_eq!(map.columns.iter().flatten().sum::<u64>(), 500);
    }
}
