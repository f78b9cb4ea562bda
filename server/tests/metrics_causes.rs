//! Each counter of the metrics moves when its cause is provoked, and none is forgotten: the test of a
//! cause says what it moves, and what all of them move is all that there is.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;

use rustix::process::{Resource, Rlimit, Signal, getrlimit, prlimit};
use socket2::{Domain, Socket, Type};
use support::http::{admin_of, all_from, get, request, say, secret};
use support::metrics::{pick, scrape};
use support::{
    LIMIT, Scene, ServerProcess, connect_to, connect_to_path, end_of,
    has_ended_within_though_it_offers, has_sandbox, procfs, reset, round_trip, wait_readable,
    with_few_threads,
};

/// Makes a test of each cause, and the table of what they move. What is provoked is a scene, or none
/// where that cannot be had; then it says why.
macro_rules! causes {
    ($(
        fn $cause:ident() moves { $($metric:literal => $value:pat),+ $(,)? } $provoke:block
    )+) => {
        $(
            #[test]
            fn $cause() {
                fn provoke() -> Option<Scene> $provoke
                let Some(scene) = provoke() else { return };
                $(scene.until($metric, |value| matches!(value, $value));)+
                // All at once: what came true first is so still.
                let all = scene.scrape();
                $(
                    let value = pick(&all, $metric).unwrap();
                    assert!(matches!(value, $value), "{}: {value}", $metric);
                )+
            }
        )+

        /// What the causes move, by name.
        const CAUSES: &[(&str, &[&str])] = &[$((stringify!($cause), &[$($metric),+])),+];
    };
}

