//! Which process of a server owns which connection, found out from outside: the kernel lists the
//! sockets of its network by number, and each process has the numbers of its own.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;

use crate::usage;

/// The client's port of each connection to `server`, with the number of the server's socket.
fn established(table: &str, server: SocketAddr) -> Vec<(u64, u16)> {
    /// As the kernel writes "established".
    const ESTABLISHED: &str = "01";
    let lines = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (&local, &remote) = (fields.get(1)?, fields.get(2)?);
        let ours = port(local)? == server.port() && *fields.get(3)? == ESTABLISHED;
        ours.then_some((fields.get(9)?.parse().ok()?, port(remote)?))
    });
    lines.collect()
}

/// The port of `0100007F:1B5F`.
fn port(address: &str) -> Option<u16> {
    let (_, port) = address.split_once(':')?;
    u16::from_str_radix(port, 16).ok()
}

/// The sockets that a process has open, by number.
#[must_use]
pub fn of_process(pid: u32) -> HashSet<u64> {
    let open = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    open.filter_map(|entry| {
        let target = fs::read_link(entry.ok()?.path()).ok()?;
        let number = target.to_str()?.strip_prefix("socket:[")?;
        number.strip_suffix(']')?.parse().ok()
    })
    .collect()
}

/// The client's ports of the connections to `server`, by the child of `master` that owns them:
/// itself, or through a process that descends from it.
#[must_use]
pub fn owners(master: u32, server: SocketAddr) -> HashMap<u32, HashSet<u16>> {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let connections: HashMap<u64, u16> = established(&table, server).into_iter().collect();
    let workers = usage::children_of(master).into_iter();
    workers
        .map(|worker| {
            let family = usage::family_of(worker);
            let sockets = family.into_iter().flat_map(of_process);
            let ports = sockets.filter_map(|number| connections.get(&number).copied());
            (worker, ports.collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn only_established_connections_of_the_server_are_listed() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1B5F 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 11 1\n\
            1: 0100007F:1B5F 0100007F:8000 01 00000000:00000000 00:00000000 00000000 0 0 12 1\n\
            2: 0100007F:8000 0100007F:1B5F 01 00000000:00000000 00:00000000 00000000 0 0 13 1\n\
            3: 0100007F:1B5F 0100007F:8001 06 00000000:00000000 03:00000000 00000000 0 0 0 3\n";
        let server = "127.0.0.1:7007".parse().unwrap();
        assert_eq!(established(table, server), [(12, 0x8000)]);
    }

    #[test]
    fn a_connection_of_our_own_is_found_by_its_number() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(addr).unwrap();
        let _served = listener.accept().unwrap();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let found = established(&table, addr);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1, client.local_addr().unwrap().port());
        assert!(of_process(std::process::id()).contains(&found[0].0));
    }
}
