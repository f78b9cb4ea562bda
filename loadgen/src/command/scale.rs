//! The flags of a run that is larger than one process or one address of this machine.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroUsize};

use cli::units;
use loadgen::{Config, StartAt};

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
    /// How many processes are asked for.
    pub(super) fn processes(&self) -> NonZeroU32 {
        NonZeroU32::new(self.processes).unwrap_or(NonZeroU32::MIN)
    }

    /// Puts what was typed into `config`.
    ///
    /// # Errors
    ///
    /// What does not go together, or what the environment does not say, in one line.
    pub(super) fn apply(&self, config: &mut Config, now: &Surroundings<'_>) -> Result<(), String> {
        config.bind.clone_from(&self.bind);
        if let Some(choice) = self.shard {
            config.shard = choice.part(now.lookup)?;
        }
        let start = self.start_at.map(|start| start.moment(now.unix_s));
        config.start_at_unix_s = start.transpose().map_err(|why| why.to_string())?;
        let parts = u64::from(config.shard.count.get()) * u64::from(self.processes);
        let (_, requests) = config.stop.limits();
        enough("--connections", config.connections.get().into(), parts)?;
        enough("--requests", requests.map_or(u64::MAX, u64::from), parts)?;
        let own = usize::try_from(config.own_connections()).ok();
        let most = own.and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
        config.threads = config.threads.min(most);
        Ok(())
    }
}

/// What a command line means depends on this, when it says so.
pub(super) struct Surroundings<'a> {
    /// The wall clock in seconds since 1970.
    pub(super) unix_s: f64,
    /// The variables of the environment.
    pub(super) lookup: &'a dyn Fn(&str) -> Option<String>,
}

/// Whether each of `parts` can have one.
fn enough(flag: &str, typed: u64, parts: u64) -> Result<(), String> {
    if typed >= parts {
        return Ok(());
    }
    Err(format!(
        "{flag} {typed} is less than one for each of {parts} generators; raise it, or lower \
         --processes or the N of --shard"
    ))
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

    fn applied(typed: &[&str]) -> Result<Config, String> {
        let mut config = Config::new(cli::Addr::default());
        let job = |name: &str| (name == "SLURM_PROCID").then(|| "1".to_owned());
        let now = Surroundings {
            unix_s: 10.0,
            lookup: &job,
        };
        scale(typed)?.apply(&mut config, &now)?;
        Ok(config)
    }

    #[test]
    fn without_flags_it_is_one_process_with_all_clients_at_once() {
        assert_eq!(scale(&[]).unwrap().processes().get(), 1);
        assert_eq!(applied(&[]), Ok(Config::new(cli::Addr::default())));
    }

    #[test]
    fn each_flag_is_read() {
        let typed = [
            "--bind",
            "127.0.0.2,::1",
            "--shard",
            "auto/2",
            "--start-at",
            "+2s",
        ];
        let config = applied(&typed).unwrap();
        assert_eq!(config.bind.len(), 2);
        assert_eq!((config.shard.index, config.own_connections()), (1, 25));
        assert_eq!(config.start_at_unix_s, Some(12.0));
    }

    #[test]
    fn nobody_is_left_without_a_client() {
        assert!(applied(&["--processes", "50"]).is_ok());
        let why = applied(&["--processes", "10", "--shard", "0/6"]).unwrap_err();
        assert!(
            why.contains("--connections 50") && why.contains("60 generators"),
            "{why}"
        );
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
