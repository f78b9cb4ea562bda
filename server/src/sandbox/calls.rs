//! What a worker may ask of the kernel: one row for each system call, with what needs it and why.
//!
//! The rows were found by measuring every mode under its contract tests, not by guessing. The list of
//! a mode follows from what it is made of. What is not here is refused; a row that this machine's
//! architecture does not have is skipped.

use crate::config::{Accept, Config};
use crate::mode::Inner;

/// What makes a call necessary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Every worker: threads, memory, connections, the end.
    Every,
    /// A reactor, whose sockets do not block.
    Reactor,
    /// Connections that the master hands out.
    Handoff,
    /// Rings, whose operations pass no filter at all.
    Ring,
    /// Processes of its own, each of which is a program that is loaded anew.
    Processes,
}

impl Need {
    /// Whether the workers of such a server have it.
    pub(super) fn is_of(self, config: &Config) -> bool {
        let inside = config.plan().inside;
        match self {
            Self::Every => true,
            Self::Reactor => matches!(inside, Inner::ReadyPool | Inner::Async | Inner::Epoll),
            Self::Handoff => config.accept == Accept::Handoff,
            Self::Ring => inside == Inner::IoUring,
            Self::Processes => inside == Inner::ProcessPerConnection,
        }
    }

    /// For the table in the documentation.
    #[cfg(test)]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Every => "every worker",
            Self::Reactor => "ready-pool, async, epoll",
            Self::Handoff => "--accept handoff",
            Self::Ring => "io-uring",
            Self::Processes => "process-per-connection",
        }
    }
}

/// What an argument must be.
#[derive(Clone, Copy, Debug)]
pub(super) enum Test {
    /// This number, in its lower half.
    Is(u64),
    /// These bits of its lower half have this value.
    Bits { mask: u64, value: u64 },
    /// No pointer.
    Null,
    /// This process.
    Ourselves,
}

/// The argument with this index passes this test.
pub(super) type Condition = (u8, Test);

/// A call, and when it is allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub(super) name: &'static str,
    pub(super) need: Need,
    /// Any of these must hold as a whole; if there is none, the call is always allowed.
    pub(super) when: &'static [&'static [Condition]],
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "the documentation has it, which a test compares")
    )]
    pub(super) why: &'static str,
}

const fn call(name: &'static str, need: Need, why: &'static str) -> Call {
    let when = &[];
    Call {
        name,
        need,
        when,
        why,
    }
}

impl Call {
    const fn when(self, when: &'static [&'static [Condition]]) -> Self {
        Self { when, ..self }
    }
}

use Need::{Every, Handoff, Processes, Reactor, Ring};

/// A flag of `send`: it would open a connection (`MSG_FASTOPEN`).
const FASTOPEN: u64 = 0x2000_0000;
/// Memory that can be executed (`PROT_EXEC`).
const EXECUTABLE: u64 = 4;
/// A thread of this process (`CLONE_THREAD`).
const THREAD: u64 = 0x1_0000;
/// Every `CLONE_NEW…` that can be told from a signal's number.
const NAMESPACES: u64 = 0x7E02_0000;
/// `SOL_SOCKET`, which is the same on all architectures that have a list.
const SOCKET: Condition = (1, Test::Is(1));

const NO_ADDRESS: &[&[Condition]] = &[&[
    (4, Test::Null),
    (
        3,
        Test::Bits {
            mask: FASTOPEN,
            value: 0,
        },
    ),
]];
const NOT_EXECUTABLE: &[&[Condition]] = &[&[(
    2,
    Test::Bits {
        mask: EXECUTABLE,
        value: 0,
    },
)]];
const A_THREAD: &[&[Condition]] = &[&[(
    0,
    Test::Bits {
        mask: THREAD | NAMESPACES,
        value: THREAD,
    },
)]];

/// The calls of the last filter, which is there once a worker has told its master where refused
/// calls are reported: until then it needs them.
pub(super) const LAST: [&str; 2] = ["seccomp", "sendmsg"];

/// A call that libraries try first and do without: its flags are in memory, where no filter sees
/// them. They go on with one whose flags it sees.
pub(super) const UNSEEN: &str = "clone3";

/// What libraries look up by themselves, and do without: that it is refused is no news.
const LOOKED_UP: &[&str] = &[
    // The C library, before it returns memory to the system, and before it makes another arena.
    "/proc/sys/vm/overcommit_memory",
    "/sys/devices/system/cpu/online",
    "/proc/stat",
];

/// Whether libraries look that file up by themselves.
pub(crate) fn is_looked_up(path: &str) -> bool {
    LOOKED_UP.contains(&path)
}

