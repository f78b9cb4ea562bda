//! HTTP/1.1 as far as a load generator needs it (RFC 9112): one request, the same every time, and
//! answers delimited by their length, by chunks, or by the end of the connection. Heads are parsed
//! by `httparse`; what a body says is not looked at.

use serde::{Deserialize, Serialize};

use super::{Answer, Fate};
use crate::failure::Failure;

/// The longest head of an answer, in bytes.
const MOST_HEAD_BYTES: usize = 64 << 10;
/// The most header fields of an answer.
const MOST_FIELDS: usize = 128;
/// The longest line that announces a chunk, in bytes.
const MOST_CHUNK_LINE_BYTES: usize = 1 << 10;

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Http {
    /// What stands in the `Host` field, unless `headers` has one.
    pub host: String,
    /// The path with its query.
    pub path: String,
    /// Further header fields, name and value.
    pub headers: Vec<(String, String)>,
    /// The body of a POST; without one it is a GET.
    pub body: Option<String>,
}

impl Http {
    /// The bytes of the request.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let method = if self.body.is_some() { "POST" } else { "GET" };
        let mut text = format!("{method} {} HTTP/1.1\r\n", self.path);
        let given = |name: &str| {
            self.headers
                .iter()
                .any(|(n, _)| n.eq_ignore_ascii_case(name))
        };
        let version = concat!("loadgen/", env!("CARGO_PKG_VERSION"));
        let length = self.body.as_ref().map(|body| body.len().to_string());
        let own = [
            ("Host", Some(self.host.as_str())),
            ("User-Agent", Some(version)),
            ("Accept", Some("*/*")),
            ("Content-Length", length.as_deref()),
        ];
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        let typed = self
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in own.filter(|(name, _)| !given(name)).chain(typed) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(self.body.as_deref().unwrap_or_default());
        text.into_bytes()
    }
}

/// The request made ready.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    request: Vec<u8>,
}

impl Wire {
    pub(super) fn new(http: &Http) -> Self {
        Self {
            request: http.request(),
        }
    }

    pub(super) fn request(&self) -> &[u8] {
        &self.request
    }
}

/// Where a connection is in its answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parser {
    part: Part,
    /// The part of a head or of a chunk's line that has come; empty while they come whole.
    kept: Vec<u8>,
    /// The status is 400 or above.
    failed: Option<Failure>,
    /// The server closes the connection after this answer.
    last: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Part {
    /// The status line and the fields.
    #[default]
    Head,
    /// This many bytes of the body.
    Body(u64),
    /// The line with the length of the next chunk.
    ChunkLine,
    /// This many bytes of a chunk, its closing line break included.
    Chunk(u64),
    /// The fields after the last chunk, up to an empty line.
    Trailer,
    /// Everything until the connection ends.
    Rest,
}

/// What a piece of input came to.
enum Step {
    /// This many bytes were taken, and the answer goes on.
    Took(usize),
    /// This many bytes were taken, and the answer is complete.
    Complete(usize),
    /// More bytes are needed to go on; all were kept.
    Starved,
    /// It is no HTTP.
    Wrong,
}

/// As [`super::Wire::take`].
pub(super) fn take(answer: Answer<'_>, bytes: &[u8]) -> (usize, Fate) {
    let Some(parser) = answer.parser else {
        return (bytes.len(), Fate::Wrong(Failure::BadAnswer));
    };
    *answer.read = 1;
    let mut taken = 0;
    while taken < bytes.len() {
        match parser.step(&bytes[taken..]) {
            Step::Took(count) => taken += count,
            Step::Complete(count) => return (taken + count, parser.finish()),
            Step::Starved => return (bytes.len(), Fate::More),
            Step::Wrong => return (bytes.len(), Fate::Wrong(Failure::BadAnswer)),
        }
    }
    (taken, Fate::More)
}

/// As [`super::Wire::at_end`].
pub(super) fn at_end(answer: Answer<'_>) -> Fate {
    match answer.parser {
        Some(parser) if parser.part == Part::Rest => {
            parser.last = true;
            parser.finish()
        }
        _ => Fate::Wrong(Failure::Closed),
    }
}

impl Parser {
    fn finish(&mut self) -> Fate {
        let done = std::mem::take(self);
        match done.failed {
            Some(kind) => Fate::Refused(kind),
            None if done.last => Fate::CompleteAndLast,
            None => Fate::Complete,
        }
    }

