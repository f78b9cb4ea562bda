//! Who may listen where, and what accepted connections get.

use std::net::{Ipv4Addr, TcpStream};
use std::num::NonZeroUsize;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::sync::Barrier;
use std::time::Duration;
use std::{fs, thread};

use tempfile::TempDir;

use super::*;

const OPTIONS: ListenOptions = ListenOptions {
    sockets: NonZeroUsize::MIN,
    backlog: 16,
    nodelay: true,
    idle_timeout: Some(Duration::from_secs(7)),
    write_timeout: Some(Duration::from_secs(8)),
    ipv6_only: false,
    keepalive: Some(Keepalive {
        idle: Duration::from_secs(33),
        interval: Some(Duration::from_secs(7)),
        count: Some(3),
    }),
    user_timeout: Some(Duration::from_millis(1234)),
    recv_buffer_bytes: Some(20_000),
    send_buffer_bytes: Some(30_000),
    owner_only: false,
};

fn bind(addr: &str) -> Result<Listener, ListenError> {
    Listener::bind(&addr.parse().unwrap(), OPTIONS)
}

fn port(listener: &Listener) -> u16 {
    match listener.addr() {
        Addr::Tcp { port, .. } => *port,
        Addr::Unix(_) => 0,
    }
}

/// A path in a directory of its own, and the address of it.
fn path() -> (TempDir, String, Addr) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("echo.sock");
    let path = path.to_str().unwrap().to_owned();
    let addr = Addr::Unix((&path).into());
    (directory, path, addr)
}

/// What is in the way of listening on `addr`.
fn obstacle(addr: &Addr) -> Obstacle {
    match Listener::bind(addr, OPTIONS) {
        Err(ListenError::Path { source, .. }) => source,
        other => panic!("{other:?}"),
    }
}

fn assert_inherited(socket: &Socket) {
    assert!(socket.out_of_band_inline().unwrap() && !socket.nonblocking().unwrap());
    assert_eq!(socket.read_timeout().unwrap(), OPTIONS.idle_timeout);
    assert_eq!(socket.write_timeout().unwrap(), OPTIONS.write_timeout);
    // The kernel counts its own needs too.
    assert_eq!(socket.send_buffer_size().unwrap(), 2 * 30_000);
}

#[test]
fn accepted_connections_inherit_the_options() {
    let listener = bind("127.0.0.1:0").unwrap();
    let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port(&listener))).unwrap();
    let (socket, peer) = listener.accept(SocketFlags::empty()).unwrap();
    let socket = Socket::from(socket);
    assert!(matches!(peer, Peer::Inet(_)) && socket.tcp_nodelay().unwrap());
    assert_inherited(&socket);
    assert_eq!(socket.recv_buffer_size().unwrap(), 2 * 20_000);
    assert_eq!(socket.tcp_user_timeout().unwrap(), OPTIONS.user_timeout);
    let keepalive = Keepalive {
        idle: socket.tcp_keepalive_time().unwrap(),
        interval: socket.tcp_keepalive_interval().ok(),
        count: socket.tcp_keepalive_retries().ok(),
    };
    assert!(socket.keepalive().unwrap());
    assert_eq!(Some(keepalive), OPTIONS.keepalive);
}

#[test]
fn connections_on_a_path_get_them_too_in_every_process() {
    let (_directory, path, addr) = path();
    let here = Listener::bind(&addr, OPTIONS).unwrap();
    let there = Listener::from_fd(here.as_fd().try_clone_to_owned().unwrap()).unwrap();
    for listener in [&here, &there] {
        assert_eq!(*listener.addr(), addr);
        let _client = UnixStream::connect(&path).unwrap();
        let (socket, peer) = listener.accept(SocketFlags::empty()).unwrap();
        let pid = std::process::id().cast_signed();
        assert_eq!(peer, Peer::Unix { pid: Some(pid) });
        assert_inherited(&Socket::from(socket));
    }
    drop(there);
    assert!(
        fs::exists(&path).unwrap(),
        "the file is that of who bound it"
    );
}

#[test]
fn a_busy_port_and_a_foreign_address_are_told_apart() {
    let first = bind("127.0.0.1:0").unwrap();
    let busy = Listener::bind(first.addr(), OPTIONS).unwrap_err();
    assert!(matches!(busy, ListenError::InUse { .. }), "{busy}");
    let foreign = bind("192.0.2.1:0").unwrap_err();
    assert!(matches!(foreign, ListenError::NotLocal { .. }), "{foreign}");
    let unknown = bind("no.such.host.invalid:1").unwrap_err();
    assert!(matches!(unknown, ListenError::Resolve { .. }), "{unknown}");
}

#[test]
fn all_of_ipv6_is_all_of_ipv4_unless_it_is_not_wanted() {
    let both = match bind("[::]:0") {
        Err(ListenError::NoFamily { .. } | ListenError::NotLocal { .. }) => {
            println!("SKIPPED: this machine has no IPv6");
            return;
        }
        both => both.unwrap(),
    };
    assert!(both.is_dual_stack());
    TcpStream::connect((Ipv4Addr::LOCALHOST, port(&both))).unwrap();
    let options = ListenOptions {
        ipv6_only: true,
        ..OPTIONS
    };
    let one = Listener::bind(&"[::]:0".parse().unwrap(), options).unwrap();
    assert!(!one.is_dual_stack());
    TcpStream::connect((Ipv4Addr::LOCALHOST, port(&one))).unwrap_err();
    // So somebody else may have the other half of the port.
    bind(&format!("0.0.0.0:{}", port(&one))).unwrap();
    let taken = bind(&format!("0.0.0.0:{}", port(&both))).unwrap_err();
    assert!(matches!(taken, ListenError::InUse { .. }), "{taken}");
}

