//! What workers write to their standard error: passed on to ours line by line, and the last of it
//! remembered for the case that it was their last.
//!
//! A worker's end of the pipe never blocks: if nobody reads ours, its lines are lost and not its
//! clients. The pipes are read by a thread of its own, so that a busy master holds nobody up.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, fcntl_setpipe_size, pipe_with};

/// Read at once, in bytes, and as much of a line that does not end is kept.
const CHUNK_BYTES: usize = 16 * 1024;
/// What is asked of the kernel for each pipe; it may give less.
const PIPE_BYTES: usize = 256 * 1024;
/// Remembered of each worker, in bytes.
const TAIL_BYTES: usize = 1024;
/// Told of it.
const LAST_LINES: usize = 3;
/// Pipes that are looked at together.
const EVENTS: usize = 64;
/// The token that ends the thread; no worker is the last of so many.
const OVER: u64 = u64::MAX;

/// The ear of the master. Dropped, it listens no more.
#[derive(Debug)]
pub(super) struct Words {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    events: OwnedFd,
    over: OwnedFd,
    voices: Mutex<Voices>,
}

#[derive(Debug, Default)]
struct Voices {
    next: u64,
    open: HashMap<u64, Voice>,
}

/// The voice of a worker, by which its last words are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct VoiceId(u64);

#[derive(Debug)]
struct Voice {
    pipe: OwnedFd,
    heard: Heard,
}

impl Words {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// When threads or descriptors are short.
    pub(super) fn new() -> io::Result<Self> {
        let events = epoll::create(CreateFlags::CLOEXEC)?;
        let over = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        epoll::add(&events, &over, EventData::new_u64(OVER), EventFlags::IN)?;
        let voices = Mutex::default();
        let inner = Arc::new(Inner {
            events,
            over,
            voices,
        });
        let listener = Arc::clone(&inner);
        let thread = thread::Builder::new().name("words".into());
        thread.spawn(move || listener.listen())?;
        Ok(Self { inner })
    }

    /// A voice for a new worker, and what shall become its standard error.
    ///
    /// # Errors
    ///
    /// When descriptors are short.
    pub(super) fn voice(&self) -> io::Result<(VoiceId, OwnedFd)> {
        let (pipe, theirs) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // What the kernel gives by itself is enough for nearly all that is ever said.
        let _ = fcntl_setpipe_size(&theirs, PIPE_BYTES);
        let mut voices = self.inner.voices();
        let id = voices.next;
        epoll::add(
            &self.inner.events,
            &pipe,
            EventData::new_u64(id),
            EventFlags::IN,
        )?;
        voices.next += 1;
        let heard = Heard::default();
        voices.open.insert(id, Voice { pipe, heard });
        Ok((VoiceId(id), theirs))
    }

    /// Hears a dead worker's voice to its end; returns its last lines as one.
    pub(super) fn last(&self, VoiceId(id): VoiceId) -> String {
        let mut voices = self.inner.voices();
        let Some(mut voice) = voices.open.remove(&id) else {
            return String::new();
        };
        while voice.hear().is_ok_and(|count| count > 0) {}
        voice.heard.end(&mut io::stderr().lock());
        voice.heard.last_lines()
    }
}

impl Drop for Words {
    fn drop(&mut self) {
        // The counter is 0 before, so the write can neither block nor fail.
        let _ = rustix::io::write(&self.inner.over, &1_u64.to_ne_bytes());
    }
}

impl Inner {
    fn voices(&self) -> MutexGuard<'_, Voices> {
        // Nobody panics with it; if so, the map would still be whole.
        self.voices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self) {
        let mut events = Vec::with_capacity(EVENTS);
        loop {
            events.clear();
            let room = rustix::buffer::spare_capacity(&mut events);
            match epoll::wait(&self.events, room, None) {
                Ok(_) | Err(Errno::INTR) => {}
                // The set is ours and valid; without it there is nothing left to do.
                Err(_) => return,
            }
            for event in &events {
                match event.data.u64() {
                    OVER => return,
                    id => self.hear(id),
                }
            }
        }
    }

    fn hear(&self, id: u64) {
        let mut voices = self.voices();
        let Some(voice) = voices.open.get_mut(&id) else {
            return;
        };
        match voice.hear() {
            Ok(count) if count > 0 => {}
            Err(Errno::AGAIN | Errno::INTR) => {}
            // It says no more; what it said is remembered until it is buried.
            _ => drop(epoll::delete(&self.events, &voice.pipe)),
        }
    }
}

