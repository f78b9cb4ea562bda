//! `loadgen sweep`: the same run over several values of one setting, by turns.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use cli::{Interrupt, units};
use loadgen::report::{Report, json};
use loadgen::sweep::{self, Best, Cell};

use super::args::{self, Over, Request};
use super::{PROGRAM, exit, fail, output, run};

/// More repeats than this are a mistake.
const MOST_REPEATS: u32 = 1_000;
const EXIT_CODES: &str = "\
Ctrl-C ends the sweep and shows what was done until then. Exit codes: 0 all ran, 1 could not run,
2 usage, 3 a gate failed in a run, 4 a run is invalid, 130 or 143 interrupted.";

/// Runs the load with several values of one setting and puts the results side by side
///
/// All flags of a run count; the setting that is swept takes the place of its own flag.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
#[group(skip)]
pub(super) struct Args {
    /// The setting and its values: connections=1,10,100 or connections=1..64 (doubling),
    /// size=64,1KiB, rate=1k,2k,5k
    #[arg(long, value_name = "SETTING=VALUES", help_heading = "Sweep")]
    over: Over,
    /// How often each value is run, to and fro (A B C C B A ...): 1 to 1000
    #[arg(long, value_name = "N", default_value = "1", help_heading = "Sweep", value_parser = units::count(1..=MOST_REPEATS))]
    repeats: u32,
    /// Keep each result in this directory as soon as its run has ended [default: nowhere]
    #[arg(long, value_name = "DIR", help_heading = "Sweep")]
    out: Option<PathBuf>,
    #[command(flatten)]
    run: args::Args,
}

/// What is to be run.
struct Job {
    setting: &'static str,
    /// The values, as people read them, and the run with each.
    requests: Vec<(String, Request)>,
    repeats: usize,
    out: Option<PathBuf>,
}

/// Runs the sweep.
pub(super) fn execute(args: Args) -> u8 {
    match job(args) {
        Ok(job) => job.execute(),
        Err(why) => cli::usage::refuse(PROGRAM, &why),
    }
}

fn job(args: Args) -> Result<Job, String> {
    let request = |(value, args): (String, args::Args)| Ok((value, single(args)?));
    let runs = args.over.apply(&args.run);
    let requests = runs
        .into_iter()
        .map(request)
        .collect::<Result<Vec<_>, String>>()?;
    if let Some((_, request)) = requests.first() {
        request.delivery.check_set()?;
    }
    Ok(Job {
        setting: args.over.name(),
        requests,
        repeats: usize::try_from(args.repeats).unwrap_or(1),
        out: args.out,
    })
}

/// The request for one of several runs: what makes sense once only is refused.
pub(super) fn single(args: args::Args) -> Result<Request, String> {
    let request = run::request(args)?;
    if request.processes > NonZeroU32::MIN {
        return Err("--processes is for a single run; leave it out, or use --threads".to_owned());
    }
    if request.config.start_at_unix_s.is_some() {
        return Err("--start-at is for a single run; leave it out".to_owned());
    }
    Ok(request)
}

impl Job {
    fn execute(&self) -> u8 {
        let interrupt = match Interrupt::install() {
            Ok(interrupt) => interrupt,
            Err(error) => return fail(&format!("cannot catch signals: {error}")),
        };
        let delivered = self
            .prepare()
            .and_then(|()| self.measure(&interrupt))
            .and_then(|(cells, order)| self.deliver(&cells, &order).map(|()| order));
        match delivered {
            Ok(reports) => code(&reports, interrupt.signal()),
            Err(why) => fail(&why),
        }
    }

    /// Sees to it before the first run that none will fail for a reason known beforehand.
    fn prepare(&self) -> Result<(), String> {
        for (value, request) in &self.requests {
            request.delivery.check()?;
            loadgen::preflight(&request.config, NonZeroU32::MIN)
                .map_err(|error| format!("{}={value}: {error}", self.setting))?;
        }
        let Some(out) = &self.out else { return Ok(()) };
        fs::create_dir_all(out).map_err(|error| format!("cannot make {}: {error}", out.display()))
    }

    /// The cells, and all reports in the order of the runs.
    fn measure(&self, interrupt: &Interrupt) -> Result<(Vec<Cell>, Vec<Report>), String> {
        let cell = |(value, _): &(String, Request)| Cell {
            value: value.clone(),
            runs: Vec::new(),
        };
        let mut cells: Vec<Cell> = self.requests.iter().map(cell).collect();
        let mut order = Vec::new();
        for turn in sweep::turns(self.requests.len(), self.repeats) {
            if interrupt.signal().is_some() {
                break;
            }
            let (value, request) = &self.requests[turn];
            let report = run::alone(request, interrupt)
                .map_err(|why| format!("{}={value}: {why}", self.setting))?;
            let number = cells[turn].runs.len() + 1;
            self.keep(&format!("{}-{value}-{number}", self.setting), &report)?;
            cells[turn].runs.push(report.clone());
            order.push(report);
        }
        Ok((cells, order))
    }

    fn keep(&self, name: &str, report: &Report) -> Result<(), String> {
        let Some(out) = &self.out else { return Ok(()) };
        let file = Path::new(out).join(format!("{name}.json"));
        output::write(&file, &json::render(report))
            .map_err(|error| format!("cannot write {}: {error}", file.display()))
    }

    fn deliver(&self, cells: &[Cell], reports: &[Report]) -> Result<(), String> {
        let best = match self.setting {
            "connections" => Best::Rate,
            _ => Best::Nobody,
        };
        let table = sweep::render(self.setting, cells, best);
        match self.requests.first() {
            Some((_, request)) => request.delivery.deliver_set(reports, &table),
            None => Ok(()),
        }
    }
}

/// The worst of the runs' exit codes; an interruption first.
fn code(reports: &[Report], signal: Option<u8>) -> u8 {
    match signal {
        Some(signal) => cli::exit::interrupted(signal),
        None => {
            let codes = reports.iter().map(|report| exit::code(report, None));
            codes.max().unwrap_or(cli::exit::SUCCESS)
        }
    }
}
