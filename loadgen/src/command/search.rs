//! `loadgen search`: the largest rate that keeps all promises.

use std::num::NonZeroU32;
use std::time::Duration;

use cli::{Interrupt, units};
use loadgen::search::{self, Conclusion, Document, Plan, Search, Step};

use super::args::{self, Request, constant_rate};
use super::output::Form;
use super::{PROGRAM, fail, run, sweep};

/// The window of each run where nothing is said: there are many.
const WINDOW: Duration = Duration::from_secs(3);
const PRECISIONS: std::ops::RangeInclusive<f64> = 0.001..=1.0;
const MOST_REPEATS: u32 = 99;
/// No promise was kept at any rate.
const NO_RATE: u8 = 3;
const EXIT_CODES: &str = "\
Exit codes: 0 found, 1 could not run, 2 usage, 3 no rate keeps the promises or none is certain, 130
or 143 interrupted.";

/// Searches for the largest rate that keeps all promises, and says what bounds it
///
/// It doubles the rate until a promise breaks, bisects, and repeats what it found. All flags of a
/// run count but --rate; each run is 3s long unless -d or -n say otherwise.
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
#[group(skip)]
pub(super) struct Args {
    /// The first rate per second, over all clients
    #[arg(long, value_name = "RATE", default_value = "1k", help_heading = "Search", value_parser = constant_rate)]
    from: f64,
    /// The highest rate that is tried
    #[arg(long, value_name = "RATE", default_value = "10M", help_heading = "Search", value_parser = constant_rate)]
    to: f64,
    /// How close the rate that holds must be to one that does not: 0.1% to 100%
    #[arg(long, value_name = "SHARE", default_value = "5%", help_heading = "Search", value_parser = share)]
    precision: f64,
    /// How often the rate that was found is repeated; the majority decides: 1 to 99
    #[arg(long, value_name = "N", default_value = "3", help_heading = "Search", value_parser = units::count(1..=MOST_REPEATS))]
    repeats: u32,
    #[command(flatten)]
    run: args::Args,
}

/// `5%` or `0.05`.
fn share(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.parse().map(|percent: f64| percent / 100.0),
        None => text.parse(),
    };
    let value = value.ok().filter(|value| PRECISIONS.contains(value));
    value.ok_or_else(|| "must be a share from 0.1% to 100%, such as 5% or 0.05".to_owned())
}

/// Searches.
pub(super) fn execute(args: Args) -> u8 {
    let plan = Plan {
        from_per_s: args.from,
        most_per_s: args.to,
        precision: args.precision,
        repeats: args.repeats,
    };
    match check(&args) {
        Err(why) => cli::usage::refuse(PROGRAM, &why),
        Ok(request) => match search(&args.run.or_duration(WINDOW), plan, &request) {
            Ok(code) => code,
            Err(why) => fail(&why),
        },
    }
}

/// The request for the first run.
fn check(args: &Args) -> Result<Request, String> {
    if args.run.has_rate() {
        return Err("--rate is what is searched for; use --from for the first one".to_owned());
    }
    if args.from > args.to {
        return Err(format!("--from {} is above --to {}", args.from, args.to));
    }
    let request = sweep::single(args.run.clone().or_duration(WINDOW).with_rate(args.from))?;
    if request.promises.is_empty() {
        return Err("a search needs a promise to keep; add --slo 'p99<5ms'".to_owned());
    }
    if !matches!(request.delivery.form(), Form::Text | Form::Json) {
        return Err("--format of a search is text or json".to_owned());
    }
    if request.delivery.has_more() {
        return Err("--csv, --hdr-log and --timeseries are for a single run".to_owned());
    }
    Ok(request)
}

fn search(args: &args::Args, plan: Plan, first: &Request) -> Result<u8, String> {
    let interrupt =
        Interrupt::install().map_err(|error| format!("cannot catch signals: {error}"))?;
    first.delivery.check()?;
    loadgen::preflight(&first.config, NonZeroU32::MIN).map_err(|error| error.to_string())?;
    let mut search = Search::new(plan);
    let conclusion = loop {
        match search.next() {
            Step::Done(conclusion) => break Some(conclusion),
            Step::Try(_, rate) => {
                let request = sweep::single(args.clone().with_rate(rate))?;
                let report = run::alone(&request, &interrupt)?;
                if interrupt.signal().is_some() {
                    break None;
                }
                let ceiling = request.config.ceiling.as_ref();
                search.observe(search::observe(&report, ceiling));
            }
        }
    };
    let promises = first.promises.iter().map(|p| p.name().to_owned());
    let document = search::document(
        first.config.target(),
        promises.collect(),
        search.runs(),
        conclusion.as_ref(),
    );
    first
        .delivery
        .write(&shown(&document, first.delivery.form()))?;
    Ok(match (conclusion, interrupt.signal()) {
        (None, Some(signal)) => cli::exit::interrupted(signal),
        (Some(Conclusion::UpTo(..)), _) => cli::exit::SUCCESS,
        _ => NO_RATE,
    })
}

fn shown(document: &Document, form: Form) -> String {
    match form {
        Form::Json => {
            let text = serde_json::to_string_pretty(document);
            format!("{}\n", text.expect("the document has only string keys"))
        }
        _ => search::render(document),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_precision_is_a_share() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.1"), Ok(0.1));
        for wrong in ["", "0", "-5%", "101%", "nan", "x"] {
            assert!(share(wrong).unwrap_err().contains("5%"), "{wrong}");
        }
    }
}
