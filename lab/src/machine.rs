//! The machine that the figures come from, without which they mean little.

use std::fs;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};

/// Where the experiments ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processors that this program may use.
    pub cpus: usize,
    /// What the system calls them, if it says.
    pub cpu_model: Option<String>,
    /// Memory in bytes, if the system says.
    pub memory_bytes: Option<u64>,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpus: std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            cpu_model: value(&read("/proc/cpuinfo"), "model name"),
            memory_bytes: value(&read("/proc/meminfo"), "MemTotal").and_then(|text| {
                let kib: u64 = text.strip_suffix("kB")?.trim().parse().ok()?;
                Some(kib * 1024)
            }),
            kernel: rustix::system::uname()
                .release()
                .to_string_lossy()
                .into_owned(),
        }
    }
}

/// The value of the first line `name : value`.
fn value(text: &str, name: &str) -> Option<String> {
    let of_name = |line: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_name() {
        let text = "model\t: 17\nmodel name\t: A CPU: fast\nMemTotal:  1024 kB\n";
        assert_eq!(value(text, "model name").as_deref(), Some("A CPU: fast"));
        assert_eq!(value(text, "MemTotal").as_deref(), Some("1024 kB"));
        assert_eq!(value(text, "name"), None);
    }
}
