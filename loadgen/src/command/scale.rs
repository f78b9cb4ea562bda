//! The flags of a run that is larger than one process or one address of this machine.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use cli::units;
use loadgen::{Config, StartAt};

use super::bind::Block;
use super::shard::Choice;

/// More processes than this on one machine help nobody.
const MAX_PROCESSES: u32 = 1_024;

/// Where connections come from, and who else makes some.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Scale")]
pub(super) struct Scale {
    /// Addresses of this machine that connections come from, in turn, such as 10.0.0.5,
    /// 127.0.0.1-127.0.0.80 or 127.0.1.0/25; each can have as many connections to a target as there
    /// are local ports, 28232 by default, and half as many quickly [default: the kernel's choice; to
    /// 127.0.0.0/8, as many addresses of it as that takes]
    #[arg(long, value_name = "IP,...", value_delimiter = ',')]
    bind: Vec<Block>,
    /// Share the clients among this many processes: 1 to 1024, or auto for as many as the limit on
    /// descriptors demands; --threads is then meant for each of them
    #[arg(long, value_name = "N", default_value = "1")]
    processes: Processes,
    /// Play only part I of N of the clients, from 0/N to N-1/N; `auto` takes both from the launcher
    /// (OMPI_COMM_WORLD_RANK and _SIZE, SLURM_PROCID and SLURM_NTASKS, JOB_COMPLETION_INDEX and
    /// JOB_COMPLETIONS), `auto/N` only the part; without this flag the environment changes nothing
    #[arg(long, value_name = "I/N")]
    shard: Option<Choice>,
    /// Begin at this time by the wall clock, such as 2026-01-02T03:04:05Z, 1767323045.5 (seconds
    /// since 1970) or +5s from now; for generators that begin together
    #[arg(long, value_name = "TIME")]
    start_at: Option<StartAt>,
    /// Leave it to another process to look at the server from outside
    #[arg(long, hide = true)]
    no_witness: bool,
}

/// How many processes share the clients, as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Processes {
    /// So many.
    Count(NonZeroU32),
    /// As many as this machine's limits demand.
    Auto,
}

impl FromStr for Processes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let count = units::count(1..=MAX_PROCESSES)(text);
        let count = count.map_err(|why| format!("{why}, or auto"))?;
        Ok(Self::Count(
            NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN),
        ))
    }
}

impl Scale {
    /// How many processes share the clients of `config`.
    fn processes(&self, config: &Config) -> NonZeroU32 {
        match self.processes {
            Processes::Count(count) => count,
            Processes::Auto => {
                let most = NonZeroU32::new(MAX_PROCESSES).unwrap_or(NonZeroU32::MIN);
                loadgen::processes(config).min(most)
            }
        }
    }

    /// Puts what was typed into `config`, and returns how many processes share its clients.
    ///
    /// # Errors
    ///
    /// What does not go together, or what the environment does not say, in one line.
    pub(super) fn apply(
        &self,
        config: &mut Config,
        now: &Surroundings<'_>,
    ) -> Result<NonZeroU32, String> {
        let addresses = self.bind.iter().copied().flat_map(Block::addresses);
        config.bind = addresses.collect();
        config.witness = !self.no_witness;
        if let Some(choice) = self.shard {
            config.shard = choice.part(now.lookup)?;
        }
        let start = self.start_at.map(|start| start.moment(now.unix_s));
        config.start_at_unix_s = start.transpose().map_err(|why| why.to_string())?;
        let processes = self.processes(config);
        let parts = u64::from(config.shard.count.get()) * u64::from(processes.get());
        let (_, requests) = config.stop.limits();
        enough("--connections", config.connections.get().into(), parts)?;
        enough("--requests", requests.map_or(u64::MAX, u64::from), parts)?;
        let own = usize::try_from(config.own_connections()).ok();
        let most = own.and_then(NonZeroUsize::new).unwrap_or(NonZeroUsize::MIN);
        config.threads = config.threads.min(most);
        Ok(processes)
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
        let config = Config::new(cli::Addr::default());
        assert_eq!(scale(&[]).unwrap().processes(&config).get(), 1);
        assert_eq!(applied(&[]), Ok(Config::new(cli::Addr::default())));
    }

    #[test]
    fn each_flag_is_read() {
        let typed = [
            "--bind",
            "127.0.0.2-127.0.0.9,127.0.1.0/30,::1",
            "--shard",
            "auto/2",
            "--start-at",
            "+2s",
        ];
        let config = applied(&typed).unwrap();
        assert_eq!(config.bind.len(), 8 + 4 + 1);
        assert_eq!((config.shard.index, config.own_connections()), (1, 25));
        assert_eq!(config.start_at_unix_s, Some(12.0));
    }

    #[test]
    fn as_many_processes_as_the_descriptors_demand_are_started() {
        let auto = scale(&["--processes", "auto"]).unwrap();
        let mut config = Config::new(cli::Addr::default());
        assert_eq!(auto.processes(&config).get(), 1);
        config.connections = NonZeroU32::new(loadgen::MAX_CONNECTIONS).unwrap();
        let needed = auto.processes(&config);
        let (enough, less) = (needed, NonZeroU32::new(needed.get() - 1));
        let fits = |processes| loadgen::preflight(&config, processes).is_ok();
        assert!(fits(enough) && !less.is_some_and(fits), "{needed}");
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
            (["--processes", "many"], "or auto"),
            (["--shard", "4/4"], "I from 0 to N-1"),
            (["--start-at", "noon"], "+5s for five seconds from now"),
            (["--bind", "localhost"], "localhost"),
        ] {
            let why = scale(&typed).unwrap_err();
            assert!(why.contains(wanted) && why.contains(typed[1]), "{why}");
        }
    }
}
