//! Rounds become one: what all have in common, means of what differs, the worst of what disturbs.

use super::*;

fn round(wait_ms: f64, simulated_ms: f64, way_us: f64) -> Figures {
    let row = Row {
        load: 0.5,
        answers: 100,
        measured_wait_ms: Some(wait_ms),
        simulated_wait_ms: simulated_ms,
        error: Some(wait_ms / simulated_ms - 1.0),
        ..Row::default()
    };
    Figures {
        way_us: Some(way_us),
        loads: vec![row; LOADS.len()],
        steps: vec![Steps::default()],
        ..Figures::default()
    }
}

#[test]
fn rounds_are_means_and_keep_their_own_errors() {
    let pooled = pooled(vec![round(1.0, 2.0, 100.0), round(5.0, 4.0, 300.0)]);
    let row = &pooled.loads[0];
    assert_eq!((row.measured_wait_ms, row.error), (Some(3.0), Some(0.0)));
    assert_eq!(
        (row.answers, row.errors.as_slice()),
        (200, &[-0.5, 0.25][..])
    );
    assert_eq!((pooled.way_us, pooled.steps.len()), (Some(300.0), 2));
}

#[test]
fn a_round_without_a_figure_or_with_an_invalid_run_spoils_all() {
    let mut silent = round(1.0, 1.0, 1.0);
    silent.loads[0].measured_wait_ms = None;
    silent.loads[1].invalid = Some("bytes differ".into());
    let pooled = pooled(vec![round(1.0, 1.0, 1.0), silent]);
    assert_eq!(pooled.loads[0].error, None);
    assert!(pooled.loads[1].invalid.is_some());
}

#[test]
fn the_method_says_how_many_windows_there_are() {
    let told = format!("{WINDOWS} windows with other seeds");
    assert!(EXPERIMENT.method.contains(&told), "{}", EXPERIMENT.method);
}
