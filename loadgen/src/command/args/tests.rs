//! What command lines come to.

use clap::Parser as _;
use loadgen::schedule::{Arrivals, Rate};
use loadgen::{Ending, Pace, Profile, Starts};

use super::*;

/// The flags alone, as a command line of their own.
#[derive(Debug, clap::Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn request(line: &[&str]) -> Result<Request, String> {
    let typed = ["loadgen"].iter().chain(line);
    let cpus = NonZeroUsize::new(8).unwrap();
    let line = Line::try_parse_from(typed).unwrap();
    line.args.into_request(cpus)
}

fn config(line: &[&str]) -> Config {
    request(line).unwrap().config
}

#[track_caller]
fn refused(line: &[&str], remedy: &str) {
    let why = request(line).unwrap_err();
    assert!(why.contains(remedy) && !why.contains('\n'), "{why}");
}

#[test]
fn without_flags_it_is_fifty_clients_for_ten_seconds() {
    let config = config(&[]);
    assert_eq!(config.target(), "127.0.0.1:7007");
    assert_eq!(config.threads.get(), 8);
    let plain = Config::new(Addr::default());
    assert_eq!(
        config,
        Config {
            threads: config.threads,
            ..plain
        }
    );
}

#[test]
fn a_number_of_requests_replaces_time_limit_and_warm_up() {
    let n = NonZeroU64::new(7).unwrap();
    let alone = config(&["-n", "7"]);
    assert_eq!(alone.stop, StopRule::Requests(n));
    assert_eq!(alone.warmup, Duration::ZERO);
    let both = config(&["-n", "7", "-d", "2s"]);
    assert_eq!(both.stop, StopRule::Either(Duration::from_secs(2), n));
    assert_eq!(both.warmup, Duration::from_secs(1));
    assert_eq!(
        config(&["-n", "7", "-w", "3s"]).warmup,
        Duration::from_secs(3)
    );
}

#[test]
fn there_is_no_thread_without_a_connection() {
    assert_eq!(config(&["-c", "3"]).threads.get(), 3);
    refused(&["-c", "3", "-t", "4"], "--threads 4 needs");
    refused(&["-c", "3", "-t", "4"], "1 to 3");
}

#[test]
fn a_rate_makes_it_an_open_loop() {
    let pace = |line: &[&str]| config(line).pace;
    let constant = Pace::Open(Rate::Constant(2_000.0), Arrivals::Constant);
    assert_eq!(pace(&["-R", "2k"]), constant);
    assert_eq!(
        pace(&["-R", "1:2", "--arrivals", "poisson"]),
        Pace::Open(Rate::Ramp(1.0, 2.0), Arrivals::Poisson)
    );
    refused(&["-R", "2k", "--think", "1ms"], "drop one");
    refused(&["-R", "1:2", "-n", "9"], "needs --duration");
}

#[test]
fn each_protocol_has_its_flags() {
    let http = config(&["--protocol", "http", "--path", "/x", ":8080"]);
    let Protocol::Http(http) = http.protocol else {
        panic!("{:?}", http.protocol)
    };
    assert_eq!(
        (http.host.as_str(), http.path.as_str()),
        ("127.0.0.1:8080", "/x")
    );
    let line = [
        "--protocol",
        "exchange",
        "--send",
        "PING\\r\\n",
        "--until",
        "\\n",
    ];
    let Protocol::Exchange(exchange) = config(&line).protocol else {
        panic!("an exchange was asked for")
    };
    assert_eq!(exchange.send, b"PING\r\n");
    assert_eq!(exchange.ending, Ending::Until(b"\n".to_vec()));
    refused(&["--path", "/x"], "--path belongs to --protocol http");
    refused(
        &["--protocol", "http", "-s", "9"],
        "--size belongs to --protocol echo",
    );
    refused(&line[..4], "--until '\\n' or --expect N");
    refused(&["--protocol", "exchange"], "needs --send");
    refused(
        &["--protocol", "exchange", "--send", "x", "--until", ""],
        "use '\\n'",
    );
    let greeting = ["--protocol", "exchange", "--send", "", "--until", "\\n"];
    refused(&greeting, "--requests-per-conn 1");
}

#[test]
fn kinds_of_clients_are_shares() {
    let mixed = config(&["--profile", "echo=45,idle=5", "--slow-rate", "100"]);
    let names: Vec<_> = mixed.profiles.iter().map(|share| share.profile).collect();
    assert_eq!(names, [Profile::Echo, Profile::Idle]);
    assert_eq!(mixed.slow_bytes_per_s.get(), 100);
    let ramp = config(&["--ramp", "2s"]).starts;
    assert_eq!(ramp, Starts::Ramp(Duration::from_secs(2)));
    let scatter = config(&["--scatter", "2s"]).starts;
    assert_eq!(scatter, Starts::Scattered(Duration::from_secs(2)));
}

#[test]
fn a_run_that_would_never_end_is_refused() {
    let line = ["-n", "9", "--profile", "idle,half-open"];
    refused(&line, "add --duration");
    config(&["-n", "9", "-d", "1s", "--profile", "idle"]);
    config(&["-n", "9", "--profile", "idle,echo"]);
}

#[test]
fn several_servers_share_the_clients() {
    assert_eq!(config(&[":1", ":2"]).target(), "127.0.0.1:1,127.0.0.1:2");
}
