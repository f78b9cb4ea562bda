//! What `accept-sharing` counts needs no clock: whom clients are dealt to, who waits for a busy worker,
//! and who is reset with a listener. Its waits, and the other experiments about queues, do; `lab
//! selftest` runs those.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use serde_json::Value;
use support::{lab, verdict};

/// The numbers of a list.
fn numbers(list: &Value) -> Vec<u64> {
    let list = list.as_array().unwrap();
    list.iter().map(|number| number.as_u64().unwrap()).collect()
}

/// The row of a list for `accept`.
fn row<'a>(rows: &'a Value, accept: &str) -> &'a Value {
    let mut rows = rows.as_array().unwrap().iter();
    rows.find(|row| row["accept"] == accept).unwrap()
}

#[test]
fn only_own_listeners_deal_clients_to_a_busy_worker_and_only_a_master_deals_evenly() {
    let out = tempfile::tempdir().unwrap();
    let args = ["run", "accept-sharing", "--format", "json", "--out"];
    let args = [&args[..], &[out.path().to_str().unwrap()]].concat();
    let (_, stdout, stderr) = lab(&args);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    let figures = &document["experiments"][0]["figures"];
    assert!(figures["deals"].is_array(), "{stderr}");
    let handed = row(&figures["deals"], "handoff");
    assert_eq!(handed["stay"], "long");
    assert_eq!(numbers(&handed["accepted"]), [50, 50, 50, 50]);
    let stranded = &figures["stranded"];
    for accept in ["shared", "reuseport", "handoff"] {
        let row = row(stranded, accept);
        let waits = row["waiting"].as_u64().unwrap() > 0;
        assert_eq!(waits, accept == "reuseport", "{row}");
        assert_eq!(row["answered_after"], row["waiting"], "{row}");
        assert_eq!(row["lost"], 0, "{row}");
    }
    let resets = figures["closing"].as_array().unwrap().iter();
    let resets: Vec<u64> = resets.map(|row| row["reset"].as_u64().unwrap()).collect();
    assert_eq!(resets[0], 0, "a shared one lives on");
    assert!(resets[1] > 0 || figures["migrates"] == true);
}

#[test]
fn workers_that_share_a_listener_in_secret_are_found_out() {
    let (code, line) = verdict("accept-sharing", &["--seeded-fault"]);
    assert_eq!(code, 3, "{line}");
    let found = line.starts_with("accept-sharing: does not hold — reuseport");
    assert!(found, "{line}");
}
