//! All generators, as the lab sees them: they begin together, and are waited for together.

use std::io;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use loadgen::merge::{Mixed, Part, merge};
use loadgen::report::Report;

use super::generator::{Far, GENERATOR, Order, Task, Word};
use crate::bench::{Bench, Failure};
use crate::part::now_s;
use crate::player::Player;
use crate::process::ServerProcess;

/// How long a generator may take to close its connections before it reports.
const REPORT_LIMIT: Duration = Duration::from_secs(120);

/// How long something is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// In all.
    pub(super) limit: Duration,
    /// While nothing changes.
    pub(super) standstill: Duration,
}

/// The generators.
#[derive(Debug)]
pub(super) struct Crowd {
    members: Vec<Member>,
    began_s: f64,
}

#[derive(Debug)]
struct Member {
    player: Player,
    /// Its clients.
    own: u32,
    far: Far,
}

/// How far all have come, and when the last of them had.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) count: u32,
    pub(super) after_s: f64,
}

impl Crowd {
    /// Starts `generators` processes that will play `clients` clients of `server`.
    pub(super) fn start(
        bench: &Bench,
        server: &ServerProcess,
        clients: NonZeroU32,
        generators: NonZeroU32,
    ) -> Result<Self, Failure> {
        let start = |index| {
            let task = Task {
                server: server.ready.addr,
                clients,
                index,
                generators,
                seed: bench.seed,
            };
            let mut command = bench.launcher.part(GENERATOR.name);
            let task_text = serde_json::to_string(&task).map_err(io::Error::other)?;
            let player = Player::start(command.arg(task_text))?;
            let shard = loadgen::Shard {
                index,
                count: generators,
            };
            Ok(Member {
                player,
                own: shard.part(clients.get()),
                far: Far::default(),
            })
        };
        let members: io::Result<Vec<Member>> = (0..generators.get()).map(start).collect();
        let mut members = members.map_err(Failure::system("start the generators"))?;
        let ready = members.iter_mut().try_for_each(Member::is_ready);
        ready.map_err(Failure::system("start the generators"))?;
        Ok(Self {
            members,
            began_s: now_s(),
        })
    }

    /// The processes.
    pub(super) fn pids(&self) -> Vec<u32> {
        let players = self.members.iter().map(|member| &member.player);
        players.map(Player::pid).collect()
    }

    /// Tells all of them.
    pub(super) fn tell(&mut self, order: Order) -> Result<(), Failure> {
        self.began_s = now_s();
        let mut players = self.members.iter_mut().map(|member| &mut member.player);
        let told = players.try_for_each(|player| player.tell(&order));
        told.map_err(Failure::system("talk to the generators"))
    }

    /// Waits until all clients have come as far as `of` counts, or until patience ends.
    pub(super) fn until(
        &mut self,
        bench: &mut Bench,
        of: fn(&Far) -> u32,
        patience: Patience,
    ) -> Result<Sum, Failure> {
        let (mut moved, start) = (Instant::now(), Instant::now());
        let (mut last, mut told) = (0, 0);
        let all: u32 = self.members.iter().map(|member| member.own).sum();
        loop {
            bench.go_on()?;
            let behind = self.members.iter_mut().filter(|one| of(&one.far) < one.own);
            let mut behind = behind.peekable();
            if behind.peek().is_none() {
                break;
            }
            let heard = behind.map(Member::hear).collect::<io::Result<Vec<_>>>();
            heard.map_err(Failure::system("hear the generators"))?;
            let sum = self.sum(of).count;
            if sum > last {
                (last, moved) = (sum, Instant::now());
            }
            let tenths = u64::from(sum) * 10 / u64::from(all.max(1));
            if tenths > told {
                told = tenths;
                bench.narrator.now(&format!("{sum} clients"));
            }
            if moved.elapsed() >= patience.standstill || start.elapsed() >= patience.limit {
                break;
            }
        }
        Ok(self.sum(of))
    }

    fn sum(&self, of: fn(&Far) -> u32) -> Sum {
        let began_s = self.began_s;
        let moments = self.members.iter().map(|member| member.far.at_s - began_s);
        Sum {
            count: self.members.iter().map(|member| of(&member.far)).sum(),
            after_s: moments.fold(0.0, f64::max),
        }
    }

    /// Ends all, and adds up what they found.
    pub(super) fn end(mut self) -> Result<Report, Failure> {
        self.tell(Order::End)?;
        let mut parts = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            let report = member.report();
            parts.push(Part {
                name: format!("generator {index}"),
                report: report.map_err(Failure::system("hear the generators' reports"))?,
            });
        }
        let sum = merge(&parts, Mixed::Add, &[]).map_err(io::Error::other);
        sum.map_err(Failure::system("add the reports up"))
    }
}

impl Member {
    fn is_ready(&mut self) -> io::Result<()> {
        match self.player.says()? {
            Word::Ready => Ok(()),
            word => Err(io::Error::other(format!("unexpected: {word:?}"))),
        }
    }

    /// The next word of how far it has come; it says one every second at least.
    fn hear(&mut self) -> io::Result<()> {
        match self.player.says()? {
            Word::Far(far) => {
                self.far = far;
                Ok(())
            }
            word => Err(io::Error::other(format!("unexpected: {word:?}"))),
        }
    }

    fn report(&mut self) -> io::Result<Report> {
        let start = Instant::now();
        loop {
            match self.player.says() {
                Ok(Word::Report(report)) => return Ok(*report),
                Ok(Word::Ready | Word::Far(_)) => {}
                // It is alive as long as its stdout is open.
                Err(error)
                    if error.kind() == io::ErrorKind::TimedOut
                        && start.elapsed() < REPORT_LIMIT => {}
                Err(error) => return Err(error),
            }
        }
    }
}
