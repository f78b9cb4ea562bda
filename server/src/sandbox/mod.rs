//! A worker that is broken cannot hurt the machine: what it does not need is taken from it before
//! it serves a byte, and before it has a second thread, since most of this holds for a thread and
//! those that it starts.
//!
//! ```text
//! capabilities ─▶ death with the master ─▶ no new privileges ─▶ limits ─▶ Landlock ─▶ seccomp ─▶ ready
//! ```
//!
//! Each layer takes away what installing the next does not need. Landlock and the list of calls
//! close the same doors twice, but for UDP, which the list alone does.
//!
//! What is refused is reported to the master and fails with `EPERM`. The worker lives on, and so do
//! its clients: a fault that one client provokes is no way to end the connections of the others.

mod calls;
mod filter;
mod layers;
mod level;

use std::fmt;
use std::io;
use std::thread;

use rustix::thread::set_no_new_privs;
use serde::{Deserialize, Serialize};
use tracing::{debug, warn};

pub(crate) use self::calls::is_looked_up;
use self::filter::Filters;
pub(crate) use self::filter::name;
pub(crate) use self::level::Layer;
pub use self::level::SandboxLevel;
use crate::config::Config;
use crate::mode::Inner;
use crate::run::RunError;
use crate::sys::seccomp::{self, Reports};

/// Whether the workers of a pool are locked in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// They may do what the server may.
    #[default]
    Off,
    /// As far as this machine and the mode let it be.
    BestEffort,
    /// In full, or the server does not start.
    Require,
}

/// How far a thread is locked in.
#[derive(Debug, Default)]
pub(crate) struct Confined {
    pub(crate) level: SandboxLevel,
    /// Where the calls are that it makes in vain.
    pub(crate) reports: Option<Reports>,
    /// What is missing, and why.
    lacks: Vec<Lack>,
    last: Option<seccompiler::BpfProgram>,
}

/// A layer that cannot be had.
#[derive(Debug)]
pub(crate) struct Lack {
    layer: Layer,
    why: String,
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, why } = self;
        let what = match layer {
            Layer::Capabilities => "the end of root's rights",
            Layer::NoNewPrivileges => "the end of new privileges (PR_SET_NO_NEW_PRIVS)",
            Layer::Limits => "limits of its own",
            Layer::Files => "closed files (Landlock, ABI 3)",
            Layer::Tcp => "closed TCP (Landlock, ABI 4: Linux 6.7)",
            Layer::Scopes => "closed ways to other processes (Landlock, ABI 6: Linux 6.12)",
            Layer::Calls => "a list of system calls (seccomp)",
            Layer::Reports => "reports of refused system calls (seccomp)",
        };
        write!(f, "{what}: {why}")
    }
}

/// What the workers of such a server can have of a sandbox, as far as their mode lets them.
fn goal(inside: Inner) -> SandboxLevel {
    let left_open: SandboxLevel = match inside {
        // The ring works on what it is given, whatever the filter thinks of it.
        Inner::IoUring => Layer::Calls.into(),
        // A program is loaded for each connection.
        Inner::ProcessPerConnection => [Layer::Files, Layer::Calls].into_iter().collect(),
        Inner::Sequential
        | Inner::ThreadPerConnection
        | Inner::ThreadPool
        | Inner::Rayon
        | Inner::ReadyPool
        | Inner::Async
        | Inner::Epoll => SandboxLevel::default(),
    };
    SandboxLevel::full().without(left_open)
}

/// Whether workers of that kind can be locked in for good.
pub(crate) fn is_tight(inside: Inner) -> bool {
    goal(inside) == SandboxLevel::full()
}

