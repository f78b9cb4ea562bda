//! The flags of a run that is larger than one process or one address of this machine.

use std::net::IpAddr;
use std::num::NonZeroU32;

use cli::units;
use loadgen::{Shard, StartAt};

use super::shard::Choice;

/// More processes than this on one machine help nobody.
const MAX_PROCESSES: u32 = 1_024;

/// Where connections come from, and who else makes some.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Scale")]
pub(super) struct Scale {
    /// Addresses of this machine that connections come from, in turn; each can have as many
    /// connections to a target as there are local ports, 28232 by default
    #[arg(long, value_name = "IP,...", value_delimiter = ',')]
    bind: Vec<IpAddr>,
    /// Share the clients among this many processes: 1 to 1024; for more connections than one process
    /// may have descriptors; --threads is then meant for each of them
    #[arg(long, value_name = "N", default_value = "1", value_parser = units::count(1..=MAX_PROCESSES))]
    processes: u32,
    /// Play only part I of N of the clients, from 0/N to N-1/N; `auto` takes both from the launcher
    /// (OMPI_COMM_WORLD_RANK and _SIZE, SLURM_PROCID and SLURM_NTASKS, JOB_COMPLETION_INDEX and
    /// JOB_COMPLETIONS), `auto/N` only the part; without this flag the environment changes nothing
    #[arg(long, value_name = "I/N")]
    shard: Option<Choice>,
    /// Begin at this time by the wall clock, such as 2026-01-02T03:04:05Z, 1767323045.5 (seconds
    /// since 1970) or +5s from now; for generators that begin together
    #[arg(long, value_name = "TIME")]
    start_at: Option<StartAt>,
}

impl Scale {
    /// Where connections come from.
    pub(super) fn bind(&self) -> &[IpAddr] {
        &self.bind
    }

    /// How many processes are asked for.
    pub(super) fn processes(&self) -> NonZeroU32 {
        NonZeroU32::new(self.processes).unwrap_or(NonZeroU32::MIN)
    }

    /// Which part of the clients is asked for, with the variables of the environment from `lookup`.
    ///
    /// # Errors
    ///
    /// What the environment does not say, in one line.
    pub(super) fn shard(&self, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Shard, String> {
        self.shard
            .map_or(Ok(Shard::default()), |choice| choice.part(lookup))
    }

    /// When the run is to begin, in seconds since 1970, when it is `now_unix_s`.
    ///
    /// # Errors
    ///
    /// Why it cannot begin then, in one line.
    pub(super) fn start(&self, now_unix_s: f64) -> Result<Option<f64>, String> {
        let start = self.start_at.map(|start| start.moment(now_unix_s));
        start.transpose().map_err(|why| why.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        scale: Scale,
    }

    fn scale(typed: &[&str]) -> Result<Scale, String> {
        let line = Line::try_parse_from(["loadgen"].iter().chain(typed));
        line.map(|line| line.scale).map_err(|why| why.to_string())
    }

    #[test]
    fn without_flags_it_is_one_process_with_all_clients_at_once() {
        let scale = scale(&[]).unwrap();
        assert_eq!(scale.processes().get(), 1);
        let job = |name: &str| (name == "SLURM_PROCID").then(|| "1".to_owned());
        assert_eq!(scale.shard(&job), Ok(Shard::default()));
        assert_eq!((scale.start(0.0), scale.bind()), (Ok(None), &[][..]));
    }

    #[test]
    fn each_flag_is_read() {
        let scale = scale(&[
            "--bind",
            "127.0.0.2,::1",
            "--shard",
            "1/2",
            "--start-at",
            "+2s",
        ]);
        let scale = scale.unwrap();
        assert_eq!(scale.bind().len(), 2);
        assert_eq!(scale.shard(&|_| None).map(|shard| shard.index), Ok(1));
        assert_eq!(scale.start(10.0), Ok(Some(12.0)));
    }

    #[test]
    fn mistakes_name_what_is_possible() {
        for (typed, wanted) in [
            (["--processes", "0"], "from 1 to 1024"),
            (["--shard", "4/4"], "I from 0 to N-1"),
            (["--start-at", "noon"], "+5s for five seconds from now"),
            (["--bind", "localhost"], "localhost"),
        ] {
            let why = scale(&typed).unwrap_err();
            assert!(why.contains(wanted) && why.contains(typed[1]), "{why}");
        }
    }
}
