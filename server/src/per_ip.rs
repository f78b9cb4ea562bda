//! How many connections each address has, over all processes: the table behind `--max-per-ip`.
//!
//! An address is a whole IPv4 address, mapped into IPv6 or not, or an IPv6 network of 64 bits, of
//! which a single host may use any address; on a link, where all hosts are in one network, it is a
//! whole IPv6 address too.
//!
//! ```text
//! columns: one for each address, found by a keyed hash    fingerprint 44 bits │ count 20 bits
//! rows:    one for each process                           its share of the count of each column
//! ```
//!
//! The table is in memory that all processes share, and nobody locks it: a process may be stopped or
//! killed at any point. What one held that was killed is in its row, and whoever buries it gives that
//! back ([`PerIp::bury`]). Where the order of two changes matters, the one that a death would lose
//! lets in a client more, never one less.
//!
//! A table has a set of columns for a few addresses, and many more columns than there may be
//! connections. Where all columns of a set are taken nonetheless, the address is not limited: that
//! keeps out nobody.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use crate::config::Config;
use crate::sys::{SharedFile, SharedSlice};

/// Columns in which an address may be.
const SET: usize = 32;
/// Columns for each connection that may be inside, so that sets seldom fill up.
const COLUMNS_PER_CONNECTION: usize = 4;
/// The most columns of a table: one takes eight bytes, and four in the row of each process.
const MOST_COLUMNS: usize = 1 << 18;
/// The bits of a column that count connections; `--max-connections` is less.
const COUNT_BITS: u32 = 20;
const COUNT: u64 = (1 << COUNT_BITS) - 1;

/// What a table is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    limit: NonZeroU32,
    columns: usize,
    rows: usize,
}

impl Layout {
    /// That of a server of as many processes at most; none if it has no such limit.
    #[must_use]
    pub(crate) fn of(config: &Config, processes: usize) -> Option<Self> {
        let columns = (config.admitted() as usize).saturating_mul(COLUMNS_PER_CONNECTION);
        Some(Self {
            limit: config.limits.max_per_ip?,
            columns: columns.clamp(SET, MOST_COLUMNS).next_power_of_two(),
            rows: processes,
        })
    }

    /// How much memory it takes.
    #[must_use]
    pub(crate) fn bytes(self) -> usize {
        self.row_bytes() + self.rows * self.columns * size_of::<AtomicU32>()
    }

    /// What comes before the rows: the key of the hash, and the columns.
    fn row_bytes(self) -> usize {
        (1 + self.columns) * size_of::<AtomicU64>()
    }
}

/// The table.
#[derive(Debug)]
pub(crate) struct PerIp {
    layout: Layout,
    /// First the key of the hash, then the columns.
    cells: SharedSlice<AtomicU64>,
    /// Row by row.
    shares: SharedSlice<AtomicU32>,
}

/// Whether a client may come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It counts in this column until it [leaves](PerIp::leave).
    Counted(u32),
    /// It does not count, since there was no column left for its address.
    Uncounted,
    /// Its address has as many as it may have.
    Refused,
}

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    V4(u32),
    V6Network(u128),
    /// On a link, where all hosts have the same network.
    V6(u128),
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.to_bits()),
            IpAddr::V6(ip) if ip.is_unicast_link_local() || ip.is_loopback() => {
                Self::V6(ip.to_bits())
            }
            IpAddr::V6(ip) => Self::V6Network(ip.to_bits() >> 64),
        }
    }
}

impl PerIp {
    /// The table at `offset` of a file that is new.
    ///
    /// # Errors
    ///
    /// When memory is short.
    pub(crate) fn create(file: &SharedFile, offset: u64, layout: Layout) -> io::Result<Self> {
        let table = Self::open(file, offset, layout)?;
        // Nobody outside can find addresses that meet in a set, or have the same fingerprint.
        table.cells[0].store(RandomState::new().hash_one(0), Relaxed);
        Ok(table)
    }

    /// The table that another process created.
    ///
    /// # Errors
    ///
    /// When the file is too small.
    pub(crate) fn open(file: &SharedFile, offset: u64, layout: Layout) -> io::Result<Self> {
        let rows = offset + layout.row_bytes() as u64;
        Ok(Self {
            layout,
            cells: file.slice(offset, 1 + layout.columns)?,
            shares: file.slice(rows, layout.rows * layout.columns)?,
        })
    }

