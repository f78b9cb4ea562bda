//! What a program says, line by line, for tests to wait for.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::LIMIT;

/// A field of a line, such as `accepted`.
pub(crate) fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!(" {name}="))?;
    rest.split(' ').next()
}

/// Grows by itself until the program and its children closed their ends.
pub(crate) struct Log {
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

#[derive(Debug, Default)]
struct Heard {
    lines: Vec<String>,
    closed: bool,
}

impl Heard {
    fn count(&self, text: &str) -> usize {
        let matching = self.lines.iter().filter(|line| line.contains(text));
        matching.count()
    }
}

impl Log {
    pub(crate) fn of(source: impl Read + Send + 'static) -> Self {
        let heard = Arc::new((Mutex::new(Heard::default()), Condvar::new()));
        let shared = Arc::clone(&heard);
        thread::spawn(move || {
            for line in BufReader::new(source).lines().map_while(Result::ok) {
                shared.0.lock().unwrap().lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap().closed = true;
            shared.1.notify_all();
        });
        Self { heard }
    }

    /// How many lines contain `text` so far.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.heard.0.lock().unwrap().count(text)
    }

    /// Waits until `count` lines contain `text`.
    pub(crate) fn wait_for(&self, text: &str, count: usize) {
        self.wait_until(|heard| heard.closed || heard.count(text) >= count);
        let heard = self.heard.0.lock().unwrap();
        assert!(
            heard.count(text) >= count,
            "no {count} x {text:?} in {heard:#?}"
        );
    }

    /// The lines so far that contain `text`.
    pub(crate) fn lines_with(&self, text: &str) -> Vec<String> {
        let heard = self.heard.0.lock().unwrap();
        let matching = heard.lines.iter().filter(|line| line.contains(text));
        matching.cloned().collect()
    }

    /// The first line.
    pub(crate) fn first(&self) -> String {
        self.wait_until(|heard| heard.closed || !heard.lines.is_empty());
        self.heard.0.lock().unwrap().lines[0].clone()
    }

    /// All of it, once nobody can add to it.
    pub(crate) fn rest(self) -> Vec<String> {
        self.wait_until(|heard| heard.closed);
        std::mem::take(&mut self.heard.0.lock().unwrap().lines)
    }

    fn wait_until(&self, done: impl Fn(&Heard) -> bool) {
        let heard = self.heard.0.lock().unwrap();
        let waiting = |heard: &mut Heard| !done(heard);
        let (heard, waited) = self
            .heard
            .1
            .wait_timeout_while(heard, LIMIT, waiting)
            .unwrap();
        assert!(!waited.timed_out(), "waited in vain: {heard:#?}");
    }
}
