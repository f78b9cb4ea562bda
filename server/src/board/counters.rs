//! What is counted: one list, from which all that tells it is made.

use std::iter::Sum;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::Serialize;

/// Makes [`Count`], [`Counters`], the cells behind them and the line of the log that tells them
/// from one list. `$d` is a dollar sign.
macro_rules! counts {
    (
        $d:tt $($(#[doc = $doc:literal])+ $count:ident, $field:ident;)+
        after the connections:
        $($(#[doc = $last_doc:literal])+ $last_count:ident, $last_field:ident;)+
    ) => {
        counts! { @all $($(#[doc = $doc])+ $count, $field;)+ $($(#[doc = $last_doc])+ $last_count, $last_field;)+ }

        /// Logs all counters, with what else is to be told before them and after those that count
        /// connections.
        macro_rules! log_counters {
            (
                { $d($d before:tt)* } $d counters:expr, { $d($d between:tt)* } $d message:literal
            ) => {{
                let counters: $crate::board::Counters = $d counters;
                ::tracing::info!(
                    $d($d before)*
                    $($field = counters.$field,)+
                    $d($d between)*
                    $($last_field = counters.$last_field,)+
                    $d message
                )
            }};
        }
    };
    (@all $($(#[doc = $doc:literal])+ $count:ident, $field:ident;)+) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Count {
            $($(#[doc = $doc])+ $count,)+
        }

        /// All that is counted, as plain numbers.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct Counters {
            $($(#[doc = $doc])+ pub $field: u64,)+
        }

        impl Counters {
            /// Each with its name and its meaning, in the order in which they are declared.
            pub fn list(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
                [$((stringify!($field), concat!($($doc),+), self.$field),)+].into_iter()
            }
        }

        #[derive(Debug, Default)]
        pub(super) struct Cells {
            $($field: AtomicU64,)+
        }

        impl Cells {
            pub(super) fn of(&self, count: Count) -> &AtomicU64 {
                match count {
                    $(Count::$count => &self.$field,)+
                }
            }

            pub(super) fn read(&self) -> Counters {
                Counters {
                    $($field: self.$field.load(Relaxed),)+
                }
            }
        }

        impl Add for Counters {
            type Output = Self;

            fn add(self, other: Self) -> Self {
                Self {
                    $($field: self.$field + other.$field,)+
                }
            }
        }

        impl Sub for Counters {
            type Output = Self;

            /// What was counted since `earlier`.
            fn sub(self, earlier: Self) -> Self {
                Self {
                    $($field: self.$field.saturating_sub(earlier.$field),)+
                }
            }
        }
    };
}

counts! { $
    /// Connections accepted and admitted.
    Accepted, accepted;
    /// Connections closed.
    Closed, closed;
    /// Connections that got at least one byte.
    Served, served;
    /// Times that accepting stopped because every place was taken.
    Full, full;
    /// Connections closed at once because the server was full, or could not have them served.
    Rejected, rejected;
    /// Of those rejected: for want of descriptors, threads, processes or memory.
    Short, short;
    /// Connections closed at once because their address had too many.
    PerIp, per_ip;
    /// Connections closed because they were silent for the idle limit.
    Idle, idle;
    /// Connections reset because their peers took no bytes for the write limit.
    Stalled, stalled;
    /// Connections closed because a message came at less than the minimum rate.
    Slow, slow;
    /// Connections broken by the peer or the network.
    Failed, failed;
    /// Connections closed unserved because the server ended while they were in the accept queue.
    Dismissed, dismissed;
    /// Connections ended by a panic.
    Panics, panics;
    /// Connections cut at the deadline of a drain.
    Cut, cut;

    after the connections:
    /// System calls of sandboxed workers that were refused.
    Violations, violations;
    /// Reads that brought bytes.
    Requests, requests;
    /// Bytes echoed.
    Bytes, bytes;
}

pub(crate) use log_counters as info_counters;

impl Counters {
    /// Connections that are open.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.accepted.saturating_sub(self.closed)
    }
}

impl Sum for Counters {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_listed_with_their_names_and_meanings() {
        let cells = Cells::default();
        cells.of(Count::PerIp).store(7, Relaxed);
        let counters = cells.read();
        let listed: Vec<_> = counters.list().filter(|(.., value)| *value > 0).collect();
        let meaning = " Connections closed at once because their address had too many.";
        assert_eq!(listed, [("per_ip", meaning, 7)]);
        let json = serde_json::to_value(counters).unwrap();
        let names = counters.list().map(|(name, ..)| name);
        assert!(names.eq(json.as_object().unwrap().keys().map(String::as_str)));
    }
}