    /// Counts a client of process `row`, unless its address has too many.
    pub(crate) fn enter(&self, row: usize, ip: IpAddr) -> Admission {
        let (set, fingerprint) = self.place(ip.into());
        loop {
            let Some((column, before)) = self.find(set, fingerprint) else {
                return Admission::Uncounted;
            };
            let count = match before >> COUNT_BITS == fingerprint {
                true => before & COUNT,
                // It was another's, who has left.
                false => 0,
            };
            if count >= u64::from(self.layout.limit.get()) {
                return Admission::Refused;
            }
            let after = fingerprint << COUNT_BITS | (count + 1);
            // First its share: who dies in between gives back one that it never had.
            self.share(row, column).fetch_add(1, Relaxed);
            let exchanged = self
                .column(column)
                .compare_exchange(before, after, Relaxed, Relaxed);
            if exchanged.is_ok() {
                return Admission::Counted(column);
            }
            self.share(row, column).fetch_sub(1, Relaxed);
        }
    }

    /// A client of process `row` that was counted in `column` is gone.
    pub(crate) fn leave(&self, row: usize, column: u32) {
        self.take_out(column, 1);
        self.share(row, column).fetch_sub(1, Relaxed);
    }

    /// A client that was counted in `column` is now another process's. First its new share: see
    /// [`enter`](Self::enter).
    pub(crate) fn shift(&self, from: usize, to: usize, column: u32) {
        self.share(to, column).fetch_add(1, Relaxed);
        self.share(from, column).fetch_sub(1, Relaxed);
    }

    /// All clients of process `row` are gone, and so is the process.
    pub(crate) fn bury(&self, row: usize) {
        for column in self.all() {
            let share = self.share(row, column);
            // Most are untouched memory, and stay so.
            if share.load(Relaxed) > 0 {
                self.take_out(column, share.swap(0, Relaxed).into());
            }
        }
    }

    fn take_out(&self, column: u32, many: u64) {
        let fewer = |cell: u64| Some(cell - many.min(cell & COUNT));
        // It always gives a value, so it does not fail.
        let _ = self.column(column).fetch_update(Relaxed, Relaxed, fewer);
    }

    /// The first column of the set where an address is, and its fingerprint, which is not 0.
    fn place(&self, address: Address) -> (u32, u64) {
        let mut hasher = DefaultHasher::new();
        (self.cells[0].load(Relaxed), address).hash(&mut hasher);
        let hash = hasher.finish();
        // The bits that choose the set are none of the fingerprint's.
        let set = hash % (self.layout.columns / SET) as u64;
        let set = u32::try_from(set * SET as u64).unwrap_or_default();
        (set, (hash >> COUNT_BITS).max(1))
    }

    /// The column with this fingerprint, or else the one to take for it, and what is in it.
    ///
    /// Columns that were never taken are taken in order, so two processes that see the same address
    /// for the first time try the same one, and one of them finds the other's. Only where none of
    /// those is left, one whose clients are gone is taken. Then the two may see different ones, if
    /// somebody leaves just now, and let in up to twice as many for once.
    fn find(&self, set: u32, fingerprint: u64) -> Option<(u32, u64)> {
        let mut free = None;
        for column in (set..).take(SET) {
            let cell = self.column(column).load(Relaxed);
            if cell == 0 {
                return Some((column, cell));
            }
            if cell >> COUNT_BITS == fingerprint {
                return Some((column, cell));
            }
            if cell & COUNT == 0 {
                free.get_or_insert((column, cell));
            }
        }
        free
    }

    fn all(&self) -> impl Iterator<Item = u32> {
        (0..).take(self.layout.columns)
    }

    fn column(&self, column: u32) -> &AtomicU64 {
        &self.cells[1 + column as usize]
    }

    fn share(&self, row: usize, column: u32) -> &AtomicU32 {
        &self.shares[row * self.layout.columns + column as usize]
    }
}

#[cfg(test)]
mod tests;
