//! The buffers that a ring receives into: the kernel takes one when bytes are there, and gets it
//! back when they were used. So a quiet connection needs no buffer at all.

use std::io;
use std::mem::size_of;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use memmap2::{MmapMut, MmapRaw};

/// Buffers of a ring: more than a ring hands out between two looks at what is done, usually. When
/// they run out, receiving ends and is begun anew.
pub(super) const COUNT: u16 = 256;
/// The size of each, in bytes. Together they are 4 MiB per ring, of which the kernel provides what
/// was ever written to.
pub(super) const SIZE_BYTES: usize = 16 * 1024;
/// The number of the only group that a ring has.
pub(super) const GROUP: u16 = 0;

/// A buffer that has bytes for us, until it is given back.
#[derive(Debug)]
pub(crate) struct Piece(u16);

/// All buffers of one ring, ours and the kernel's.
#[derive(Debug)]
pub(super) struct Buffers {
    /// What the kernel may take: a queue of [`BufRingEntry`], with its tail inside of the first.
    queue: Rc<MmapRaw>,
    memory: Rc<MmapRaw>,
    /// How many bytes for us are in each, in bytes; none while it is the kernel's.
    filled: Box<[Option<usize>]>,
    tail: u16,
}

impl Buffers {
    /// All of them, not yet known to the kernel.
    ///
    /// # Errors
    ///
    /// When memory is short.
    pub(super) fn new() -> io::Result<Self> {
        let count = usize::from(COUNT);
        Ok(Self {
            queue: mapping(count * size_of::<BufRingEntry>())?,
            memory: mapping(count * SIZE_BYTES)?,
            filled: vec![Some(0); count].into(),
            tail: 0,
        })
    }

    /// Gives all of them to the ring.
    ///
    /// # Errors
    ///
    /// When the kernel does not know such buffers, or memory is short.
    pub(super) fn register(&mut self, ring: &Submitter<'_>) -> io::Result<()> {
        let queue = self.queue.as_mut_ptr() as u64;
        // JUSTIFICATION: the kernel keeps the address, which no safe call can allow.
        // SAFETY: `queue` is a page-aligned mapping of `COUNT` entries. It lives as long as `self`,
        // which its owner, the ring, drops after the io_uring, or never.
        unsafe { ring.register_buf_ring_with_flags(queue, COUNT, GROUP, 0) }?;
        (0..COUNT).for_each(|id| self.give_back(Piece(id)));
        Ok(())
    }

    /// The kernel has put `bytes` into the buffer `id`.
    pub(super) fn take(&mut self, id: u16, bytes: usize) -> Piece {
        if let Some(filled) = self.filled.get_mut(usize::from(id)) {
            *filled = Some(bytes.min(SIZE_BYTES));
        }
        Piece(id)
    }

    /// What is in it.
    pub(super) fn bytes(&self, piece: &Piece) -> &[u8] {
        let id = usize::from(piece.0);
        let Some(Some(filled)) = self.filled.get(id) else {
            return &[];
        };
        let start = self.memory.as_ptr().wrapping_add(id * SIZE_BYTES);
        // JUSTIFICATION: the memory is shared with the kernel, so no safe slice of it exists.
        // SAFETY: `id` is below `COUNT` and `filled` at most `SIZE_BYTES`, so it lies within the
        // mapping, which is zeroed and lives as long as `self`. While `filled` says that the buffer
        // is ours, the kernel writes nothing to it; `give_back`, which ends that, needs `self` alone.
        unsafe { std::slice::from_raw_parts(start, *filled) }
    }

    /// Lets the kernel use it again.
    pub(super) fn give_back(&mut self, piece: Piece) {
        let Piece(id) = piece;
        let place = self.filled.get_mut(usize::from(id));
        if place.and_then(Option::take).is_none() {
            return;
        }
        let slot = usize::from(self.tail % COUNT);
        let entry = self.queue.as_mut_ptr().cast::<BufRingEntry>();
        let entry = entry.wrapping_add(slot);
        // JUSTIFICATION: the queue is shared with the kernel, so no safe reference to it exists.
        // SAFETY: `slot` is below `COUNT`, so the entry lies within the mapping, aligned; zeroes
        // are a valid entry. The kernel reads no entry from the tail on, and this thread alone
        // has `self`, so nobody else uses it until the tail is moved below.
        let entry = unsafe { &mut *entry };
        let start = self
            .memory
            .as_ptr()
            .wrapping_add(usize::from(id) * SIZE_BYTES);
        entry.set_addr(start as u64);
        entry.set_len(u32::try_from(SIZE_BYTES).unwrap_or(u32::MAX));
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
        self.publish();
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
