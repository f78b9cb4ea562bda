//! Whoever has a thread for each connection: std's, a pool's, or rayon's.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroUsize;
use std::thread;

use threadpool::ThreadPool;

use super::BUFFER_BYTES;

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
