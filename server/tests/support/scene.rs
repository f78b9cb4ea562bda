//! A server to which something is done that its metrics then tell.

use std::net::{SocketAddr, TcpStream};

use tempfile::TempDir;

use super::metrics::{Samples, pick, scrape_with, server};
use super::{ServerProcess, round_trip};

/// A server to which something is done, and all that must outlast it.
pub(crate) struct Scene {
    pub(crate) server: ServerProcess,
    pub(crate) admin: SocketAddr,
    /// What a request for the metrics must have.
    pub(crate) headers: Vec<String>,
    pub(crate) clients: Vec<TcpStream>,
    pub(crate) directory: Option<TempDir>,
}

impl Scene {
    pub(crate) fn new(args: &[&str]) -> Self {
        let (server, admin) = server(args);
        Self::of(server, admin)
    }

    /// A pool of one worker, whom therefore everything happens to.
    pub(crate) fn pool(args: &[&str]) -> Self {
        Self::new(&[&["--mode", "process-pool", "--workers", "1"], args].concat())
    }

    pub(crate) fn of(server: ServerProcess, admin: SocketAddr) -> Self {
        Self {
            server,
            admin,
            headers: Vec::new(),
            clients: Vec::new(),
            directory: None,
        }
    }

    /// A client who stays to the end.
    pub(crate) fn connect(&mut self) -> &mut TcpStream {
        self.clients.push(self.server.connect());
        self.clients.last_mut().unwrap()
    }

    /// The same, and as many as that.
    pub(crate) fn connect_all(&mut self, count: usize) {
        let clients = (0..count).map(|_| self.server.connect());
        self.clients.extend(clients);
    }

    /// The same, once it was answered.
    pub(crate) fn serve(&mut self) -> &mut TcpStream {
        let client = self.connect();
        round_trip(client, b"inside").unwrap();
        client
    }

    pub(crate) fn scrape(&self) -> Samples {
        let headers: Vec<_> = self.headers.iter().map(String::as_str).collect();
        scrape_with(self.admin, &headers)
    }

    /// Waits until that sample is as `wanted`.
    pub(crate) fn until(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        let is_so = || {
            let all = self.scrape();
            let value = pick(&all, name);
            wanted(value.unwrap_or_else(|| panic!("no {name} in {all:#?}")))
        };
        self.server.until(name, || self.server.moment(), is_so);
    }
}