causes! {
    fn a_client_who_comes_and_goes() moves {
        "echolab_accepted_total" => 1.0,
        "echolab_served_total" => 1.0,
        "echolab_requests_total" => 1.0,
        "echolab_bytes_total" => 6.0,
        "echolab_closed_total" => 1.0,
        "echolab_worker_accepted_total{slot=0}" => 1.0,
        "echolab_worker_served_total{slot=0}" => 1.0,
        "echolab_worker_requests_total{slot=0}" => 1.0,
    } {
        let mut scene = Scene::pool(&[]);
        scene.serve();
        scene.clients.clear();
        Some(scene)
    }

    fn clients_who_have_come_to_different_points() moves {
        "echolab_connections{state=queued}" => 1.0,
        "echolab_connections{state=fresh}" => 1.0,
        "echolab_connections{state=answered}" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "thread-pool", "--workers", "2"]);
        scene.serve();
        scene.connect_all(2);
        Some(scene)
    }

    fn an_answer_that_takes_its_time() moves {
        "echolab_first_byte_seconds_count" => 1.0,
        "echolab_first_byte_seconds_sum" => 0.2..,
        "echolab_first_byte_seconds_bucket{le=0.1}" => 0.0,
        "echolab_first_byte_seconds_bucket{le=inf}" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--work", "io=200ms"]);
        round_trip(scene.connect(), b"\n").unwrap();
        Some(scene)
    }

    fn an_answer_at_once() moves {
        "echolab_first_byte_seconds_bucket{le=10}" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async"]);
        scene.serve();
        Some(scene)
    }

    fn who_waits_outside() moves {
        "echolab_accept_queue_length" => 3.0,
    } {
        let mut scene = Scene::new(&["--mode", "sequential"]);
        scene.serve();
        scene.connect_all(3);
        Some(scene)
    }

    fn who_waits_outside_on_a_path() moves {
        "echolab_accept_queue_length" => 3.0,
    } {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let addr = format!("unix:{}", path.display());
        let server = ServerProcess::start_at(&addr, &["--mode", "sequential", "--admin", "127.0.0.1:0"]);
        let admin = admin_of(&server);
        if pick(&scrape(admin), "echolab_accept_queue_length").is_none() {
            println!("SKIPPED: the kernel does not tell the queue of a path");
            return None;
        }
        let mut scene = Scene::of(server, admin);
        let mut inside = connect_to_path(&path).unwrap();
        round_trip(&mut inside, b"inside").unwrap();
        scene.clients.push(inside);
        scene.clients.extend([(); 3].map(|()| connect_to_path(&path).unwrap()));
        scene.directory = Some(directory);
        Some(scene)
    }

    // Those of the whole network namespace are counted.
    fn who_finds_the_accept_queue_full() moves {
        "echolab_listen_overflows_total" => 1.0..,
    } {
        let mut scene = Scene::new(&["--mode", "sequential", "--backlog", "1"]);
        scene.serve();
        for _ in 0..6 {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            client.set_nonblocking(true).unwrap();
            // It is under way, and may stay so.
            let _ = client.connect(&scene.server.addr.into());
            scene.clients.push(client.into());
        }
        Some(scene)
    }

    fn a_full_server_that_lets_wait() moves {
        "echolab_full_total" => 1.0..,
        "echolab_rejected_total" => 0.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--max-connections", "1", "--on-full", "wait"]);
        scene.serve();
        scene.connect();
        Some(scene)
    }

    fn a_full_server_that_rejects() moves {
        "echolab_rejected_total" => 2.0,
        "echolab_rejections_total{reason=full}" => 2.0,
        "echolab_rejections_total{reason=resources}" => 0.0,
        "echolab_short_total" => 0.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--max-connections", "1", "--on-full", "reject"]);
        scene.serve();
        (0..2).for_each(|_| drop(end_of(scene.connect())));
        Some(scene)
    }

    fn want_of_threads() moves {
        "echolab_short_total" => 1.0..,
        "echolab_rejections_total{reason=resources}" => 1.0..,
        "echolab_rejections_total{reason=full}" => 0.0,
    } {
        let args = ["--mode", "thread-per-connection", "--max-connections", "100", "--admin", "127.0.0.1:0"];
        let (server, program) = with_few_threads(61235, 8, &args)?;
        let admin = admin_of(&server);
        let mut scene = Scene::of(server, admin);
        scene.connect_all(12);
        // Nobody has said anything, so that this is an end.
        wait_readable(&scene.clients, 1);
        scene.directory = Some(program);
        Some(scene)
    }

    fn an_address_with_too_many_clients() moves {
        "echolab_per_ip_total" => 1.0,
        "echolab_rejections_total{reason=per_ip}" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--max-per-ip", "2"]);
        scene.serve();
        scene.serve();
        end_of(scene.connect());
        Some(scene)
    }

    fn silence() moves {
        "echolab_idle_total" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--idle-timeout", "1s"]);
        end_of(scene.serve());
        Some(scene)
    }

    fn a_line_without_an_end() moves {
        "echolab_slow_total" => 1.0,
    } {
        let line = ["--mode", "async", "--min-rate", "1000", "--min-rate-grace", "300ms"];
        let mut scene = Scene::new(&line);
        end_of(scene.serve());
        Some(scene)
    }

    fn a_client_who_does_not_read() moves {
        "echolab_stalled_total" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--write-timeout", "1s"]);
        assert!(has_ended_within_though_it_offers(LIMIT, scene.connect()));
        Some(scene)
    }

    fn a_reset_in_mid_stream() moves {
        "echolab_failed_total" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async"]);
        scene.serve();
        reset(scene.clients.remove(0));
        Some(scene)
    }

    fn a_panic() moves {
        "echolab_panics_total" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--fault", "panic-on=die"]);
        let victim = scene.connect();
        victim.write_all(b"die").unwrap();
        end_of(victim);
        Some(scene)
    }

    fn an_attempt_to_escape() moves {
        "echolab_violations_total" => 1.0..,
    } {
        if !has_sandbox() {
            return None;
        }
        let mut scene = Scene::pool(&["--sandbox", "require", "--fault", "escape-on=ESCAPE"]);
        round_trip(scene.connect(), b"ESCAPE").unwrap();
        Some(scene)
    }

    fn a_drain_before_which_clients_wait_outside() moves {
        "echolab_state{state=draining}" => 1.0,
        "echolab_dismissed_total" => 3.0,
        "echolab_rejections_total{reason=dismissed}" => 3.0,
        "echolab_admin_responses_total{code=503}" => 1.0,
    } {
        let mut scene = Scene::new(&["--mode", "async", "--max-connections", "1", "--work", "io=1h", "--drain-timeout", "1h"]);
        scene.connect().write_all(b"\n").unwrap();
        scene.until("echolab_requests_total", |requests| requests == 1.0);
        scene.connect_all(3);
        scene.server.signal(Signal::TERM);
        scene.clients[1..].iter_mut().for_each(|client| drop(end_of(client)));
        scene.until("echolab_state{state=draining}", |state| state == 1.0);
        assert_eq!(get(scene.admin, "/readyz").code, 503);
        Some(scene)
    }

    fn an_answer_that_takes_longer_than_the_drain_of_its_worker() moves {
        "echolab_cut_total" => 1.0,
        "echolab_workers_ended_total{reason=restarted}" => 1.0,
    } {
        let mut scene = Scene::pool(&["--work", "io=1h", "--drain-timeout", "300ms"]);
        scene.connect().write_all(b"\n").unwrap();
        scene.until("echolab_requests_total", |requests| requests == 1.0);
        scene.server.signal(Signal::HUP);
        Some(scene)
    }

    fn a_worker_that_is_no_longer_wanted() moves {
        "echolab_workers_ended_total{reason=asked}" => 1.0,
        "echolab_workers_wanted" => 1.0,
    } {
        let scene = Scene::new(&["--mode", "process-pool", "--workers", "2"]);
        scene.server.signal(Signal::TTOU);
        Some(scene)
    }

    fn a_worker_that_has_served_its_share() moves {
        "echolab_workers_ended_total{reason=recycled}" => 1.0,
    } {
        let mut scene = Scene::pool(&["--max-requests", "1"]);
        scene.serve();
        scene.clients.clear();
        Some(scene)
    }

    fn a_worker_that_does_not_move() moves {
        "echolab_workers_ended_total{reason=hung}" => 1.0,
    } {
        let mut scene = Scene::pool(&["--hang-timeout", "1s", "--fault", "hang-on=#"]);
        scene.connect().write_all(b"#").unwrap();
        Some(scene)
    }

    fn a_worker_that_does_not_end_in_time() moves {
        "echolab_workers_ended_total{reason=late}" => 1.0,
    } {
        let scene = Scene::pool(&["--hang-timeout", "0", "--drain-timeout", "1ms"]);
        // It stands still, and so does not hear that it is to go.
        procfs::kill(scene.server.workers()[0], Signal::STOP);
        scene.server.signal(Signal::HUP);
        Some(scene)
    }

    fn a_worker_that_somebody_kills() moves {
        "echolab_workers_ended_total{reason=signal}" => 1.0,
        "echolab_workers{state=ready}" => 1.0,
    } {
        let scene = Scene::pool(&[]);
        procfs::kill(scene.server.workers()[0], Signal::KILL);
        Some(scene)
    }

    fn a_worker_that_gives_up() moves {
        "echolab_workers_ended_total{reason=exit}" => 1.0..,
    } {
        let directory = tempfile::tempdir().unwrap();
        let broken = directory.path().join("broken");
        let mut scene = Scene::pool(&["--fault", &format!("exit-at-start={}", broken.display())]);
        File::create(&broken).unwrap();
        scene.server.signal(Signal::HUP);
        scene.directory = Some(directory);
        Some(scene)
    }

    fn want_of_descriptors_for_a_worker() moves {
        "echolab_workers_ended_total{reason=unstarted}" => 1.0..,
        "echolab_workers_ended_total{reason=signal}" => 1.0,
    } {
        let scene = Scene::pool(&[]);
        let master = procfs::pid(scene.server.pid());
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        // What may be raised again is the soft limit, which the server had raised to the hard one.
        let limit = |current| prlimit(Some(master), Resource::Nofile, Rlimit { current, maximum }).unwrap();
        limit(Some(procfs::descriptors(scene.server.pid()) as u64));
        procfs::kill(scene.server.workers()[0], Signal::KILL);
        scene.server.log().wait_for("cannot start a worker", 1);
        limit(maximum);
        Some(scene)
    }

    fn requests_that_the_endpoint_refuses() moves {
        "echolab_admin_rejections_total{reason=malformed}" => 3.0,
        "echolab_admin_rejections_total{reason=body}" => 1.0,
        "echolab_admin_rejections_total{reason=method}" => 1.0,
        "echolab_admin_rejections_total{reason=host}" => 1.0,
        "echolab_admin_rejections_total{reason=origin}" => 1.0,
        "echolab_admin_responses_total{code=400}" => 1.0..,
        "echolab_admin_responses_total{code=413}" => 1.0,
        "echolab_admin_responses_total{code=405}" => 1.0,
        "echolab_admin_responses_total{code=421}" => 1.0,
        "echolab_admin_responses_total{code=403}" => 1.0,
    } {
        let scene = Scene::new(&["--mode", "async"]);
        let admin = scene.admin;
        for request in [
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "\0".to_owned(),
            format!("GET / HTTP/1.1\r\nHost: {admin}\r\n: \r\n\r\n"),
            request(admin, "GET", "/", &["Content-Length: 1"]),
            request(admin, "POST", "/", &[]),
            "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
            request(admin, "GET", "/", &["Origin: null"]),
        ] {
            say(admin, request.as_bytes());
        }
        Some(scene)
    }

    // Each look at the metrics is a connection and an answer itself.
    fn requests_that_the_endpoint_answers() moves {
        "echolab_admin_connections_total" => 4.0..,
        "echolab_admin_responses_total{code=404}" => 1.0,
        "echolab_admin_responses_total{code=200}" => 3.0..,
    } {
        let scene = Scene::new(&["--mode", "async"]);
        assert_eq!(get(scene.admin, "/nothing").code, 404);
        assert_eq!(get(scene.admin, "/healthz").code, 200);
        let connections = || pick(&scene.scrape(), "echolab_admin_connections_total").unwrap();
        let before = connections();
        assert_eq!(connections(), before + 1.0);
        Some(scene)
    }

    fn a_request_without_the_token() moves {
        "echolab_admin_rejections_total{reason=token}" => 1.0,
        "echolab_admin_responses_total{code=401}" => 1.0,
    } {
        let (directory, file) = secret("correct-horse-battery-staple");
        let mut scene = Scene::new(&["--mode", "async", "--admin-token-file", &file]);
        scene.directory = Some(directory);
        scene.headers = vec!["Authorization: Bearer correct-horse-battery-staple".into()];
        assert_eq!(get(scene.admin, "/status").code, 401);
        Some(scene)
    }

    fn more_who_ask_than_the_endpoint_has_places() moves {
        "echolab_admin_rejections_total{reason=full}" => 1.0,
    } {
        let scene = Scene::new(&["--mode", "async"]);
        let clients: Vec<_> = (0..64).map(|_| connect_to(scene.admin).unwrap()).collect();
        assert_eq!(all_from(&mut connect_to(scene.admin).unwrap()), b"");
        // Whoever was answered has left its place.
        for mut client in clients {
            client.write_all(request(scene.admin, "GET", "/healthz", &[]).as_bytes()).unwrap();
            all_from(&mut client);
        }
        Some(scene)
    }

    fn a_client_of_the_endpoint_who_does_not_come_to_the_point() moves {
        "echolab_admin_rejections_total{reason=slow}" => 1.0,
    } {
        let scene = Scene::new(&["--mode", "async"]);
        assert_eq!(all_from(&mut connect_to(scene.admin).unwrap()), b"");
        Some(scene)
    }
}

/// Counters without a cause of their own.
const WITHOUT: [&str; 3] = [
    // Time passes by itself.
    "echolab_leader_cpu_seconds_total{}",
    "echolab_worker_cpu_seconds_total{slot=0}",
    // An answer that nobody knows how to get.
    "echolab_admin_responses_total{code=500}",
];

#[test]
fn no_counter_is_forgotten() {
    let scene = Scene::pool(&[]);
    let all = scene.scrape();
    let counters = all.keys().filter(|name| name.contains("_total{"));
    let there: BTreeSet<_> = counters.map(|name| name.trim_end_matches("{}")).collect();
    let moved = CAUSES.iter().flat_map(|(_, metrics)| *metrics);
    let moved = moved.filter(|name| name.contains("_total"));
    let moved: BTreeSet<_> = moved
        .chain(&WITHOUT)
        .map(|name| name.trim_end_matches("{}"))
        .collect();
    assert_eq!(moved, there);
}