/// How far the workers of such a server can be locked in on this machine. It is found out by doing it to a thread that
/// ends then.
///
/// # Errors
///
/// [`RunError::Sandbox`] where that is not as far as it is required, and [`RunError::System`] when
/// it cannot be found out just now.
pub fn probe_sandbox(config: &Config) -> Result<SandboxLevel, RunError> {
    if config.sandbox == Sandbox::Off {
        return Ok(SandboxLevel::default());
    }
    let confined = thread::scope(|scope| {
        let thread = thread::Builder::new().name("probe".into());
        let tried = thread.spawn_scoped(scope, || Confined {
            // Nobody would take them, and who waits for that would wait for ever.
            reports: None,
            ..confine(config, || {})
        })?;
        let panicked = |_| io::Error::other("the probe of the sandbox panicked");
        tried.join().map_err(panicked)
    })?;
    // Limits hold for a process, and lowering them does not fail.
    let level = confined.level.with(Layer::Limits.into());
    for lack in confined.lacks {
        if config.sandbox == Sandbox::Require {
            let lack = lack.to_string();
            return Err(RunError::Sandbox { lack });
        }
        warn!("--sandbox best-effort: the workers go without {lack}");
    }
    Ok(level)
}

/// Locks this process in, which has but one thread, as far as it is asked for. To be called when
/// everything is open that it needs; [`Confined::close`] is the last step. `without_rights` is called
/// once it has no right of root any more, and can still do what its list does not hold.
///
/// # Errors
///
/// When a layer that is required cannot be had.
pub(crate) fn enter(config: &Config, without_rights: impl FnOnce()) -> io::Result<Confined> {
    let bounded = layers::bound(config);
    let mut confined = confine(config, without_rights);
    confined.note(Layer::Limits.into(), &[Layer::Limits], bounded);
    for lack in &confined.lacks {
        debug!("no sandbox of this kind: {lack}");
    }
    match confined.lacks.first() {
        Some(lack) if config.sandbox == Sandbox::Require => Err(io::Error::other(format!(
            "--sandbox require: this worker cannot have {lack}"
        ))),
        _ => Ok(confined),
    }
}

/// The layers of a thread.
fn confine(config: &Config, without_rights: impl FnOnce()) -> Confined {
    let goal = goal(config.plan().inside);
    let mut confined = Confined::default();
    let capabilities = layers::drop_capabilities();
    confined.note(
        Layer::Capabilities.into(),
        &[Layer::Capabilities],
        capabilities,
    );
    without_rights();
    let privileges = set_no_new_privs(true);
    confined.note(
        Layer::NoNewPrivileges.into(),
        &[Layer::NoNewPrivileges],
        privileges,
    );
    let files = goal.has(Layer::Files);
    let closed = layers::landlock(files);
    let level = closed
        .as_ref()
        .map_or_else(|_| SandboxLevel::default(), |level| *level);
    let all = [Layer::Files, Layer::Tcp, Layer::Scopes];
    confined.note(level, &all[usize::from(!files)..], closed);
    confined.filter(config);
    confined.level = confined.level.without(SandboxLevel::full().without(goal));
    confined
}

impl Confined {
    /// Notes which of `wanted` are there.
    fn note<T>(
        &mut self,
        level: SandboxLevel,
        wanted: &[Layer],
        outcome: Result<T, impl fmt::Display>,
    ) {
        let (level, why) = match outcome {
            Ok(_) => (level, "this kernel is too old".to_owned()),
            Err(error) => (SandboxLevel::default(), error.to_string()),
        };
        self.level = self.level.with(level);
        let missing = wanted.iter().filter(|layer| !level.has(**layer));
        self.lacks.extend(missing.map(|layer| Lack {
            layer: *layer,
            why: why.clone(),
        }));
    }

    /// Installs the list of calls.
    fn filter(&mut self, config: &Config) {
        let filters = match Filters::of(config) {
            Ok(filters) => filters,
            Err(error) => {
                return self.note::<()>(SandboxLevel::default(), &[Layer::Calls], Err(error));
            }
        };
        let unseen = seccomp::install(&filters.unseen);
        let reporting = unseen.and_then(|()| seccomp::install_reporting(&filters.reporting));
        match reporting {
            Ok(reports) => {
                let both = [Layer::Calls, Layer::Reports].into_iter().collect();
                self.level = self.level.with(both);
                self.reports = Some(reports);
            }
            Err(error) => {
                self.note::<()>(SandboxLevel::default(), &[Layer::Reports], Err(error));
                let silent = seccomp::install(&filters.silent);
                self.note(Layer::Calls.into(), &[Layer::Calls], silent);
            }
        }
        self.last = Some(filters.last);
    }

