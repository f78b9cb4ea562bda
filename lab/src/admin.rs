//! What our server tells of itself at its admin endpoint, when it was started with [`FLAGS`].

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde::Deserialize;

use crate::process::ServerProcess;

/// What a server has to be started with.
pub const FLAGS: [&str; 2] = ["--admin", "127.0.0.1:0"];
/// How long the endpoint may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The part of the status that the lab reads.
#[derive(Clone, Debug, Deserialize)]
pub struct Status {
    /// The accept queues.
    pub listen: Listening,
    /// Who serves.
    pub workers: Vec<Worker>,
    /// What was counted since the start.
    pub counters: Counters,
}

/// Who waits outside.
#[derive(Clone, Debug, Deserialize)]
pub struct Listening {
    /// Connections that nobody has accepted yet, at all listening sockets; none where the kernel
    /// does not tell.
    pub queue: Option<u32>,
}

/// What was counted since the start.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Counters {
    /// Reads that brought bytes.
    pub requests: u64,
}

/// One process that serves.
#[derive(Clone, Debug, Deserialize)]
pub struct Worker {
    /// Its number.
    pub pid: i32,
    /// Whom it serves, if it serves one client at a time.
    pub peer: Option<String>,
    /// Connections accepted.
    pub accepted: u64,
}

/// Where the endpoint of `server` listens.
///
/// # Errors
///
/// When the server does not say so.
pub fn of(server: &ServerProcess) -> io::Result<SocketAddr> {
    const SAYS: &str = "admin endpoint";
    const URL: &str = "http://";
    let _ = server.log().wait_for(SAYS, 1, LIMIT);
    let lines = server.log().lines(|line| line.contains(SAYS));
    let address = lines.first().and_then(|line| {
        let (_, url) = line.split_once(URL)?;
        url.split_once('/')?.0.parse().ok()
    });
    address.ok_or_else(|| io::Error::other("the server does not say where its endpoint is"))
}

/// What the endpoint answers when it is asked for `path`: the head and the body.
///
/// # Errors
///
/// When it does not answer.
pub fn get(admin: SocketAddr, path: &str) -> io::Result<(String, String)> {
    let mut client = TcpStream::connect_timeout(&admin, LIMIT)?;
    client.set_read_timeout(Some(LIMIT))?;
    client.set_write_timeout(Some(LIMIT))?;
    let accept = "Accept: application/json";
    write!(
        client,
        "GET {path} HTTP/1.1\r\nHost: {admin}\r\n{accept}\r\n\r\n"
    )?;
    let mut answer = String::new();
    client.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.to_owned(), body.to_owned()))
}

/// How the server is now.
///
/// # Errors
///
/// When it does not answer, or not with a status.
pub fn status(admin: SocketAddr) -> io::Result<Status> {
    let (_, body) = get(admin, "/status")?;
    Ok(serde_json::from_str(&body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_status_is_read_off_whatever_else_is_in_it() {
        const BODY: &str = r#"{"version":"1","listen":{"queue":3,"limit":9},
            "workers":[{"slot":0,"pid":7,"peer":"127.0.0.1:5","accepted":2}],
            "counters":{"accepted":2,"requests":4}}"#;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut client, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                request.extend(byte);
            }
            write!(client, "HTTP/1.1 200 OK\r\n\r\n{BODY}").unwrap();
            String::from_utf8(request).unwrap()
        });
        let status = status(admin).unwrap();
        assert!(
            server
                .join()
                .unwrap()
                .starts_with("GET /status HTTP/1.1\r\n")
        );
        assert_eq!(
            (status.listen.queue, status.counters.requests),
            (Some(3), 4)
        );
        let worker = &status.workers[0];
        assert_eq!((worker.pid, worker.accepted), (7, 2));
        assert_eq!(worker.peer.as_deref(), Some("127.0.0.1:5"));
    }
}
