//! Latency by percentile: service time dashed against response time.

use maud::{Markup, html};

use super::histogram::decode;
use crate::page::{figure, legend};
use crate::report::{Latency, Report};
use crate::svg::{self, Curve, Stroke};

/// How many points a curve has at most.
const POINTS: u32 = 160;
/// Fewer waits than this beyond a percentile say nothing about it.
const LEAST_BEYOND: f64 = 10.0;

/// A curve that does not reach at least the slowest tenth says less than the table.
const LEAST_RAREST: f64 = 10.0;

/// The curves of one run; nothing where too little was answered.
pub(super) fn section(report: &Report) -> Markup {
    let waits = &report.latency;
    let service = match waits.response {
        Some(_) => Stroke::Dashed,
        None => Stroke::Solid,
    };
    let curves: Vec<Curve> = [
        (
            "response, from the moment it was due",
            &waits.response,
            Stroke::Solid,
        ),
        ("rtt, from the actual send", &waits.rtt, service),
    ]
    .into_iter()
    .filter_map(|(name, wait, stroke)| curve(name, wait.as_ref()?, stroke))
    .collect();
    if curves.is_empty() {
        return html! {};
    }
    html! {
        section id="percentiles" {
            h2 { "How slow are the slow ones?" }
            div class="exhibits" { (picture("Latency by percentile", &curves, &caption(report))) }
        }
    }
}

/// Several curves in one picture.
pub(super) fn picture(title: &str, curves: &[Curve], caption: &str) -> Markup {
    let names: Vec<String> = curves.iter().map(|curve| curve.name.clone()).collect();
    figure(title, caption, &svg::curves(curves), &legend(&names))
}

fn caption(report: &Report) -> String {
    let waits = &report.latency;
    let mut said = vec![
        "The further right, the rarer: each labelled step is ten times as rare as the one before. \
         Both sides are logarithmic."
            .to_owned(),
    ];
    if waits.response.is_some() {
        said.push(
            "Where the two lines part, requests waited to be sent at all; whoever measures from \
             the send does not see it."
                .to_owned(),
        );
    }
    let unanswered = waits.rtt.as_ref().map_or(0, |rtt| rtt.censored);
    if unanswered > 0 {
        said.push(format!(
            "{unanswered} requests were not answered at all: they are the hatched part, and the \
             line describes only the others."
        ));
    }
    said.join(" ")
}

/// The curve of `wait`, over ended waits and those that have not; none where too few were measured.
pub(super) fn curve(name: &str, wait: &Latency, stroke: Stroke) -> Option<Curve> {
    let histogram = decode(&wait.histogram)?;
    let answered = histogram.len() as f64;
    let total = answered + wait.censored as f64;
    let rarest = total / LEAST_BEYOND;
    if rarest < LEAST_RAREST || histogram.is_empty() {
        return None;
    }
    let step = rarest.ln() / f64::from(POINTS);
    let shares = (0..=POINTS).map(|point| 1.0 - (-step * f64::from(point)).exp());
    let points = shares
        .map(|share| (share, share * total / answered))
        .take_while(|(_, of_the_answered)| *of_the_answered <= 1.0)
        .map(|(share, of_the_answered)| {
            let nanos = histogram.value_at_quantile(of_the_answered);
            (share, nanos as f64 / 1e3)
        });
    Some(Curve {
        name: name.to_owned(),
        points: points.collect(),
        stroke,
        ended: (wait.censored > 0).then_some(answered / total),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::{Censored, Samples};
    use proptest::prelude::*;

    fn latency(nanos: &[u64], censored: u64) -> Option<Latency> {
        let mut samples = Samples::new();
        nanos.iter().for_each(|nanos| samples.record(*nanos));
        let mut unanswered = Censored::default();
        (0..censored).for_each(|_| unanswered.add(1 << 40));
        samples.summary(&unanswered)
    }

    proptest! {
        // Each case makes and reads a whole histogram.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_curve_rises_and_ends_where_the_answers_end(
            nanos in prop::collection::vec(1_000..10_000_000_u64, 100..300), censored in 0..200_u64,
        ) {
            let wait = latency(&nanos, censored).unwrap();
            let curve = curve("rtt", &wait, Stroke::Solid).unwrap();
            prop_assert!(curve.points.windows(2).all(|p| p[0].0 < p[1].0 && p[0].1 <= p[1].1));
            let (last, total) = (curve.points.last().unwrap().0, (wait.count + censored) as f64);
            prop_assert!((1.0 - last) * total >= LEAST_BEYOND - 1e-6);
            prop_assert!(last <= wait.count as f64 / total + 1e-9);
            prop_assert_eq!(curve.ended.is_some(), censored > 0);
        }
    }

    #[test]
    fn what_cannot_be_read_has_no_curve() {
        let mut wait = latency(&[1_000; 200], 0).unwrap();
        wait.histogram = "HISTE".into();
        assert_eq!(curve("rtt", &wait, Stroke::Solid), None);
    }
}
