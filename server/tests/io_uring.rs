//! What is special about rings: they may be missing, and they take turns at the door.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

mod support;

use std::collections::BTreeMap;
use std::thread;

use assert_cmd::Command;
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter,
};
use server::{Choice, Inner, RunError, probe};
use support::{LIMIT, SERVER, ServerProcess, procfs, round_trip};

/// System calls, by their numbers on all architectures.
const IO_URING_SETUP: i64 = 425;
const IO_URING_REGISTER: i64 = 427;
/// What `io_uring_register` is asked for, in its second argument: a ring of provided buffers.
const REGISTER_PBUF_RING: u64 = 22;

/// A kernel that refuses a call with an error, if its second argument is `operation`.
fn without(call: i64, operation: Option<u64>, error: Errno) -> BpfProgram {
    let equals = |operation| {
        let (length, operator) = (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq);
        let condition = SeccompCondition::new(1, length, operator, operation).unwrap();
        SeccompRule::new(vec![condition]).unwrap()
    };
    let rules = operation.map(equals).into_iter().collect();
    let refused = SeccompAction::Errno(error.raw_os_error().cast_unsigned());
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, rules)]),
        SeccompAction::Allow,
        refused,
        std::env::consts::ARCH.try_into().unwrap(),
    );
    filter.unwrap().try_into().unwrap()
}

/// The one line that the program says on such a kernel, where it must not start.
fn refusal(kernel: &BpfProgram, args: &[&str]) -> String {
    let run = || {
        // It holds for this thread and for what it starts.
        apply_filter(kernel).unwrap();
        let mut program = Command::new(SERVER);
        program.arg("127.0.0.1:0").args(args).timeout(LIMIT);
        program.output().unwrap()
    };
    let output = thread::scope(|scope| scope.spawn(run).join().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(
        output.stdout.is_empty(),
        "{args:?}: it says that it is ready"
    );
    assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
    said
}

#[test]
fn where_the_kernel_lacks_it_one_line_says_what_and_what_to_use_instead() {
    let pbuf_ring = Some(REGISTER_PBUF_RING);
    for (call, operation, error, parts) in [
        (
            IO_URING_SETUP,
            None,
            Errno::PERM,
            ["io_uring is missing", "kernel.io_uring_disabled"],
        ),
        (
            IO_URING_SETUP,
            None,
            Errno::NOSYS,
            ["io_uring is missing", "built without it"],
        ),
        (
            IO_URING_REGISTER,
            pbuf_ring,
            Errno::INVAL,
            ["provided buffers", "Linux 6.0"],
        ),
    ] {
        let kernel = without(call, operation, error);
        for (args, instead) in [
            (&["--mode", "io-uring"][..], "use --mode epoll"),
            (
                &["--mode", "process-pool", "--worker-mode", "io-uring"],
                "use --worker-mode epoll",
            ),
        ] {
            let said = refusal(&kernel, args);
            for part in parts.iter().chain([&"mode io-uring", &instead]) {
                assert!(said.contains(part), "{part}: {said}");
            }
        }
    }
}

/// A worker has the listener and whom it serves.
fn has_no_client(worker: u32) -> bool {
    procfs::tcp_sockets(worker).len() < 2
}

#[test]
fn rings_that_share_a_door_take_turns() -> std::io::Result<()> {
    /// A ring that does not run yet is waited for; one that has its turn is not.
    const MOST_CLIENTS: usize = 200;
    let pool = Choice::pool_of(Inner::IoUring);
    if let Err(lack @ RunError::Unsupported { .. }) = probe(pool) {
        println!("SKIPPED: {lack}");
        return Ok(());
    }
    for policy in ["wait", "reject"] {
        let numbers = ["--workers", "3", "--on-full", policy];
        let server = ServerProcess::start(&[&pool.args()[..], &numbers].concat());
        let mut workers = server.workers();
        let mut clients = Vec::new();
        while !workers.is_empty() {
            assert!(
                clients.len() < MOST_CLIENTS,
                "{policy}: {workers:?} have no client"
            );
            let mut client = server.connect();
            round_trip(&mut client, b"inside")?;
            clients.push(client);
            workers.retain(|worker| has_no_client(*worker));
        }
    }
    Ok(())
}
