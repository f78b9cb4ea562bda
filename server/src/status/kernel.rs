//! What the kernel knows of this server and of its listening sockets.

use std::fs;
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt::GetStruct};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use nix::{getsockopt_impl, libc, sockopt_impl};

use super::{AcceptQueue, sock_diag};

sockopt_impl!(
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info,
    GetStruct<libc::tcp_info>
);

/// The accept queue of a listening socket; none of any other socket, or where the kernel does not tell.
pub(crate) fn accept_queue(socket: impl AsFd) -> Option<AcceptQueue> {
    of_tcp(&socket).or_else(|| sock_diag::accept_queue(&socket))
}

/// That of TCP (`tcp_get_info` in the kernel's `net/ipv4/tcp.c`: for a listening socket those two
/// fields have another meaning).
fn of_tcp(socket: impl AsFd) -> Option<AcceptQueue> {
    let info = getsockopt(&socket, TcpInfo).ok()?;
    Some(AcceptQueue {
        length: info.tcpi_unacked,
        limit: info.tcpi_sacked,
    })
}

/// Connections that found an accept queue full, in this network namespace, since it was made.
pub(super) fn overflows() -> Option<u64> {
    let netstat = fs::read_to_string("/proc/self/net/netstat").ok()?;
    // Pairs of lines: names, then values, both after the same prefix.
    let mut lines = netstat
        .lines()
        .filter_map(|line| line.strip_prefix("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs
        .find(|(name, _)| *name == "ListenOverflows")?
        .1
        .parse()
        .ok()
}

/// The processor time of a process, in seconds; none of a dead one.
pub(crate) fn cpu_s(pid: u32) -> Option<f64> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid.try_into().ok()?)).ok()?;
    let time = clock_gettime(clock).ok()?;
    Some(time.tv_sec() as f64 + time.tv_nsec() as f64 / 1e9)
}

/// The memory of a process that is in use, in bytes; none of a dead one.
pub(crate) fn rss_bytes(pid: u32) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_queue_of_a_listener_is_as_long_as_clients_wait() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let length = || accept_queue(&listener).map(|queue| queue.length);
        assert_eq!(length(), Some(0));
        let clients = [(); 3].map(|()| TcpStream::connect(addr).unwrap());
        // A connect returns before the last packet of its handshake has been taken in.
        while length() != Some(3) {
            std::thread::yield_now();
        }
        listener.accept().unwrap();
        assert_eq!(length(), Some(2));
        drop(clients);
        assert_eq!(accept_queue(&listener).map(|queue| queue.limit), Some(128));
    }

    #[test]
    fn a_socket_of_another_kind_has_no_such_queue() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert_eq!(accept_queue(&one), None);
    }

    #[test]
    fn a_living_process_has_used_some_time_and_some_memory() {
        assert!(cpu_s(std::process::id()).is_some_and(|seconds| seconds > 0.0));
        assert_eq!((cpu_s(u32::MAX), rss_bytes(u32::MAX)), (None, None));
        assert!(rss_bytes(std::process::id()).is_some_and(|bytes| bytes > 0));
    }
}
