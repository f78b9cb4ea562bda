//! Whoever has a thread for each connection: std's, a pool's, rayon's, or that of a process.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::thread;

use cli::exit;
use rustix::process::{
    Pid, Signal, WaitOptions, getpid, getppid, set_parent_process_death_signal, wait,
};
use threadpool::ThreadPool;

use super::BUFFER_BYTES;
use crate::sys;

/// A thread each.
pub(super) fn threads(listener: &TcpListener, _: NonZeroUsize) -> io::Result<()> {
    for stream in listener.incoming() {
        let stream = stream?;
        thread::Builder::new().spawn(move || echo(stream))?;
    }
    Ok(())
}

/// A pool of threads that each serve a connection to its end.
pub(super) fn threadpool(listener: &TcpListener, workers: NonZeroUsize) -> io::Result<()> {
    let pool = ThreadPool::new(workers.get());
    for stream in listener.incoming() {
        let stream = stream?;
        pool.execute(move || drop(echo(stream)));
    }
    Ok(())
}

/// The same with the threads of rayon.
pub(super) fn rayon(listener: &TcpListener, workers: NonZeroUsize) -> io::Result<()> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(workers.get());
    let pool = pool.build().map_err(io::Error::other)?;
    for stream in listener.incoming() {
        let stream = stream?;
        pool.spawn(move || drop(echo(stream)));
    }
    Ok(())
}

/// Copies of this process (fork) that accept of the same listener, and each serve a connection to its
/// end; the original only sees to it that none is missing.
pub(super) fn processes(listener: &TcpListener, workers: NonZeroUsize) -> io::Result<()> {
    let original = getpid();
    for _ in 0..workers.get() {
        sys::forked(|| match work_for(original, listener) {
            Ok(()) => exit::SUCCESS,
            Err(_) => exit::FAILED,
        })?;
    }
    let ended = wait(WaitOptions::empty())?;
    let (pid, status) = ended.unzip();
    Err(io::Error::other(format!(
        "a worker has ended: {pid:?}, {status:?}"
    )))
}

/// One connection after the other, as long as the original lives.
fn work_for(original: Pid, listener: &TcpListener) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid() != Some(original) {
        // It died before it could be told of.
        return Ok(());
    }
    for stream in listener.incoming() {
        let _ = echo(stream?);
    }
    Ok(())
}

/// One connection to its end; that it fails is its own matter.
fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length])?,
        }
    }
}
