//! When memory runs out: a connection or a worker is lost, the server is not, and it says why.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a failure is a failed test, a skipped one says why"
)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::thread::yield_now;
use std::time::Instant;

use support::{LIMIT, SERVER, ServerProcess, connect_to, tool, until_replaced};

/// Far less than its connections will ask for, and enough to begin with.
const GROUP_BYTES: u64 = 48 << 20;
/// A line that a server keeps as a whole while it waits for its turn.
const LINE_BYTES: usize = 60_000;

/// A control group with a limit on memory, and nobody in it.
struct Group(PathBuf);

impl Group {
    /// None where this user may not make one, which this says.
    fn new() -> Option<Self> {
        let groups = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        let name = format!("echolab-test-{}", std::process::id());
        for (root, limit) in groups {
            let group = Self(Path::new(root).join(&name));
            let made = fs::create_dir(&group.0).is_ok();
            if made && fs::write(group.0.join(limit), GROUP_BYTES.to_string()).is_ok() {
                return Some(group);
            }
        }
        println!("SKIPPED: this user cannot make a control group with a limit on memory");
        None
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails as long as somebody is in it: a failed test kills the master, and the kernel the
        // workers, a moment later.
        let end = Instant::now() + LIMIT / 10;
        while self.0.exists() && fs::remove_dir(&self.0).is_err() && Instant::now() < end {
            yield_now();
        }
    }
}

#[test]
fn a_worker_that_the_kernel_kills_for_want_of_memory_is_replaced_and_the_log_says_why() {
    let Some(group) = Group::new() else { return };
    let enter = format!(
        "echo $$ > {}/cgroup.procs && exec \"$0\" \"$@\"",
        group.0.display()
    );
    let args = [
        "--mode",
        "process-pool",
        "--workers",
        "1",
        "--worker-mode",
        "epoll",
        "--work",
        "io=1h",
    ];
    let server = ServerProcess::wrapped(&["sh", "-c", &enter, SERVER], &args);
    let victim = server.workers()[0];
    // The kernel might as well take the master, which is nearly as large at first.
    fs::write(format!("/proc/{victim}/oom_score_adj"), "1000").unwrap();
    let mut line = vec![b'x'; LINE_BYTES];
    line.push(b'\n');
    let mut clients: Vec<TcpStream> = Vec::new();
    server.until(
        "killed",
        || {
            if let Ok(mut client) = connect_to(server.addr) {
                // It may be killed while it reads.
                let _ = client.write_all(&line);
                clients.push(client);
            }
        },
        || server.log().count("was ended by SIGKILL") > 0,
    );
    let fate = server.log().lines_with("was ended by SIGKILL").remove(0);
    assert!(fate.contains("reason=\"OOM\""), "{fate}");
    drop(clients);
    until_replaced(&server, &[victim], || {});
    server.connect_until_served();
    assert_eq!(server.stop().status.code(), Some(0));
}

/// A connection that finds no room is closed, or takes its worker along, which is replaced.
#[test]
fn a_pool_whose_workers_have_no_room_for_more_threads_lives_on() {
    const CLIENTS: usize = 600;
    let Some(prlimit) = tool("prlimit") else {
        return;
    };
    // For the program and for a hundred or two of its threads.
    let args = [
        "--mode",
        "process-pool",
        "--workers",
        "1",
        "--worker-mode",
        "thread-per-connection",
    ];
    let server = ServerProcess::wrapped(&[prlimit, "--as=40000000", SERVER], &args);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| server.connect()).collect();
    // Each hears something: an answer, or the end.
    clients.retain_mut(|client| {
        let asked = client.write_all(b"?").is_ok();
        asked && client.read(&mut [0]).is_ok_and(|count| count == 1)
    });
    assert!(clients.len() < CLIENTS, "there is room for all of them");
    drop(clients);
    server.connect_until_served();
    assert_eq!(server.stop().status.code(), Some(0));
}
