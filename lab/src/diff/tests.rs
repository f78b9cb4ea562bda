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
fn no_two_elements_of_a_list_have_the_same_path() {
    let paths = |list| {
        let found = flat(&json!({ "all": list }));
        found.into_keys().collect::<Vec<String>>()
    };
    // As many texts as tell them apart, and no more.
    assert_eq!(
        paths(json!([
            {"accept": "shared", "stay": "long", "note": "a", "n": 1},
            {"accept": "shared", "stay": "short", "note": "b", "n": 2},
        ])),
        ["all.shared, long.n", "all.shared, short.n"]
    );
    // All texts are the same: the place. What comes behind a figure is no name.
    assert_eq!(
        paths(json!([{"way": "x", "n": 1, "why": "a"}, {"way": "x", "n": 2, "why": "b"}])),
        ["all.x #0.n", "all.x #1.n"]
    );
    assert_eq!(paths(json!([{"n": 1}, {"n": 2}])), ["all.0.n", "all.1.n"]);
    assert_eq!(paths(json!([3, 4])), ["all.0", "all.1"]);
}

#[test]
fn what_was_measured_once_is_not_apart_and_comes_last() {
    let figures = |by: f64| json!({"once": by, "often": {"median": 1.0, "min": 1.0, "max": by}});
    let moved = changed(&figures(1.0), &figures(9.0));
    let told: Vec<_> = moved
        .iter()
        .map(|moved| (moved.path.as_str(), moved.once, moved.apart))
        .collect();
    assert_eq!(told, [("often", false, false), ("once", true, false)]);
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
