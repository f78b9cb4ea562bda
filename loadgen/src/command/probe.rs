//! `loadgen probe`: finds out what a server can do.

use std::time::Duration;

use cli::{Addr, Format, Interrupt, units};
use loadgen::probe::{self, Config, Findings, Kind, Stage, text};

use super::args::ProtocolFlags;
use super::{PROGRAM, fail, progress};

/// More clients of a kind, or more that wait, are a load and no probe.
const MOST: u32 = 100_000;
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_IDLE: Duration = Duration::from_secs(3_600);
const EXIT_CODES: &str = "\
It fills the server for a moment: whoever else uses it has to wait. Exit codes: 0 found out, 1
nobody answers, 2 usage, 130 or 143 interrupted: what was not found out is missing.";

/// Finds out how many clients a server serves at once, how many more wait, and what the next sees
///
/// Three kinds of clients are added one by one, and after each a further client asks for an answer:
/// clients that say nothing, clients that keep the connection after an answer, and clients that
/// send their request byte by byte.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(super) struct Args {
    /// The server: host:port, [v6]:port, :port (127.0.0.1) or unix:/path
    #[arg(value_name = "ADDR", value_parser = Addr::parse_target, default_value_t)]
    target: Addr,
    #[command(flatten)]
    protocol: ProtocolFlags,
    /// The most clients of a kind that are tried: 1 to 100000
    #[arg(long, value_name = "N", default_value = "64", help_heading = "Probe", value_parser = units::count(1..=MOST))]
    most: u32,
    /// The most clients that are made to wait: 0 to 100000
    #[arg(long, value_name = "N", default_value = "600", help_heading = "Probe", value_parser = units::count(0..=MOST))]
    queue: u32,
    /// How long a client waits at least before it is suspected not to be served: 1ms to 1m
    #[arg(long, value_name = "TIME", default_value = "300ms", help_heading = "Probe", value_parser = units::duration(SHORTEST..=LONGEST_PATIENCE))]
    patience: Duration,
    /// How long idle connections are watched for being closed: 1ms to 1h
    #[arg(long, value_name = "TIME", default_value = "3s", help_heading = "Probe", value_parser = units::duration(SHORTEST..=LONGEST_IDLE))]
    idle: Duration,
    /// Where the bytes of an echo come from: any whole number from 0 to 2^64-1
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Probe", value_parser = units::count(0..=u64::MAX))]
    seed: u64,
    /// The form of the findings
    #[arg(long, help_heading = "Probe", default_value_t)]
    format: Format,
}

/// Probes the server and shows what was found out.
pub(super) fn execute(args: Args) -> u8 {
    let protocol = match args.protocol.into_protocol(&args.target) {
        Ok(protocol) => protocol,
        Err(why) => return cli::usage::refuse(PROGRAM, &why),
    };
    let config = Config {
        target: args.target,
        protocol,
        most_clients: args.most,
        most_waiting: args.queue,
        patience: args.patience,
        idle: args.idle,
        seed: args.seed,
    };
    let interrupt = match Interrupt::install() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&format!("cannot catch signals: {error}")),
    };
    let line = progress::line();
    let found = probe::run(&config, &interrupt, &mut |stage| {
        line.set_message(at(stage));
        line.tick();
    });
    line.finish_and_clear();
    match found {
        Ok(findings) => deliver(&findings, args.format, interrupt.signal()),
        Err(error) => fail(&error),
    }
}

fn deliver(findings: &Findings, format: Format, signal: Option<u8>) -> u8 {
    let shown = match format {
        Format::Text => text::render(findings),
        Format::Json => text::document(findings),
    };
    if let Err(error) = cli::stdout::emit(&shown) {
        return fail(&format!("cannot write stdout: {error}"));
    }
    match signal.filter(|_| findings.interrupted) {
        Some(signal) => cli::exit::interrupted(signal),
        None => cli::exit::SUCCESS,
    }
}

const fn at(stage: Stage) -> &'static str {
    match stage {
        Stage::Reach => "does it answer?",
        Stage::Room(Kind::Silent) => "how many silent clients?",
        Stage::Room(Kind::Kept) => "how many kept clients?",
        Stage::Room(Kind::Slow) => "how many slow clients?",
        Stage::Queue => "how many wait?",
        Stage::HalfClose => "does it half-close?",
        Stage::Idle => "when does it close idle connections?",
    }
}
