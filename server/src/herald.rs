//! What the service manager is told (`sd_notify`), and what of its environment is nobody else's.
//!
//! Where there is no manager, nobody is told anything. A server that has a successor is silent: all
//! that it says would be taken for that one's word.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tracing::{debug, warn};

use crate::upgrade::PREDECESSOR;

/// Variables that are for the process which the manager started, and not for its workers.
const PRIVATE: [&str; 7] = [
    PREDECESSOR,
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];
/// Of these, what is for its successor too: who that is, whom to tell, and how often.
const LASTING: [&str; 3] = [PREDECESSOR, "NOTIFY_SOCKET", "WATCHDOG_USEC"];

/// How long a message to a manager that does not listen may wait before it is lost.
const SEND_LIMIT: Duration = Duration::from_millis(500);

/// Keeps all that the manager said from a process of ours.
pub(crate) fn conceal(command: &mut Command) -> &mut Command {
    PRIVATE.iter().fold(command, |it, name| it.env_remove(name))
}

/// Keeps from a successor what was said to this process alone.
pub(crate) fn conceal_own(command: &mut Command) -> &mut Command {
    let own = PRIVATE.iter().filter(|name| !LASTING.contains(name));
    own.fold(command, |it, name| it.env_remove(name))
}

/// Tells the service manager how it goes. Clones speak for the same server.
#[derive(Clone, Debug, Default)]
pub struct Herald(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// `NOTIFY_SOCKET`.
    socket: SocketAddr,
    retired: AtomicBool,
    /// The manager ends a server that says nothing for so long.
    watchdog: Option<Duration>,
}

impl Herald {
    /// Tells nobody.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// Tells whom the environment names.
    pub(crate) fn of_environment() -> Self {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self::silent();
        };
        let socket = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name),
            None => SocketAddr::from_pathname(&name),
        };
        match socket {
            Ok(socket) => Self(Some(Arc::new(Inner {
                socket,
                retired: AtomicBool::new(false),
                watchdog: sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()),
            }))),
            Err(error) => {
                warn!(name = %name.display(), %error, "nobody is told how it goes: NOTIFY_SOCKET is no socket");
                Self::silent()
            }
        }
    }

    /// After so long without a word the server counts as hung, where the manager watches it.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.0.as_ref()?.watchdog
    }

    /// It serves.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Its workers are replaced; [`ready`](Self::ready) is the end of it.
    pub(crate) fn reloading(&self) {
        // The clock of the machine is always there.
        let Ok(now) = NotifyState::monotonic_usec_now() else {
            return;
        };
        let status = NotifyState::Status("restarting the workers");
        self.tell(&[NotifyState::Reloading, now, status]);
    }

    /// It ends, and may take `limit` for that.
    pub(crate) fn stopping(&self, limit: Duration) {
        let limit = u32::try_from(limit.as_micros()).unwrap_or(u32::MAX);
        let status = NotifyState::Status("draining");
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::ExtendTimeoutUsec(limit),
            status,
        ]);
    }

    /// Another process is the server now; the last word of this one.
    pub(crate) fn succeeded_by(&self, pid: u32) {
        self.tell(&[NotifyState::MainPid(pid)]);
        self.0.iter().for_each(|it| it.retired.store(true, Relaxed));
    }

    fn tell(&self, state: &[NotifyState<'_>]) {
        let Some(inner) = self.0.as_ref().filter(|it| !it.retired.load(Relaxed)) else {
            return;
        };
        let text: String = state.iter().map(|it| format!("{it}\n")).collect();
        if let Err(error) = inner.send(text.as_bytes()) {
            debug!(%error, "cannot tell the service manager (NOTIFY_SOCKET)");
        }
    }
}

impl Inner {
    /// The crate would wait for a manager that does not listen, and the server with it.
    fn send(&self, message: &[u8]) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        socket.send_to_addr(message, &self.socket).map(drop)
    }
}

/// When the manager's watchdog is to be told that the server is well: at half of its time.
#[derive(Debug)]
pub(crate) struct Feeding {
    herald: Herald,
    due: Option<Instant>,
}

impl Feeding {
    /// Due at once, if ever.
    pub(crate) fn new(herald: Herald, now: Instant) -> Self {
        let due = herald.watchdog().map(|_| now);
        Self { herald, due }
    }

    /// When it is next due; none where nobody watches.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Tells it, if that is due at `now` and `is_well`.
    pub(crate) fn feed(&mut self, now: Instant, is_well: impl FnOnce() -> bool) {
        let (Some(due), Some(limit)) = (self.due, self.herald.watchdog()) else {
            return;
        };
        if now >= due {
            self.due = Some(now + limit / 2);
            if is_well() {
                self.herald.tell(&[NotifyState::Watchdog]);
            }
        }
    }
}
