//! The buffers that a ring receives into: the kernel takes one when bytes are there, and gets it
//! back when they were used. So a quiet connection needs no buffer at all.
//!
//! There are two sizes. Those for messages are all the kernel's, which takes one after the other. Those
//! for who streams are lent as they are asked for, the last used one first: a few stay in the cache,
//! and the others cost no memory.

use std::io;
use std::mem::size_of;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use memmap2::{MmapMut, MmapRaw};

/// Buffers of one size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The number of their group, by which operations name them.
    pub(super) group: u16,
    /// How many there are: a power of two, since they are a queue of the kernel's.
    pub(super) count: u16,
    /// The size of each, in bytes.
    pub(super) bytes: usize,
}

/// For messages: more than a ring hands out between two looks at what is done, usually. When they run
/// out, receiving ends and is begun anew. They are 4 MiB, of which the kernel provides what
/// was ever written to.
pub(super) const SMALL: Shape = Shape {
    group: 0,
    count: 256,
    bytes: 16 * 1024,
};
/// For who streams, 4 MiB as well. When they run out, small ones do.
pub(super) const LARGE: Shape = Shape {
    group: 1,
    count: 16,
    bytes: 256 * 1024,
};

/// A buffer that has bytes for us, until it is given back.
#[derive(Debug)]
pub(crate) struct Piece {
    group: u16,
    id: u16,
}

/// Whose a buffer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Kernel,
    /// Ours, and nobody uses it.
    Free,
    /// Ours, with so many bytes in it.
    Filled(usize),
}

/// All buffers of one size of a ring, ours and the kernel's.
#[derive(Debug)]
pub(super) struct Buffers {
    shape: Shape,
    /// What the kernel may take: a queue of [`BufRingEntry`], with its tail inside of the first.
    queue: Rc<MmapRaw>,
    memory: Rc<MmapRaw>,
    owners: Box<[Owner]>,
    /// Those that nobody uses; the last one first.
    free: Vec<u16>,
    /// How many the kernel has, and how many it is to have at least.
    lent: usize,
    wanted: usize,
    tail: u16,
}

impl Buffers {
    /// All of them, not yet known to the kernel.
    ///
    /// # Errors
    ///
    /// When memory is short.
    pub(super) fn new(shape: Shape) -> io::Result<Self> {
        let count = usize::from(shape.count);
        Ok(Self {
            shape,
            queue: mapping(count * size_of::<BufRingEntry>())?,
            memory: mapping(count * shape.bytes)?,
            owners: vec![Owner::Free; count].into(),
            free: (0..shape.count).rev().collect(),
            lent: 0,
            wanted: 0,
            tail: 0,
        })
    }

    /// Tells the kernel where they will be; it has none yet.
    ///
    /// # Errors
    ///
    /// When the kernel does not know such buffers, or memory is short.
    pub(super) fn register(&self, ring: &Submitter<'_>) -> io::Result<()> {
        let Shape { group, count, .. } = self.shape;
        let queue = self.queue.as_mut_ptr() as u64;
        // JUSTIFICATION: the kernel keeps the address, which no safe call can allow.
        // SAFETY: `queue` is a page-aligned mapping of `count` entries. It lives as long as `self`,
        // which its owner, the ring, drops after the io_uring, or never.
        unsafe { ring.register_buf_ring_with_flags(queue, count, group, 0) }
    }

    /// From now on the kernel is to have `count` of them, or all that nobody uses.
    pub(super) fn lend(&mut self, count: usize) {
        self.wanted = count;
        while self.lent < self.wanted
            && let Some(id) = self.free.pop()
        {
            self.hand_over(id);
        }
    }

    /// The kernel has put `bytes` into the buffer `id`.
    pub(super) fn take(&mut self, id: u16, bytes: usize) -> Piece {
        if let Some(owner) = self.owners.get_mut(usize::from(id)) {
            *owner = Owner::Filled(bytes.min(self.shape.bytes));
            self.lent = self.lent.saturating_sub(1);
        }
        let group = self.shape.group;
        Piece { group, id }
    }

    /// What is in it.
    pub(super) fn bytes(&self, piece: &Piece) -> &[u8] {
        let id = usize::from(piece.id);
        let Some(Owner::Filled(bytes)) = self.owners.get(id) else {
            return &[];
        };
        let start = self.memory.as_ptr().wrapping_add(id * self.shape.bytes);
        // JUSTIFICATION: the memory is shared with the kernel, so no safe slice of it exists.
        // SAFETY: there are `shape.count` owners, so `id` is below that, and `bytes` is at most
        // `shape.bytes`: it lies within the mapping, which is zeroed and lives as long as `self`. While
        // its owner says that it is ours, the kernel writes nothing to it; `give_back` and `lend`, which
        // end that, need `self` alone.
        unsafe { std::slice::from_raw_parts(start, *bytes) }
    }

    /// Nobody uses it any more.
    pub(super) fn give_back(&mut self, piece: Piece) {
        let owner = self.owners.get_mut(usize::from(piece.id));
        if let Some(owner @ Owner::Filled(_)) = owner {
            *owner = Owner::Free;
            self.free.push(piece.id);
            self.lend(self.wanted);
        }
    }

    /// Lets the kernel use a free one.
    fn hand_over(&mut self, id: u16) {
        let place = usize::from(id);
        let Some(owner) = self.owners.get_mut(place) else {
            return;
        };
        *owner = Owner::Kernel;
        let slot = usize::from(self.tail % self.shape.count);
        let entry = self.queue.as_mut_ptr().cast::<BufRingEntry>();
        let entry = entry.wrapping_add(slot);
        // JUSTIFICATION: the queue is shared with the kernel, so no safe reference to it exists.
        // SAFETY: `slot` is below `shape.count`, so the entry lies within the mapping, aligned; zeroes
        // are a valid entry. The kernel reads no entry from the tail on, and this thread alone
        // has `self`, so nobody else uses it until the tail is moved below.
        let entry = unsafe { &mut *entry };
        let start = self.memory.as_ptr().wrapping_add(place * self.shape.bytes);
        entry.set_addr(start as u64);
        entry.set_len(u32::try_from(self.shape.bytes).unwrap_or(u32::MAX));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        self.lent += 1;
        self.publish();
    }

    /// Whether a piece is one of these.
    pub(super) fn have(&self, piece: &Piece) -> bool {
        piece.group == self.shape.group
    }

    /// Never frees the memory.
    pub(super) fn leak(&self) {
        std::mem::forget((Rc::clone(&self.queue), Rc::clone(&self.memory)));
    }

    /// Tells the kernel how far the queue goes.
    fn publish(&self) {
        let queue = self.queue.as_ptr().cast::<BufRingEntry>();
        // JUSTIFICATION: where the tail is within the queue only this function of the crate knows.
        // SAFETY: `queue` is the address of the first entry, in a mapping that is not empty.
        let tail = unsafe { BufRingEntry::tail(queue) };
        // JUSTIFICATION: the kernel reads the tail while we write it, so it must be atomic.
        // SAFETY: it is aligned to two bytes and lies within the mapping, which is writable and
        // outlives this call; besides us only the kernel uses it, and it only reads.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        // Release: what the entries say is there before they count.
        tail.store(self.tail, Ordering::Release);
    }
}

/// Memory of so many zeroes, on a page of its own.
fn mapping(bytes: usize) -> io::Result<Rc<MmapRaw>> {
    Ok(Rc::new(MmapMut::map_anon(bytes)?.into()))
}