impl Voice {
    fn hear(&mut self) -> Result<usize, Errno> {
        let mut chunk = [0; CHUNK_BYTES];
        let count = rustix::io::read(self.pipe.as_fd(), &mut chunk)?;
        self.heard.take(&chunk[..count], &mut io::stderr().lock());
        Ok(count)
    }
}

/// What was heard of one voice.
#[derive(Debug, Default)]
struct Heard {
    /// A line that has not ended.
    begun: Vec<u8>,
    /// The end of all before.
    tail: Vec<u8>,
}

impl Heard {
    /// Passes whole lines on, so that those of several workers do not mix.
    fn take(&mut self, bytes: &[u8], on: &mut impl Write) {
        self.begun.extend(bytes);
        let whole = match memchr::memrchr(b'\n', &self.begun) {
            Some(newline) => newline + 1,
            None if self.begun.len() >= CHUNK_BYTES => self.begun.len(),
            None => return,
        };
        // A stderr that was closed is no reason to fail.
        let _ = on.write_all(&self.begun[..whole]);
        self.tail.extend(self.begun.drain(..whole));
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..surplus);
    }

    /// Nothing more will come.
    fn end(&mut self, on: &mut impl Write) {
        if !self.begun.is_empty() {
            self.take(b"\n", on);
        }
    }

    /// The last lines, without anything that could change how a terminal looks.
    fn last_lines(&self) -> String {
        let text = String::from_utf8_lossy(&self.tail);
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(LAST_LINES)..];
        let plain = last.iter().map(|line| {
            let chars = line.trim().chars();
            let plain = chars.map(|char| match char {
                char if char.is_control() => char.escape_default().to_string(),
                char => char.to_string(),
            });
            plain.collect::<String>()
        });
        plain.collect::<Vec<_>>().join(" | ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// What is passed on, piece by piece, and remembered of these pieces.
    fn hear(pieces: &[&[u8]]) -> (Vec<String>, String) {
        let mut heard = Heard::default();
        let mut passed = Vec::new();
        let mut pass = |hear: &mut dyn FnMut(&mut Vec<u8>)| {
            let mut on = Vec::new();
            hear(&mut on);
            passed.push(String::from_utf8_lossy(&on).into_owned());
        };
        for piece in pieces {
            pass(&mut |on| heard.take(piece, on));
        }
        pass(&mut |on| heard.end(on));
        (passed, heard.last_lines())
    }

    #[test]
    fn lines_are_passed_on_whole_and_the_last_ones_remembered() {
        let (passed, last) = hear(&[b"one\ntw", b"o\n", b"three\n\nfo", b"ur"]);
        assert_eq!(passed, ["one\n", "two\n", "three\n\n", "", "four\n"]);
        assert_eq!(last, "two | three | four");
        assert_eq!(hear(&[]), (vec![String::new()], String::new()));
    }

    #[test]
    fn last_words_cannot_change_the_terminal() {
        let (passed, last) = hear(&["\x1b[31mno\u{9b}\x07 \u{fffd}ö\r\n".as_bytes(), b"\xff\0\n"]);
        assert!(passed[0].starts_with('\x1b'), "it is passed on as it is");
        assert_eq!(
            last,
            "\\u{1b}[31mno\\u{9b}\\u{7} \u{fffd}ö | \u{fffd}\\u{0}"
        );
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_pieces_and_its_end_remembered() {
        let (passed, last) = hear(&[&[b'x'; CHUNK_BYTES], b"y\n"]);
        assert_eq!((passed[0].len(), passed[1].as_str()), (CHUNK_BYTES, "y\n"));
        assert_eq!(last.len(), TAIL_BYTES - 1);
    }

    #[test]
    fn a_voice_that_nobody_hears_in_time_is_heard_at_its_end() {
        let words = Words::new().unwrap();
        let (id, theirs) = words.voice().unwrap();
        let (other, silent) = words.voice().unwrap();
        rustix::io::write(&theirs, b"a test says: farewell\n").unwrap();
        assert_eq!(words.last(id), "a test says: farewell");
        assert_eq!(words.last(id), "");
        drop(silent);
        assert_eq!(words.last(other), "");
        // Nobody reads it any more, once a process that another test starts has let go of it.
        let end = Instant::now() + Duration::from_secs(20);
        while rustix::io::write(&theirs, b"?") != Err(Errno::PIPE) {
            assert!(Instant::now() < end, "somebody reads it");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_worker_that_says_too_much_is_not_held_up() {
        let (pipe, theirs) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        while rustix::io::write(&theirs, &[b'x'; 4096]).is_ok() {}
        assert_eq!(rustix::io::write(&theirs, b"x"), Err(Errno::AGAIN));
        drop(pipe);
    }
}
