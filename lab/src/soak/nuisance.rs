//! Clients of the admin endpoint that do their worst, and come again when they are sent away.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::admin;

/// From one look at all of them to the next.
const ROUND: Duration = Duration::from_millis(500);
/// How long a question of our own may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A crowd of them, until it is told to go.
#[derive(Debug)]
pub struct Nuisances {
    end: Sender<()>,
    thread: JoinHandle<u64>,
}

impl Nuisances {
    /// So many of them at once, who have all been there when this returns.
    ///
    /// # Errors
    ///
    /// When they cannot even connect.
    pub fn start(admin: SocketAddr, count: usize) -> io::Result<Self> {
        let all = (0..count).map(|number| nuisance(admin, number));
        let mut all = all.collect::<io::Result<Vec<_>>>()?;
        let (end, ended) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let mut visits = count as u64;
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(ROUND) {
                for (number, one) in all.iter_mut().enumerate().filter(|(_, one)| is_over(one)) {
                    // A queue that is full for a while is what they wanted.
                    if let Ok(again) = nuisance(admin, number) {
                        *one = again;
                        visits += 1;
                    }
                }
            }
            visits
        });
        Ok(Self { end, thread })
    }

    /// Ends them; how often they came.
    #[must_use]
    pub fn finish(self) -> u64 {
        drop(self.end);
        self.thread.join().unwrap_or_default()
    }
}

/// One of them, in one of the ways there are.
fn nuisance(admin: SocketAddr, number: usize) -> io::Result<TcpStream> {
    let mut one = TcpStream::connect_timeout(&admin, LIMIT)?;
    one.set_nonblocking(true)?;
    let host = format!("Host: {admin}\r\n");
    let filler = "x".repeat(64 << 10);
    let words = match number % 8 {
        0 => String::new(),
        1 => format!("GET /status HTTP/1.1\r\n{host}"),
        2 => format!("GET /status HTTP/1.1\r\n{host}X: {filler}\r\n\r\n"),
        3 => format!("GET /events HTTP/1.1\r\n{host}\r\n"),
        4 => format!("GET /metrics HTTP/1.1\r\n{host}\r\n").repeat(16),
        5 => "GET /\0 HTTP/1.1\n\n".to_owned(),
        6 => format!(
            "POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nffffffff\r\n{filler}"
        ),
        _ => "GET /status HTTP/1.1\r\nHost: evil.example\r\n\r\n".to_owned(),
    };
    // As much as is taken: who finds no place may be closed already.
    let _ = one.write(words.as_bytes());
    Ok(one)
}

/// Whether it was sent away. What it was told is not read: it must not be kept for it.
fn is_over(one: &TcpStream) -> bool {
    match one.peek(&mut [0]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    }
}

/// Whether the endpoint says that the server lives.
///
/// # Errors
///
/// When it does not answer.
pub fn lives(admin: SocketAddr) -> io::Result<bool> {
    let (head, _) = admin::get(admin, "/healthz")?;
    Ok(head.starts_with("HTTP/1.1 200 "))
}
