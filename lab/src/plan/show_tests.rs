//! What a plan looks like, word by word.

use std::time::Duration;

use server::Mode;

use super::*;
use crate::plan::calibration::tests::sample;
use crate::plan::sizing::{plan, tried};

fn demand() -> Demand {
    Demand {
        clients: 1_000_000,
        think: Duration::from_secs(30),
        service: Duration::from_micros(200),
        kind: Kind::Io,
        rate_per_s: None,
        promise: Some("p99<50ms".parse().unwrap()),
        stay: None,
        cores: 4,
        memory_bytes: 8 << 30,
        utilization: 0.8,
    }
}

#[test]
fn a_plan_can_be_read_on_a_projector() {
    let (demand, calibration) = (demand(), sample());
    let rows = plan(&demand, &calibration, Mode::ALL);
    let text = plan_text(
        &demand,
        &calibration,
        &tried(rows, &demand, &calibration, 1),
    );
    assert!(
        text.lines().all(|line| line.chars().count() <= 110),
        "{text}"
    );
    insta::assert_snapshot!(text, @r"

    1.0M clients that think for 30s: 33.3k requests/s of which each waits for 200us, so 6.7 at once.

    What it takes, on machines of 4 cores and 8 GiB: machines, what binds, and for each
       mode                     machines           for   clients   workers   cores     memory      p99   played
     ────────────────────────────────────────────────────────────────────────────────────────────────────────────
       sequential                    583        memory      1.7k      1.7k       1    6.4 GiB    931us        -
       thread-per-connection          63       threads     15.9k     15.9k       1   79.5 MiB    931us        -
       process-per-connection        125     processes      8.0k      8.0k       1     42 MiB    931us        -
       thread-pool                   245       workers      4.1k      4.1k       1   23.3 MiB    931us        -
       rayon                         245       workers      4.1k      4.1k       1   23.3 MiB    931us        -
       process-pool                  245       workers      4.1k      4.1k       1   23.3 MiB    931us        -
       ready-pool                     50   descriptors     20.0k         1       1   99.2 MiB   1.73ms   1.71ms
       async                          50   descriptors     20.0k         1       1   99.2 MiB    931us        -
       epoll                          50   descriptors     20.0k         1       1   99.2 MiB    931us        -
       io-uring                       50   descriptors     20.0k         1       1   99.2 MiB    931us        -
      For: what there would have to be more of, for fewer machines. The rest is of each machine: what
      is needed of it, the response by formula, and played, the same in a simulation, where requests
      queue.

    What client number 1000001 sees
       sequential              connected, and no byte until one of 1.7k leaves
       thread-per-connection   served, <0.001 % slower; room for 8.0k more, then no byte until somebody leaves
       process-per-connection  connected, and no byte until somebody leaves
       thread-pool             connected, and no byte until one of 4.1k leaves
       rayon                   connected, and no byte until one of 4.1k leaves
       process-pool            connected, and no byte until one of 4.1k leaves
       ready-pool              connected, and no byte until somebody leaves
       async                   connected, and no byte until somebody leaves
       epoll                   connected, and no byte until somebody leaves
       io-uring                connected, and no byte until somebody leaves

      Costs: measured once on 4 processors, Linux 6.0, by lab 0.1.0.
      Where the model ends: arrivals are taken to be random and services exponential; all clients are
      alike, and memory is that of clients who have little in flight. Network, downstream and the
      kernel's own limits beyond those named are not in it. `lab run plan-check` tries it out.
    ");
}

#[test]
fn a_calibration_can_be_read_on_a_projector() {
    let text = calibration_text(&sample());
    assert!(
        text.lines().all(|line| line.chars().count() <= 110),
        "{text}"
    );
    insta::assert_snapshot!(text, @r"

    What the modes cost here: processor time, and memory (± half the spread)
       mode                     request   connection    server   client   in the kernel     worker
     ───────────────────────────────────────────────────────────────────────────────────────────────
       sequential                10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       thread-per-connection     10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       process-per-connection    10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       thread-pool               10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       rayon                     10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       process-pool              10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       ready-pool                10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       async                     10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       epoll                     10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
       io-uring                  10.0us       30.0us   3.8 MiB   1000 B         3.9 KiB   19.5 KiB
      Request and connection: processor time of the server for one more, with 64 bytes and no work.
      Server: its memory with few quiet clients; client, in the kernel, worker: for one more. A
      client of a pool that owns connections costs its worker too.

      A waiting request costs a worker 100us besides its service. A server may have 20000 connections,
      16000 threads or 8000 processes that serve one each.
      Costs: measured once on 4 processors, Linux 6.0, by lab 0.1.0.
    ");
}

#[test]
fn a_document_has_what_was_asked_and_what_was_measured() {
    let (demand, calibration) = (demand(), sample());
    let rows = plan(&demand, &calibration, &[Mode::Async]);
    let document = plan_json(&demand, &calibration, &rows);
    assert_eq!(document["demand"]["slo"], "p99<50ms");
    assert_eq!(document["modes"][0]["need"]["machines"], 50);
    assert_eq!(document["modes"][0]["need"]["binds"], "descriptors");
    assert_eq!(document["calibration"]["limits"]["descriptors"], 20_000);
}
