//! Everything that a worker must not be able to do, tried on purpose (`--fault escape-on=TEXT`): a
//! sandbox is worth what it refuses. Each attempt is harmless where it succeeds.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self as unix, UnixStream};
use std::process::Command;
use std::sync::OnceLock;

use memmap2::MmapMut;
use nix::sched::CloneFlags;
use nix::sys::ptrace;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Uid;
use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
use tracing::info;

/// Whom and what a worker may want to reach.
#[derive(Debug)]
struct Targets {
    /// Its master.
    master: u32,
    /// Where somebody listens.
    addr: SocketAddr,
    _listener: TcpListener,
}

static TARGETS: OnceLock<Targets> = OnceLock::new();

/// Says who is there to be reached, while it can still be found out.
///
/// # Errors
///
/// When descriptors are short.
pub(crate) fn aim(master: u32) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let targets = Targets {
        master,
        addr: listener.local_addr()?,
        _listener: listener,
    };
    // Only the first call counts; a process has one master.
    let _ = TARGETS.set(targets);
    Ok(())
}

type Attempt = fn(&Targets) -> io::Result<()>;

/// By the names that are told.
const ATTEMPTS: [(&str, Attempt); 20] = [
    ("open-file", |_| File::open("/etc/passwd").map(drop)),
    // As the C library does by itself.
    ("look-up", |_| File::open("/proc/stat").map(drop)),
    ("create-file", |_| create_file()),
    ("connect-tcp", |to| TcpStream::connect(to.addr).map(drop)),
    ("listen-tcp", |_| TcpListener::bind("127.0.0.1:0").map(drop)),
    ("send-udp", |to| send_udp(to.addr)),
    ("connect-abstract", |_| {
        UnixStream::connect_addr(&unix::SocketAddr::from_abstract_name("echolab-escape")?).map(drop)
    }),
    ("fork", |_| Command::new("/bin/true").status().map(drop)),
    ("exec", |_| execute()),
    ("signal-master", |to| {
        Ok(rustix::process::kill_process(master(to)?, Signal::CONT)?)
    }),
    ("find-master", |to| {
        Ok(rustix::process::test_kill_process(master(to)?)?)
    }),
    ("trace-master", |to| trace(to)),
    ("read-master", |to| read_memory(to)),
    ("open-master", |to| {
        File::open(format!("/proc/{}/mem", to.master)).map(drop)
    }),
    ("become-root", |_| {
        Ok(nix::unistd::setuid(Uid::from_raw(0))?)
    }),
    ("take-rights", |_| take_rights()),
    ("raise-limit", |_| raise_limit()),
    ("new-namespace", |_| {
        Ok(nix::sched::unshare(CloneFlags::CLONE_NEWUSER)?)
    }),
    ("open-ring", |_| io_uring::IoUring::new(8).map(drop)),
    ("execute-memory", |_| {
        MmapMut::map_anon(4096)?.make_exec().map(drop)
    }),
];

/// Tries everything, with a line for each.
pub(crate) fn try_everything() {
    let Some(targets) = TARGETS.get() else {
        info!("escape: nobody was locked in");
        return;
    };
    for (attempt, go) in ATTEMPTS {
        let errno = go(targets)
            .err()
            .and_then(|error| Errno::from_io_error(&error));
        let refused = matches!(errno, Some(Errno::PERM | Errno::ACCESS | Errno::NOSYS));
        let outcome = if refused { "refused" } else { "reached" };
        let errno = errno.map(Errno::raw_os_error);
        info!(attempt, outcome, errno, "escape");
    }
    info!(attempts = ATTEMPTS.len(), "escape is over");
}

fn master(targets: &Targets) -> io::Result<Pid> {
    let pid = Pid::from_raw(targets.master.cast_signed());
    pid.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn create_file() -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("echolab-escape-{}", std::process::id()));
    File::create_new(&path)?;
    std::fs::remove_file(&path)
}

fn send_udp(addr: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.send_to(b"out", addr).map(drop)
}

/// A program that does not exist: who may ask for it is told so.
fn execute() -> io::Result<()> {
    let program = CString::new("/nonexistent/program")?;
    nix::unistd::execv(&program, &[&program])?;
    Ok(())
}

fn trace(targets: &Targets) -> io::Result<()> {
    let pid = nix::unistd::Pid::from_raw(targets.master.cast_signed());
    // Unlike `attach` it stops nobody.
    ptrace::seize(pid, ptrace::Options::empty())?;
    ptrace::detach(pid, None)?;
    Ok(())
}

/// Memory at an address that nobody has: who may read is told so.
fn read_memory(targets: &Targets) -> io::Result<()> {
    let pid = nix::unistd::Pid::from_raw(targets.master.cast_signed());
    let mut bytes = [0; 8];
    let remote = RemoteIoVec { base: 8, len: 8 };
    process_vm_readv(pid, &mut [io::IoSliceMut::new(&mut bytes)], &[remote])?;
    Ok(())
}

fn take_rights() -> io::Result<()> {
    let all = CapabilitySet::SYS_ADMIN | CapabilitySet::KILL;
    let sets = CapabilitySets {
        effective: all,
        permitted: all,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}

fn raise_limit() -> io::Result<()> {
    let more = Some(1 << 30);
    let wanted = Rlimit {
        current: more,
        maximum: more,
    };
    Ok(setrlimit(Resource::Core, wanted)?)
}
