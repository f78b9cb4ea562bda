//! Which process of a server owns which connection, found out from outside: the kernel lists the
//! sockets of its network by number, and each process has the numbers of its own.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::SocketAddr;

use crate::usage;

/// As the kernel writes "established".
const ESTABLISHED: &str = "01";
/// As it writes "listening".
const LISTENING: &str = "0A";
/// As it writes that the peer is done and the server is not.
const CLOSE_WAIT: &str = "08";

/// How many connections `server` has not closed.
#[must_use]
pub fn connections(server: SocketAddr) -> usize {
    let table = table();
    let open = [ESTABLISHED, CLOSE_WAIT].map(|state| in_state(&table, server, state).len());
    open.iter().sum()
}

/// How many children of `master` listen for `server`.
#[must_use]
pub fn listeners(master: u32, server: SocketAddr) -> usize {
    let listening = in_state(&table(), server, LISTENING);
    let holds = |household: &&Vec<u32>| {
        let sockets = household.first().map(|child| of_process(*child));
        sockets.is_some_and(|sockets| sockets.iter().any(|number| listening.contains_key(number)))
    };
    usage::households_of(master).iter().filter(holds).count()
}

/// The client's ports of the connections to `server`, by the child of `master` that owns them:
/// itself, or through a process that descends from it.
#[must_use]
pub fn owners(master: u32, server: SocketAddr) -> HashMap<u32, HashSet<u16>> {
    let connections = in_state(&table(), server, ESTABLISHED);
    let households = usage::households_of(master).into_iter();
    households
        .filter_map(|household| {
            let sockets = household.iter().flat_map(|pid| of_process(*pid));
            let ports = sockets.filter_map(|number| connections.get(&number).copied());
            Some((*household.first()?, ports.collect()))
        })
        .collect()
}

/// The sockets that a process has open, by number.
fn of_process(pid: u32) -> HashSet<u64> {
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

fn table() -> String {
    fs::read_to_string("/proc/net/tcp").unwrap_or_default()
}

/// The sockets of `server` in a state, by number, each with its peer's port.
fn in_state(table: &str, server: SocketAddr, state: &str) -> HashMap<u64, u16> {
    // Most lines are those of others, or of connections that have long ended.
    let ours = format!(":{:04X} ", server.port());
    let lines = table.lines().filter(|line| line.contains(&ours));
    let sockets = lines.filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (&local, &remote) = (fields.get(1)?, fields.get(2)?);
        let ours = port(local)? == server.port() && *fields.get(3)? == state;
        ours.then_some((fields.get(9)?.parse().ok()?, port(remote)?))
    });
    sockets.collect()
}

/// The port of `0100007F:1B5F`.
fn port(address: &str) -> Option<u16> {
    let (_, port) = address.split_once(':')?;
    u16::from_str_radix(port, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn only_sockets_of_the_server_in_that_state_are_listed() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            0: 0100007F:1B5F 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 11 1\n\
            1: 0100007F:1B5F 0100007F:8000 01 00000000:00000000 00:00000000 00000000 0 0 12 1\n\
            2: 0100007F:8000 0100007F:1B5F 01 00000000:00000000 00:00000000 00000000 0 0 13 1\n\
            3: 0100007F:1B5F 0100007F:8001 06 00000000:00000000 03:00000000 00000000 0 0 0 3\n";
        let server = "127.0.0.1:7007".parse().unwrap();
        let of = |state| in_state(table, server, state);
        assert_eq!(of(ESTABLISHED), HashMap::from([(12, 0x8000)]));
        assert_eq!(of(LISTENING), HashMap::from([(11, 0)]));
    }

    #[test]
    fn a_connection_of_our_own_is_found_by_its_number() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let client = TcpStream::connect(addr).unwrap();
        let _served = listener.accept().unwrap();
        let found: Vec<(u64, u16)> = in_state(&table(), addr, ESTABLISHED).into_iter().collect();
        assert_eq!((found.len(), connections(addr)), (1, 1));
        assert_eq!(found[0].1, client.local_addr().unwrap().port());
        assert!(of_process(std::process::id()).contains(&found[0].0));
    }
}
