//! What the server itself does for a request, apart from the kernel: nanoseconds, where an echo costs
//! microseconds.
//!
//! `cargo bench -p server --features bench`

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use server::bench::{Books, Conversation};
use server::work::Work;

/// As much as a driver reads at once of short lines.
const BUFFER_BYTES: usize = 16 << 10;
const LINE_BYTES: usize = 64;

fn main() {
    divan::main();
}

fn line() -> Vec<u8> {
    let mut line = vec![b'x'; LINE_BYTES];
    line[LINE_BYTES - 1] = b'\n';
    line
}

/// The state machine's part in one echo.
#[divan::bench]
fn machine_one_echo(bencher: Bencher<'_, '_>) {
    let line = line();
    let mut conversation = Conversation::new(Work::None);
    bencher.bench_local(|| conversation.echo(black_box(&line)));
}

/// A request counted in shared memory.
#[divan::bench]
fn board_one_request(bencher: Bencher<'_, '_>) {
    let Ok(books) = Books::new() else { return };
    bencher.bench_local(|| books.received(black_box(LINE_BYTES)));
}

/// A buffer full of lines, each of which costs something.
#[divan::bench(args = ["none", "cpu=1us", "io=exp:1us"])]
fn machine_16_kib_of_lines(bencher: Bencher<'_, '_>, work: &str) {
    let buffer = line().repeat(BUFFER_BYTES / LINE_BYTES);
    let mut conversation = Conversation::new(work.parse().unwrap_or_default());
    bencher
        .counter(BytesCount::new(BUFFER_BYTES))
        .bench_local(|| conversation.echo(black_box(&buffer)));
}
