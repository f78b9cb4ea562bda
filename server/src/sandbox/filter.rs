//! From the table of calls to programs that the kernel runs.

use std::collections::BTreeMap;
use std::str::FromStr;

use rustix::io::Errno;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use syscalls::Sysno;

use super::calls::{CALLS, Call, Condition, LAST, Need, Test, UNSEEN};
use crate::config::Config;

/// Which rules allow or refuse a call; none means always.
type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// The filters of one worker, to be installed in this order. The kernel does the most severe of
/// what they say.
#[derive(Debug)]
pub(super) struct Filters {
    /// What is not seen through is said to be missing.
    pub(super) unseen: BpfProgram,
    /// What is on the list is allowed; all else is refused and reported.
    pub(super) reporting: BpfProgram,
    /// The same, without a report, where the kernel has nobody who could take it.
    pub(super) silent: BpfProgram,
    /// What was needed to begin is refused.
    pub(super) last: BpfProgram,
}

/// Why there are none.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFilters {
    #[error("there is no list of system calls for {}", std::env::consts::ARCH)]
    Architecture,
    #[error("the list cannot be made a program: {0}")]
    Program(#[from] BackendError),
}

impl Filters {
    /// Those of the workers of such a server.
    pub(super) fn of(config: &Config) -> Result<Self, NoFilters> {
        let arch = std::env::consts::ARCH;
        let arch: TargetArch = arch.try_into().map_err(|_| NoFilters::Architecture)?;
        let has = |need: Need| need.is_of(config);
        let rules = allowed(has)?;
        let list = |otherwise| {
            let allow = SeccompAction::Allow;
            let filter = SeccompFilter::new(rules.clone(), otherwise, allow, arch)?;
            BpfProgram::try_from(filter)
        };
        let refuse = |names: &[&str], errno: Errno| {
            let rules = names.iter().filter_map(|name| number(name)).map(always);
            let refuse = SeccompAction::Errno(errno.raw_os_error().cast_unsigned());
            let filter = SeccompFilter::new(rules.collect(), SeccompAction::Allow, refuse, arch)?;
            BpfProgram::try_from(filter)
        };
        let last: Vec<_> = LAST.into_iter().filter(|name| !needs(name, has)).collect();
        Ok(Self {
            unseen: refuse(&[UNSEEN], Errno::NOSYS)?,
            // Stands for a report: see `sys::seccomp`.
            reporting: list(SeccompAction::Trap)?,
            silent: list(SeccompAction::Errno(
                Errno::PERM.raw_os_error().cast_unsigned(),
            ))?,
            last: refuse(&last, Errno::PERM)?,
        })
    }
}

/// What is on the list, and what installing the rest takes.
fn allowed(has: impl Fn(Need) -> bool) -> Result<Rules, BackendError> {
    let mut rules: Rules = LAST
        .iter()
        .filter_map(|name| number(name))
        .map(always)
        .collect();
    for Call { name, when, .. } in CALLS.iter().filter(|call| has(call.need)) {
        let Some(number) = number(name) else { continue };
        let known = rules.get(&number).map(Vec::is_empty);
        match (known, when.is_empty()) {
            // It is allowed whatever its arguments are.
            (Some(true), _) | (_, true) => drop(rules.insert(number, Vec::new())),
            (_, false) => {
                let any = when.iter().map(|all| rule(all));
                let any = any.collect::<Result<Vec<_>, _>>()?;
                rules.entry(number).or_default().extend(any);
            }
        }
    }
    Ok(rules)
}

/// Whether a call is on the list for good.
fn needs(name: &str, has: impl Fn(Need) -> bool) -> bool {
    CALLS.iter().any(|call| call.name == name && has(call.need))
}

fn always(number: i64) -> (i64, Vec<SeccompRule>) {
    (number, Vec::new())
}

fn rule(all: &[Condition]) -> Result<SeccompRule, BackendError> {
    let all = all.iter().map(|(index, test)| {
        let (length, operator, value) = match *test {
            Test::Is(value) => (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value),
            Test::Bits { mask, value } => {
                (SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(mask), value)
            }
            Test::Null => (SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0),
            Test::Ourselves => {
                let own = u64::from(std::process::id());
                (SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, own)
            }
        };
        SeccompCondition::new(*index, length, operator, value)
    });
    SeccompRule::new(all.collect::<Result<_, _>>()?)
}

/// The number of a call on this architecture; none where it does not have it.
fn number(name: &str) -> Option<i64> {
    Sysno::from_str(name).ok().map(|call| i64::from(call.id()))
}

/// The name of a call.
pub(crate) fn name(number: i64) -> Option<&'static str> {
    let number = usize::try_from(number).ok()?;
    Sysno::new(number).map(|call| call.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Accept;
    use crate::mode::{Choice, Inner, Mode};
    use crate::sandbox::Layer;
    use std::num::NonZeroUsize;

    #[test]
    fn each_call_is_one_of_an_architecture_that_has_a_list() {
        for call in CALLS {
            let known = syscalls::x86_64::Sysno::from_str(call.name).is_ok()
                || syscalls::aarch64::Sysno::from_str(call.name).is_ok();
            assert!(known, "{}", call.name);
            assert!(!call.why.is_empty(), "{}", call.name);
        }
        assert!(number(UNSEEN).is_some() && LAST.iter().all(|name| number(name).is_some()));
    }

    #[test]
    fn the_documentation_has_the_same_table() {
        let chapter = include_str!("../../../docs/sandbox.md");
        let rows = CALLS.iter().map(|call| {
            let Call {
                name, when, why, ..
            } = call;
            let limited = if when.is_empty() { "" } else { " (some)" };
            format!("| `{name}`{limited} | {} | {why} |", call.need.name())
        });
        let table = rows.collect::<Vec<_>>().join("\n");
        assert!(chapter.contains(&table), "docs/sandbox.md needs\n{table}");
        let others = chapter.matches("\n| `").count() - CALLS.len();
        assert_eq!(
            others,
            Layer::ALL.len(),
            "a row for each call and each layer, and no other"
        );
    }

    #[test]
    fn what_leads_out_is_on_no_list() {
        const OUT: [&str; 24] = [
            "socket",
            "connect",
            "bind",
            "listen",
            "open",
            "openat",
            "openat2",
            "creat",
            "execve",
            "execveat",
            "fork",
            "vfork",
            "kill",
            "tkill",
            "pidfd_send_signal",
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "setuid",
            "setresuid",
            "unshare",
            "mount",
            "io_uring_setup",
            "ioctl",
        ];
        for choice in Choice::ALL {
            let one = NonZeroUsize::MIN;
            let mut config = Config::new(*choice, one);
            config.accept = Accept::Handoff;
            let leaky = [Inner::IoUring, Inner::ProcessPerConnection];
            if choice.mode != Mode::ProcessPool || leaky.contains(&choice.inside) {
                continue;
            }
            let rules = allowed(|need| need.is_of(&config)).unwrap();
            for name in OUT {
                let listed = number(name).is_some_and(|number| rules.contains_key(&number));
                assert!(!listed, "{choice}: {name}");
            }
            Filters::of(&config).unwrap();
        }
    }

    #[test]
    fn a_call_that_is_always_allowed_stays_so_whatever_another_row_says() {
        let rules = allowed(|_| true).unwrap();
        for name in ["clone", "mmap"] {
            assert!(rules[&number(name).unwrap()].is_empty(), "{name}");
        }
        assert!(!rules[&number("sendto").unwrap()].is_empty());
    }
}