/// All of them. Those that are called most come first, where numbers do not decide.
pub(super) const CALLS: &[Call] = &[
    // Connections.
    call("recvfrom", Every, "what clients send"),
    call("sendto", Every, "what they get back: only on a connection that exists, without an address").when(NO_ADDRESS),
    call("accept4", Every, "the next client"),
    call("shutdown", Every, "the end of a connection"),
    call("setsockopt", Every, "time limits, a reset, urgent bytes and the buffer of one connection").when(&[
        &[SOCKET, (2, Test::Is(7))],
        &[SOCKET, (2, Test::Is(10))],
        &[SOCKET, (2, Test::Is(13))],
        &[SOCKET, (2, Test::Is(20))],
        &[SOCKET, (2, Test::Is(21))],
        &[SOCKET, (2, Test::Is(66))],
        &[SOCKET, (2, Test::Is(67))],
    ]),
    call("getsockopt", Every, "a pending error, and who is on a Unix socket").when(&[&[SOCKET, (2, Test::Is(4))], &[SOCKET, (2, Test::Is(17))]]),
    call("getpeername", Every, "the address of a client"),
    call("getsockname", Every, "the address of the listener"),
    call("recvmsg", Handoff, "a client from the hand of the master"),
    // Waiting.
    call("ppoll", Every, "waiting for several descriptors"),
    call("poll", Every, "as above, where it exists"),
    call("epoll_create1", Every, "waiting for the listener, which wakes one of those who wait"),
    call("epoll_ctl", Every, "as above"),
    call("epoll_pwait2", Every, "as above"),
    call("epoll_pwait", Every, "as above, on other architectures"),
    call("epoll_wait", Every, "as above, in async"),
    call("eventfd2", Every, "waking a thread"),
    call("futex", Every, "locks and joins of threads"),
    call("clock_nanosleep", Every, "pauses"),
    call("nanosleep", Every, "as above, in other C libraries"),
    call("clock_gettime", Every, "processor time, and clocks where the kernel has to be asked"),
    call("sched_yield", Every, "pools of threads, before they sleep"),
    call("restart_syscall", Every, "the kernel itself, after a process was stopped and goes on"),
    // Descriptors that it has.
    call("read", Every, "the counters of gates and wakers"),
    call("write", Every, "as above, and the log, which is a pipe to the master"),
    call("writev", Every, "as above, in tokio"),
    call("close", Every, "the end of a connection"),
    call("fcntl", Every, "copies of a descriptor, and whether it blocks: none of the commands by which it would send a signal").when(&[
        &[(1, Test::Is(1))],
        &[(1, Test::Is(3))],
        &[(1, Test::Is(1030))],
    ]),
    call("fcntl", Reactor, "a socket that does not block").when(&[&[(1, Test::Is(4))]]),
    // Memory, none of which can be executed.
    call("mmap", Every, "memory, and the stacks of threads").when(NOT_EXECUTABLE),
    call("mprotect", Every, "as above").when(NOT_EXECUTABLE),
    call("munmap", Every, "as above"),
    call("mremap", Every, "as above"),
    call("madvise", Every, "memory given back"),
    call("brk", Every, "memory of the first thread"),
    // Threads.
    call("clone", Every, "a thread of this process, and neither a process nor a namespace").when(A_THREAD),
    call("set_robust_list", Every, "the start of a thread"),
    call("rseq", Every, "as above"),
    call("sigaltstack", Every, "a stack for the case that one overflows"),
    call("gettid", Every, "the start of a thread"),
    call("getpid", Every, "its own number"),
    call("prctl", Every, "the name of a thread").when(&[&[(0, Test::Is(15))]]),
    call("sched_getaffinity", Every, "how many processors there are"),
    call("getrandom", Every, "seeds of hash tables and of random times"),
    call("rt_sigaction", Every, "the end by abort"),
    call("rt_sigprocmask", Every, "the start of a thread, and the end by abort"),
    call("rt_sigreturn", Every, "the end of a signal handler"),
    call("tgkill", Every, "the end by abort: a signal to itself").when(&[&[(0, Test::Ourselves)]]),
    call("exit", Every, "the end of a thread"),
    call("exit_group", Every, "the end"),
    // Rings.
    call("io_uring_setup", Ring, "a ring"),
    call("io_uring_register", Ring, "its buffers"),
    call("io_uring_enter", Ring, "its operations"),
    // Processes, and all that the loader of a program does.
    call("clone", Processes, "a process"),
    call("vfork", Processes, "as above"),
    call("execve", Processes, "the program of a connection"),
    call("pidfd_open", Processes, "the hold on a process"),
    call("pidfd_send_signal", Processes, "its end"),
    call("kill", Processes, "as above"),
    call("wait4", Processes, "its burial"),
    call("waitid", Processes, "as above"),
    call("socketpair", Processes, "the channel to it"),
    call("sendmsg", Processes, "the connection, which goes to it"),
    call("recvmsg", Processes, "the same on its side"),
    call("pipe2", Processes, "whether it could be started"),
    call("dup2", Processes, "its standard input"),
    call("dup3", Processes, "as above, on other architectures"),
    call("prctl", Processes, "its death with that of its parent").when(&[&[(0, Test::Is(1))], &[(0, Test::Is(0x4155_5856))]]),
    call("getppid", Processes, "as above"),
    call("fcntl", Processes, "the seals of the board").when(&[&[(1, Test::Is(1034))], &[(1, Test::Is(2))], &[(1, Test::Is(4))]]),
    call("mmap", Processes, "the code of the program"),
    call("mprotect", Processes, "as above"),
    call("openat", Processes, "libraries"),
    call("access", Processes, "as above"),
    call("faccessat", Processes, "as above, on other architectures"),
    call("newfstatat", Processes, "as above"),
    call("fstat", Processes, "as above, and the size of the board"),
    call("statx", Processes, "as above"),
    call("pread64", Processes, "as above"),
    call("lseek", Processes, "as above"),
    call("readlink", Processes, "where the program is"),
    call("readlinkat", Processes, "as above"),
    call("arch_prctl", Processes, "the first thread of the program"),
    call("set_tid_address", Processes, "as above"),
    call("prlimit64", Processes, "the size of a stack"),
];
