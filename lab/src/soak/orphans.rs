//! Who is still alive when a server is dead.

use std::time::{Duration, Instant};

use crate::process;
use crate::usage;

/// How long anybody of a dead server may live on.
pub const ORPHAN_LIMIT: Duration = Duration::from_secs(2);
/// How often they are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Who of a group is alive when its leader has been dead for so long, at most.
#[must_use]
pub fn orphans(leader: u32) -> Vec<u32> {
    let end = Instant::now() + ORPHAN_LIMIT;
    loop {
        let left = usage::living_members_of(leader);
        let Some(first) = left.first().filter(|_| Instant::now() < end) else {
            return left;
        };
        // The wait between two looks is a wait for the end of one of them.
        let _ = process::is_gone_within(*first, LOOK_EVERY);
    }
}