    /// Takes one part, or what there is of it; `bytes` is not empty.
    fn step(&mut self, bytes: &[u8]) -> Step {
        match self.part {
            Part::Head => self.with_kept(bytes, MOST_HEAD_BYTES, Self::head),
            Part::ChunkLine => self.with_kept(bytes, MOST_CHUNK_LINE_BYTES, Self::chunk_line),
            Part::Trailer => self.with_kept(bytes, MOST_HEAD_BYTES, Self::trailer),
            Part::Rest => Step::Took(bytes.len()),
            Part::Body(rest) => {
                let count = whole(rest, bytes);
                self.part = Part::Body(rest - count as u64);
                if count as u64 == rest {
                    Step::Complete(count)
                } else {
                    Step::Took(count)
                }
            }
            Part::Chunk(rest) => {
                let count = whole(rest, bytes);
                self.part = match rest - count as u64 {
                    0 => Part::ChunkLine,
                    rest => Part::Chunk(rest),
                };
                Step::Took(count)
            }
        }
    }

    /// Parses a part that must be seen in one piece: what came before is put in front of `bytes`.
    fn with_kept(
        &mut self,
        bytes: &[u8],
        limit: usize,
        parse: fn(&mut Self, &[u8]) -> Step,
    ) -> Step {
        if self.kept.is_empty() {
            let step = parse(self, bytes);
            if matches!(step, Step::Starved) {
                self.kept.extend_from_slice(bytes);
            }
            return self.bounded(step, limit);
        }
        let before = self.kept.len();
        let mut all = std::mem::take(&mut self.kept);
        all.extend_from_slice(bytes);
        match parse(self, &all) {
            Step::Took(count) => Step::Took(count - before),
            Step::Complete(count) => Step::Complete(count - before),
            Step::Wrong => Step::Wrong,
            Step::Starved => {
                self.kept = all;
                self.bounded(Step::Starved, limit)
            }
        }
    }

    fn bounded(&self, step: Step, limit: usize) -> Step {
        if self.kept.len() > limit {
            Step::Wrong
        } else {
            step
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Step {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        let count = match head.parse(bytes) {
            Ok(httparse::Status::Complete(count)) => count,
            Ok(httparse::Status::Partial) => return Step::Starved,
            Err(_) => return Step::Wrong,
        };
        let status = head.code.unwrap_or_default();
        if (100..200).contains(&status) {
            // The answer proper is yet to come.
            return Step::Took(count);
        }
        self.failed = match status {
            500.. => Some(Failure::Status5xx),
            400.. => Some(Failure::Status4xx),
            _ => None,
        };
        match framing(&head, status) {
            None => Step::Wrong,
            Some((part, last)) => {
                (self.part, self.last) = (part, last);
                match part {
                    Part::Body(0) => Step::Complete(count),
                    _ => Step::Took(count),
                }
            }
        }
    }

    fn chunk_line(&mut self, bytes: &[u8]) -> Step {
        match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete((count, length))) => {
                self.part = match length {
                    0 => Part::Trailer,
                    length => Part::Chunk(length.saturating_add(2)),
                };
                Step::Took(count)
            }
            Ok(httparse::Status::Partial) => Step::Starved,
            Err(_) => Step::Wrong,
        }
    }

    fn trailer(&mut self, bytes: &[u8]) -> Step {
        let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
        match httparse::parse_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete((count, _))) => Step::Complete(count),
            Ok(httparse::Status::Partial) => Step::Starved,
            Err(_) => Step::Wrong,
        }
    }
}

/// How the body is delimited and whether the connection ends with it (RFC 9112, sections 6.3 and
/// 9.3); none when the head contradicts itself.
fn framing(head: &httparse::Response<'_, '_>, status: u16) -> Option<(Part, bool)> {
    let values = |name: &'static str| {
        let fields = head.headers.iter();
        fields
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .filter_map(|field| std::str::from_utf8(field.value).ok())
            .flat_map(|value| value.split(',').map(str::trim))
    };
    let says = |name, word: &str| values(name).any(|value| value.eq_ignore_ascii_case(word));
    let last = match head.version {
        Some(1) => says("connection", "close"),
        _ => !says("connection", "keep-alive"),
    };
    if matches!(status, 204 | 304) {
        return Some((Part::Body(0), last));
    }
    if says("transfer-encoding", "chunked") {
        return Some((Part::ChunkLine, last));
    }
    let mut lengths = values("content-length").map(str::parse::<u64>);
    match lengths.next() {
        None => Some((Part::Rest, true)),
        Some(Ok(length)) if lengths.all(|other| other == Ok(length)) => {
            Some((Part::Body(length), last))
        }
        Some(_) => None,
    }
}

/// As many of the `rest` bytes as are there.
fn whole(rest: u64, bytes: &[u8]) -> usize {
    usize::try_from(rest).unwrap_or(usize::MAX).min(bytes.len())
}

#[cfg(test)]
mod tests;
