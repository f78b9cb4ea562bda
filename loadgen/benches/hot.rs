//! What the load generator itself does for a request, apart from the kernel.
//!
//! `cargo bench -p loadgen --features bench`

use std::num::NonZeroU32;
use std::time::Duration;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use loadgen::bench::{Conversation, Verification, Waits};
use loadgen::schedule::{Arrivals, Rate, Schedule};

/// A short and a long message, in bytes.
const SIZES: [u32; 2] = [64, 16 << 10];

fn main() {
    divan::main();
}

fn size(bytes: u32) -> NonZeroU32 {
    NonZeroU32::new(bytes).unwrap_or(NonZeroU32::MIN)
}

/// The client's part in a request and its answer.
#[divan::bench(args = SIZES)]
fn client_one_exchange(bencher: Bencher<'_, '_>, bytes: u32) {
    let mut conversation = Conversation::new(size(bytes));
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| conversation.exchange());
}

/// An answer compared with what was sent.
#[divan::bench(args = SIZES)]
fn protocol_one_answer_verified(bencher: Bencher<'_, '_>, bytes: u32) {
    let verification = Verification::new(size(bytes));
    bencher
        .counter(BytesCount::new(bytes))
        .bench_local(|| black_box(&verification).holds());
}

/// A wait noted in a histogram.
#[divan::bench]
fn histogram_one_wait(bencher: Bencher<'_, '_>) {
    let (mut waits, mut nanos) = (Waits::default(), 0_u64);
    bencher.bench_local(|| {
        // Neighbours would stay in one cache line.
        nanos = (nanos + 7_919) % 1_000_000;
        waits.record(black_box(nanos));
    });
}

/// The moment when the next request is due.
#[divan::bench(args = [Arrivals::Constant, Arrivals::Poisson])]
fn schedule_next_due(bencher: Bencher<'_, '_>, arrivals: Arrivals) {
    let spans = (Duration::ZERO, Duration::from_secs(10));
    let schedule = Schedule::new(Rate::Constant(1e5), arrivals, spans, (500, 1));
    let Ok(schedule) = schedule else { return };
    let mut due = schedule.due_times(3);
    bencher.bench_local(|| due.next());
}
