//! Whether every run had a server of its own: one that is kept takes what earlier clients left behind
//! (memory, threads, a warm interpreter) into the next measurement. Pure.

use std::collections::HashSet;

/// A process: its number, and when it began in ticks since the machine did, since numbers are used
/// again.
pub(super) type Identity = (u32, u64);

/// What is wrong, if a process of `servers` was measured twice.
#[must_use]
pub(super) fn flaw(servers: &[Identity]) -> Option<String> {
    let mut known = HashSet::new();
    let (pid, _) = servers.iter().find(|server| !known.insert(**server))?;
    Some(format!(
        "process {pid} was measured twice, and not a fresh server each time"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_measured_twice_is_found() {
        assert_eq!(
            flaw(&[(1, 10), (2, 11), (1, 12)]),
            None,
            "a number may be used again"
        );
        let kept = flaw(&[(1, 10), (2, 11), (1, 10)]);
        assert!(kept.is_some_and(|why| why.contains("process 1 was measured twice")));
    }
}
