//! A client of the admin endpoint that says exactly what it is told to.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;

use tempfile::TempDir;

use super::{ServerProcess, connect_to, field};

/// Where the endpoint of a server listens that was started with `--admin 127.0.0.1:0`.
pub(crate) fn admin_of(server: &ServerProcess) -> SocketAddr {
    server.log().wait_for("admin endpoint", 1);
    let line = &server.log().lines_with("admin endpoint")[0];
    let url = field(line, "admin").unwrap();
    let addr = url
        .strip_prefix("http://")
        .and_then(|url| url.strip_suffix('/'));
    addr.unwrap().parse().unwrap()
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    /// Takes apart all that came on a connection; none if nothing did.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n")?;
        let code = head
            .strip_prefix("HTTP/1.1 ")
            .or(head.strip_prefix("HTTP/1.0 "))?;
        Some(Self {
            code: code[..3].parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        })
    }

    /// All values of a header.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1);
        let headers = lines.filter_map(|line| line.split_once(": "));
        let named = headers.filter(|(one, _)| one.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value).collect()
    }

    /// Its only value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name}: {all:?}");
        all.first().copied()
    }
}

/// A request for `path` with the headers that every client sends, and more.
pub(crate) fn request(addr: SocketAddr, method: &str, path: &str, more: &[&str]) -> String {
    let lines = more.iter().map(|line| format!("{line}\r\n"));
    let more: String = lines.collect();
    format!("{method} {path} HTTP/1.1\r\nHost: {addr}\r\n{more}\r\n")
}

/// Asks for `path`.
pub(crate) fn get(addr: SocketAddr, path: &str) -> Answer {
    get_with(addr, path, &[])
}

/// The same with more headers.
pub(crate) fn get_with(addr: SocketAddr, path: &str, more: &[&str]) -> Answer {
    let request = request(addr, "GET", path, more);
    say(addr, request.as_bytes()).unwrap_or_else(|| panic!("no answer: {request}"))
}

/// The status as JSON.
pub(crate) fn status(addr: SocketAddr) -> serde_json::Value {
    let answer = get_with(addr, "/status", &["Accept: application/json"]);
    assert_eq!(
        (answer.code, answer.header("content-type")),
        (200, Some("application/json"))
    );
    serde_json::from_str(&answer.body).unwrap()
}

/// Sends those bytes and hears what comes back until the end, which must come; none if that is
/// nothing.
pub(crate) fn say(addr: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut client = connect_to(addr).unwrap();
    // Whoever is refused may be cut off before all was said.
    let _ = client.write_all(bytes);
    Answer::of(&all_from(&mut client))
}

/// All that comes until the end, in order or not.
pub(crate) fn all_from(client: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    if let Err(error) = client.read_to_end(&mut heard) {
        assert_ne!(
            error.kind(),
            io::ErrorKind::WouldBlock,
            "it is neither answered nor closed"
        );
    }
    heard
}

/// A file that nobody else can read with that in it.
pub(crate) fn secret(text: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    let mut options = std::fs::File::options();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .unwrap();
    file.write_all(text.as_bytes()).unwrap();
    (directory, path.to_str().unwrap().to_owned())
}
