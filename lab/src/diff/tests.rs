//! What differs is found, and what only scatters is not.

use serde_json::json;

use super::*;

fn flat(value: &serde_json::Value) -> BTreeMap<String, Figure> {
    figures::of(value)
}

fn changed(before: &serde_json::Value, after: &serde_json::Value) -> Vec<Moved> {
    let result = |value| Some((Some(Verdict::Holds), flat(value)));
    change("x".into(), result(before), result(after)).figures
}

#[test]
fn figures_are_found_by_the_names_of_what_they_belong_to() {
    let found = flat(&json!({
        "workers": 4,
        "modes": [{"mode": "async", "rate": {"median": 5.0, "min": 4.0, "max": 6.0}}, {"x": 1}],
        "text": "no", "missing": null,
    }));
    let paths: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(paths, ["modes.1.x", "modes.async.rate", "workers"]);
    assert_eq!(found["modes.async.rate"].range, Some((4.0, 6.0)));
}

#[test]
fn what_scatters_as_far_as_it_differs_is_not_apart() {
    let spread = |median: f64, by: f64| json!({"r": {"median": median, "min": median - by, "max": median + by}});
    let moved = changed(&spread(100.0, 10.0), &spread(115.0, 10.0));
    assert!(
        !moved[0].apart
            && moved[0]
                .ratio
                .is_some_and(|ratio| (ratio - 1.15).abs() < 1e-9)
    );
    assert!(changed(&spread(100.0, 5.0), &spread(115.0, 5.0))[0].apart);
    assert!(!changed(&json!({"n": 4}), &json!({"n": 4}))[0].apart);
}

#[test]
fn the_largest_ratio_is_first_whichever_way_it_goes() {
    let moved = changed(
        &json!({"a": 1.0, "b": 10.0, "c": 0.0, "d": 5.0}),
        &json!({"a": 2.0, "b": 1.0, "c": 3.0, "e": 1.0}),
    );
    let paths: Vec<&str> = moved.iter().map(|moved| moved.path.as_str()).collect();
    assert_eq!(paths, ["c", "b", "a"]);
    assert_eq!(moved[0].ratio, None, "nothing is a multiple of 0");
}

#[test]
fn only_a_claim_that_is_lost_fails() {
    let code = |before, after| {
        let result = |verdict: Option<Verdict>| verdict.map(|it| (Some(it), BTreeMap::new()));
        exit_code(&[change("x".into(), result(before), result(after))])
    };
    let (yes, no) = (Some(Verdict::Holds), Some(Verdict::DoesNotHold));
    assert_eq!((code(yes, no), code(yes, yes), code(no, no)), (3, 0, 0));
    assert_eq!((code(no, yes), code(yes, None), code(None, no)), (0, 0, 0));
}