    /// The last step: takes away what the others needed.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub(crate) fn close(self) -> io::Result<()> {
        self.last.map_or(Ok(()), |last| seccomp::install(&last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mode::{Choice, Mode};
    use rustix::io::Errno;
    use rustix::net::{SendFlags, SocketAddrAny, sendto};
    use std::fs::File;
    use std::net::{SocketAddr, TcpListener, TcpStream};
    use std::num::NonZeroUsize;

    fn config(inside: Inner) -> Config {
        Config::new(Choice::pool_of(inside), NonZeroUsize::MIN)
    }

    /// What happens on a thread that is locked in like that.
    fn within<T: Send>(lock: impl FnOnce() + Send, act: impl FnOnce() -> T + Send) -> T {
        let locked_in = || {
            lock();
            act()
        };
        thread::scope(|scope| scope.spawn(locked_in).join().unwrap())
    }

    fn errno<T>(outcome: io::Result<T>) -> Option<i32> {
        outcome.err().and_then(|error| error.raw_os_error())
    }

    const DENIED: Option<i32> = Some(Errno::ACCESS.raw_os_error());
    const REFUSED: Option<i32> = Some(Errno::PERM.raw_os_error());

    #[test]
    fn landlock_alone_closes_files_and_tcp_and_leaves_what_is_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let _client = TcpStream::connect(addr).unwrap();
        let lock = || assert!(layers::landlock(true).is_ok());
        let level = within(|| {}, || layers::landlock(true).unwrap());
        let (opened, connected, listens, accepted) = within(lock, || {
            let opened = File::open("/etc/passwd").map(drop);
            let connected = TcpStream::connect(addr).map(drop);
            let listens = TcpListener::bind("127.0.0.1:0").map(drop);
            (opened, connected, listens, listener.accept())
        });
        assert!(accepted.is_ok());
        if !level.has(Layer::Scopes) {
            println!("SKIPPED: this kernel has Landlock for {level} only");
            return;
        }
        let outcomes = [opened, connected, listens].map(errno);
        assert_eq!(outcomes, [DENIED; 3]);
    }

    /// The list without reports, which nobody would take here.
    fn list(config: &Config) {
        set_no_new_privs(true).unwrap();
        seccomp::install(&Filters::of(config).unwrap().silent).unwrap();
    }

    #[test]
    fn the_list_alone_refuses_what_leads_out() {
        let config = config(Inner::Epoll);
        let opened = within(|| list(&config), || errno(File::open("/etc/passwd")));
        assert_eq!(opened, REFUSED);
        let connected = within(
            || list(&config),
            || errno(TcpStream::connect("127.0.0.1:7")),
        );
        assert_eq!(connected, REFUSED);
        // The kernel lets who sends with an address connect, and asks Landlock nothing.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr: SocketAddr = listener.local_addr().unwrap();
        let fresh =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let fastopen = SendFlags::from_bits_retain(0x2000_0000);
        let send = || sendto(&fresh, b"out", fastopen, &SocketAddrAny::from(addr)).err();
        assert_eq!(within(|| list(&config), send), Some(Errno::PERM));
        let executable = || {
            let memory = memmap2::MmapMut::map_anon(4096).unwrap();
            errno(memory.make_exec())
        };
        assert_eq!(within(|| list(&config), executable), REFUSED);
    }

    #[test]
    fn what_a_mode_needs_to_be_left_open_is_not_claimed() {
        let inside = Choice::ALL
            .iter()
            .filter(|choice| choice.mode == Mode::ProcessPool);
        for Choice { inside, .. } in inside {
            let full = goal(*inside) == SandboxLevel::full();
            let leaky = [Inner::IoUring, Inner::ProcessPerConnection].contains(inside);
            assert_eq!(full, !leaky, "{inside:?}");
            let config = config(*inside);
            let confined = within(|| {}, || confine(&config, || {}));
            let reached = confined.level.with(Layer::Limits.into());
            assert_eq!(reached.without(goal(*inside)), SandboxLevel::default());
        }
    }
}