#[test]
fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
    let (_directory, path, addr) = path();
    drop(UnixListener::bind(&path).unwrap());
    assert!(fs::exists(&path).unwrap(), "it is stale");
    let ours = Listener::bind(&addr, OPTIONS).unwrap();
    assert!(matches!(obstacle(&addr), Obstacle::Live));
    // The one that asked whether somebody listens, and the one that comes now.
    for _ in 0..2 {
        let client = UnixStream::connect(&path);
        client.unwrap();
        ours.accept(SocketFlags::empty()).unwrap();
    }
    drop(ours);
    assert!(!fs::exists(&path).unwrap(), "it is removed at the end");
}

#[test]
fn a_live_socket_whose_queue_is_full_is_live() {
    let (_directory, path, addr) = path();
    let full = ListenOptions {
        backlog: 0,
        ..OPTIONS
    };
    let _ours = Listener::bind(&addr, full).unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    assert!(matches!(obstacle(&addr), Obstacle::Live));
}

#[test]
fn what_is_no_socket_of_a_server_is_left_alone() {
    let (directory, path, addr) = path();
    fs::write(&path, "precious").unwrap();
    assert!(matches!(obstacle(&addr), Obstacle::NotASocket { what } if what.contains("file")));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();

    fs::create_dir(&path).unwrap();
    assert!(matches!(obstacle(&addr), Obstacle::NotASocket { what } if what.contains("directory")));
    fs::remove_dir(&path).unwrap();

    let stale = directory.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    std::os::unix::fs::symlink(&stale, &path).unwrap();
    assert!(matches!(obstacle(&addr), Obstacle::NotASocket { what } if what.contains("link")));
    assert!(fs::exists(&stale).unwrap());
    fs::remove_file(&path).unwrap();

    let _other = UnixDatagram::bind(&path).unwrap();
    assert!(matches!(obstacle(&addr), Obstacle::Live));
    assert!(fs::exists(&path).unwrap());
}

#[test]
fn a_path_that_cannot_be_is_told_why() {
    let long: Addr = format!("unix:/{}", "x".repeat(107)).parse().unwrap();
    assert!(matches!(obstacle(&long), Obstacle::TooLong { bytes: 108 }));
    let nowhere: Addr = "unix:/no-such-directory/echo.sock".parse().unwrap();
    assert!(matches!(obstacle(&nowhere), Obstacle::NoDirectory { .. }));
    let (_directory, path, _) = path();
    fs::write(&path, "").unwrap();
    let inside: Addr = format!("unix:{path}/echo.sock").parse().unwrap();
    assert!(matches!(obstacle(&inside), Obstacle::NoDirectory { .. }));
}

#[test]
fn who_lost_the_path_does_not_remove_the_file_of_the_next() {
    let (_directory, path, addr) = path();
    let first = Listener::bind(&addr, OPTIONS).unwrap();
    fs::remove_file(&path).unwrap();
    let second = Listener::bind(&addr, OPTIONS).unwrap();
    drop(first);
    UnixStream::connect(&path).unwrap();
    drop(second);
    assert!(!fs::exists(&path).unwrap());
}

#[test]
fn an_end_from_outside_frees_the_path_at_once() {
    let (_directory, path, addr) = path();
    let ours = Listener::bind(&addr, OPTIONS).unwrap();
    let end = ours.end().unwrap();
    end.refuse();
    assert!(!fs::exists(&path).unwrap());
    let next = Listener::bind(&addr, OPTIONS).unwrap();
    drop(ours);
    UnixStream::connect(&path).unwrap();
    drop(next);
}

#[test]
fn nobody_looks_at_a_path_while_another_takes_it() {
    let (directory, path, addr) = path();
    drop(UnixListener::bind(&path).unwrap());
    let other = fs::File::open(directory.path()).unwrap();
    other.lock().unwrap();
    assert!(matches!(obstacle(&addr), Obstacle::Locked));
    assert!(fs::exists(&path).unwrap());
    drop(other);
    Listener::bind(&addr, OPTIONS).unwrap();
}

#[test]
fn of_many_that_find_a_stale_socket_one_gets_the_path() {
    for _ in 0..50 {
        let (_directory, path, addr) = path();
        drop(UnixListener::bind(&path).unwrap());
        let together = Barrier::new(4);
        let bound: Vec<_> = thread::scope(|scope| {
            let racers = [(); 4].map(|()| {
                scope.spawn(|| {
                    together.wait();
                    Listener::bind(&addr, OPTIONS)
                })
            });
            racers.map(|racer| racer.join().unwrap()).into()
        });
        let (winners, losers): (Vec<_>, Vec<_>) = bound.into_iter().partition(Result::is_ok);
        assert_eq!((winners.len(), losers.len()), (1, 3), "{losers:?}");
        let winner = winners.into_iter().next().unwrap().unwrap();
        while winner.accept(SocketFlags::empty()).is_ok() {}
        let _client = UnixStream::connect(&path).unwrap();
        winner.accept(SocketFlags::empty()).unwrap();
    }
}
