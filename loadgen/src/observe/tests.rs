//! The eye on real processes: servers of the tests' own, in other programs.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::*;

/// A child has all that is open here from its fork until it runs its program, and would be seen with
/// the listener of another test for a moment: so these tests, the only ones of this program that
/// start others, take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A shell that holds a listener as its standard output, and ends with its standard input.
struct Holder {
    child: Child,
    _stdin: ChildStdin,
}

impl Holder {
    fn start(listener: TcpListener, script: &str) -> Self {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::from(OwnedFd::from(listener)))
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Its first line says that it, and whatever it started, is there.
        let mut line = String::new();
        let mut errors = std::io::BufReader::new(child.stderr.take().unwrap());
        std::io::BufRead::read_line(&mut errors, &mut line).unwrap();
        assert_eq!(line, "ready\n");
        let stdin = child.stdin.take().unwrap();
        Self {
            child,
            _stdin: stdin,
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn who_holds_the_port_is_seen_with_what_it_started() {
    let _turn = turn();
    let (listener, address) = listener();
    let server = Holder::start(
        listener,
        "exec 3<&0; cat <&3 >/dev/null & echo ready >&2; read line",
    );
    let (mut eye, _) = Eye::open([&address.into()]).unwrap();
    let first = eye.sample();
    let last = eye.sample();
    let told = Server::between(&first, &last, 4, ListenTrouble::default());
    assert_eq!(told.pids.len(), 2, "{told:?}");
    assert!(told.pids.contains(&server.child.id()));
    assert_eq!((told.command.as_str(), told.threads), ("sh", 2));
    assert_eq!(told.backlog, Some(128));
    assert!(told.rss_bytes > 0 && told.cpu_s >= 0.0);
    assert_eq!(told.cpu_us_per_request, Some(told.cpu_s * 1e6 / 4.0));
}

#[test]
fn a_server_that_is_gone_leaves_what_was_seen_last() {
    let _turn = turn();
    let (listener, address) = listener();
    let server = Holder::start(listener, "echo ready >&2; read line");
    let pid = server.child.id();
    let (mut eye, _) = Eye::open([&address.into()]).unwrap();
    let first = eye.sample();
    drop(server);
    let last = eye.sample();
    let told = Server::between(&first, &last, 0, ListenTrouble::default());
    assert_eq!((told.pids, told.cpu_s), (vec![pid], 0.0));
    assert_eq!((told.cpu_us_per_request, told.backlog), (None, Some(128)));
}

#[test]
fn a_server_that_was_started_anew_is_followed() {
    let _turn = turn();
    let (listener, address) = listener();
    let old = Holder::start(listener.try_clone().unwrap(), "echo ready >&2; read line");
    let (mut eye, _) = Eye::open([&address.into()]).unwrap();
    drop(old);
    let new = Holder::start(listener, "echo ready >&2; read line");
    let seen: Vec<_> = eye.sample().processes.into_keys().collect();
    assert_eq!(seen, [new.child.id()]);
}

#[test]
fn nobody_looks_at_itself_or_at_nobody() {
    let _turn = turn();
    let (listener, address) = listener();
    assert!(Eye::open([&address.into()]).is_none());
    drop(listener);
    assert!(Eye::open([&address.into()]).is_none());
    assert!(Eye::open([]).is_none());
}

/// A socket on `address` that may be shared, not listening yet.
fn shared_socket(address: SocketAddr) -> socket2::Socket {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&address.into()).unwrap();
    socket
}

#[test]
fn a_process_that_begins_to_listen_later_is_found() {
    let _turn = turn();
    let one = shared_socket(([127, 0, 0, 1], 0).into());
    let address = one.local_addr().unwrap().as_socket().unwrap();
    one.listen(8).unwrap();
    let other = shared_socket(address);
    let later = other.try_clone().unwrap();
    let script = "echo ready >&2; read line";
    let old = Holder::start(one.into(), script);
    let new = Holder::start(other.into(), script);
    let (mut eye, _) = Eye::open([&address.into()]).unwrap();
    let seen = |eye: &mut Eye| eye.sample().processes.into_keys().collect::<BTreeSet<_>>();
    assert_eq!(seen(&mut eye), [old.child.id()].into());
    later.listen(9).unwrap();
    assert_eq!(seen(&mut eye), [old.child.id(), new.child.id()].into());
    assert_eq!(eye.sample().backlog, Some(9));
}
