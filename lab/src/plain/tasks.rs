//! Tokio with a task for each connection, as its tutorial has it.

use std::io;
use std::net;
use std::num::NonZeroUsize;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use super::BUFFER_BYTES;

/// A runtime of `workers` threads.
pub(super) fn serve(listener: &net::TcpListener, workers: NonZeroUsize) -> io::Result<()> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    let mut runtime = Builder::new_multi_thread();
    let runtime = runtime.worker_threads(workers.get()).enable_io().build()?;
    runtime.block_on(async {
        // A task of its own, so that a worker accepts and not the thread that waits for all of them.
        let accepting = tokio::spawn(accept(listener));
        accepting.await.map_err(io::Error::other)?
    })
}

async fn accept(listener: net::TcpListener) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

/// One connection to its end; that it fails is its own matter.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => stream.write_all(&buffer[..length]).await?,
        }
    }
}
