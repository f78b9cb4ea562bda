//! When descriptors or threads run out: who is inside is served on, the log stays readable, and
//! it passes by itself.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::io::{Read, Write};
use std::time::Instant;

use server::{Inner, Mode, for_each_mode};
use support::{
    SERVER, ServerProcess, command_with_few_threads, end_of, procfs, round_trip, tool,
    wait_readable, with_few_threads,
};

/// What the log says, once a second at most.
const COMPLAINT: &str = "cannot take more connections";

for_each_mode! {
    fn descriptors_run_out_and_come_back(mode) {
        const CLIENTS: usize = 100;
        let inside = mode.mode.inner().unwrap_or(mode.inside);
        if matches!(inside, Inner::Sequential | Inner::ProcessPerConnection) {
            println!("not in {mode}: a process has one connection at a time");
            return Ok(());
        }
        let Some(prlimit) = tool("prlimit") else { return Ok(()) };
        let began = Instant::now();
        // A reactor needs descriptors of its own, so that a hundred of them could not even start.
        let threads = match inside {
            Inner::ThreadPool | Inner::Rayon => "100",
            _ => "2",
        };
        let workers = match mode.mode {
            Mode::ProcessPool => &["--workers", "1", "--worker-threads", threads][..],
            _ => &["--workers", threads][..],
        };
        let server = ServerProcess::wrapped(
            &[prlimit, "--nofile=64:64", SERVER],
            &[&mode.args()[..], workers, &["--max-connections", "1000"]].concat(),
        );
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
        clients.iter_mut().try_for_each(|client| client.write_all(b"?"))?;
        // A worker of a pool knows how many it has room for, and leaves the others outside.
        let is_pool = mode.mode == Mode::ProcessPool;
        if !is_pool {
            server.log().wait_for(COMPLAINT, 1);
        }

        // Those inside are served on, and the others wait.
        let mut inside = Vec::new();
        for index in wait_readable(&clients, 30).into_iter().rev() {
            let mut client = clients.swap_remove(index);
            client.read_exact(&mut [0])?;
            inside.push(client);
        }
        assert!(inside.len() < 64);
        for _ in 0..10 {
            inside.iter_mut().try_for_each(|client| round_trip(client, b"still there?"))?;
        }
        drop(inside);
        while !clients.is_empty() {
            for index in wait_readable(&clients, 1).into_iter().rev() {
                let mut client = clients.swap_remove(index);
                client.read_exact(&mut [0])?;
                round_trip(&mut client, b"at last")?;
            }
        }
        let complaints = server.log().count(COMPLAINT) as u64;
        let most = began.elapsed().as_secs() + 1;
        let expected = if is_pool { 0..=0 } else { 1..=most };
        assert!(expected.contains(&complaints), "{complaints} complaints");
        let farewell = server.stop();
        assert_eq!(farewell.status.code(), Some(0));
        assert_eq!((farewell.counted("served"), farewell.counted("rejected")), (CLIENTS as u64, 0));
    }
}

#[test]
fn threads_run_out_and_come_back() -> std::io::Result<()> {
    const THREADS: usize = 8;
    const CLIENTS: usize = 12;
    let args = [
        "--mode",
        "thread-per-connection",
        "--max-connections",
        "100",
    ];
    let Some((server, _program)) = with_few_threads(61234, THREADS, &args) else {
        return Ok(());
    };
    let own = procfs::threads(server.pid()).len();

    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    let refused = CLIENTS - (THREADS - own);
    for index in wait_readable(&clients, refused).into_iter().rev() {
        let end = end_of(&mut clients.swap_remove(index));
        assert_eq!(end.as_deref(), Some(&b""[..]));
    }
    assert_eq!(clients.len(), CLIENTS - refused);
    for client in &mut clients {
        round_trip(client, b"inside")?;
    }
    drop(clients);
    // A thread ends a moment after its client has left.
    let attempts = server.connect_until_served();
    let farewell = server.stop();
    assert_eq!(farewell.status.code(), Some(0));
    let rejected = refused as u64 + attempts;
    assert_eq!(
        [farewell.counted("rejected"), farewell.counted("short")],
        [rejected; 2]
    );
    Ok(())
}

#[test]
fn who_cannot_start_its_threads_says_so_and_ends() {
    for mode in ["thread-pool", "rayon", "async"] {
        // For the program itself, but not for so many. Not by want of memory: a thread that finds
        // none for its own stack of signals aborts the process.
        let args = ["--mode", mode, "--workers", "100"];
        let Some((command, _program)) = command_with_few_threads(61236, 20, &args) else {
            return;
        };
        let farewell = ServerProcess::spawn(command).wait();
        let (code, log) = (farewell.status.code(), farewell.log);
        assert_eq!(code, Some(1), "{mode}: {log:#?}");
        let last = log.last().unwrap();
        assert!(last.contains("ERROR cannot serve: "), "{mode}: {log:#?}");
    }
}
