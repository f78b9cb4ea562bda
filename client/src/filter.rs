//! The filter: stdin goes out, the verified echo is stdout, both at the same time.
//!
//! One loop waits for all three descriptors, so that neither a full pipe nor a full socket holds up
//! the others: who pipes 1 GiB through gets it back. Not one of them is made non-blocking, because
//! stdin and stdout may be shared with the shell.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use cli::Interrupt;
use rustix::event::{PollFd, PollFlags};

use crate::config::Patience;
use crate::exchange::{BUFFER_BYTES, Exchange, Received};
use crate::failure::{Ending, Failure};
use crate::link::Link;
use crate::output::{Output, Reader};
use crate::people;
use crate::wait::{ready, wait};

/// A pipe that hangs says why, once.
const REMARK_AFTER: Duration = Duration::from_secs(2);

/// Sends stdin to the server until its end, and what comes back to stdout.
///
/// # Errors
///
/// [`Failure`] unless every byte came back equal. A reader that leaves stdout ends the filter
/// without one.
pub(crate) fn run(link: Link, patience: &Patience, interrupt: &Interrupt) -> Result<(), Failure> {
    let mut filter = Filter {
        exchange: Exchange::new(link),
        limit: patience.limit,
        input: Some(rustix::stdio::stdin()),
        output: Output::new(rustix::stdio::stdout()),
        typed: vec![0; BUFFER_BYTES],
        echo: vec![0; BUFFER_BYTES],
        verified: 0..0,
        remarked: false,
    };
    loop {
        if filter.is_done() {
            return filter.exchange.finish(interrupt);
        }
        match filter.turn(interrupt)? {
            Turn::Next => {}
            Turn::Over => return Ok(()),
        }
    }
}

/// What the loop does next.
enum Turn {
    Next,
    Over,
}

struct Filter<'a> {
    exchange: Exchange,
    limit: Option<Duration>,
    /// Stdin, until its end.
    input: Option<BorrowedFd<'a>>,
    output: Output<'a>,
    typed: Vec<u8>,
    echo: Vec<u8>,
    /// The part of `echo` that is equal to what was sent and not yet written.
    verified: Range<usize>,
    remarked: bool,
}

/// Which descriptors have something to do.
struct Ready {
    input: bool,
    link: bool,
    output: bool,
}

impl Filter<'_> {
    fn is_done(&self) -> bool {
        let answered = self.exchange.ledger().unanswered() == 0;
        self.input.is_none() && answered && self.verified.is_empty()
    }

    fn turn(&mut self, interrupt: &Interrupt) -> Result<Turn, Failure> {
        let ready = self.wait(interrupt)?;
        let now = Instant::now();
        // Stdin before the link: when both have ended, the server was not the first.
        if ready.input {
            self.read_input(now)?;
        }
        if ready.output && self.write_output()? == Reader::Gone {
            return Ok(Turn::Over);
        }
        if ready.link {
            self.exchange.send(now);
            if self.verified.is_empty() {
                match self.exchange.receive(&mut self.echo, now) {
                    Received::Nothing => {}
                    Received::Equal(count) => self.verified = 0..count,
                    Received::Different(count, difference) => {
                        self.verified = 0..count;
                        self.write_rest(interrupt)?;
                        return Err(difference.into());
                    }
                    Received::End(how) => return self.ended(how),
                }
            }
        }
        if self.input.is_none() {
            self.exchange.half_close();
        }
        self.watch(now)
    }

    /// Waits until there is something to do. Only what there is room for is waited for.
    fn wait(&self, interrupt: &Interrupt) -> Result<Ready, Failure> {
        let room = self.exchange.ledger().room() > 0;
        let input = self.input.filter(|_| room);
        let input = input.map(|input| PollFd::from_borrowed_fd(input, PollFlags::IN));
        let (link, output) = if self.verified.is_empty() {
            (Some(self.exchange.interest()), None)
        } else {
            let output = Some(self.output.interest());
            (self.exchange.interest_in_sending(), output)
        };
        let asked = [input, link, output];
        let mut fds: Vec<_> = asked.iter().flatten().cloned().collect();
        let until = self
            .limit
            .and_then(|limit| self.exchange.silence().reaches(limit));
        wait(&mut fds, until, interrupt)?;
        let mut answers = fds.iter().map(|fd| !fd.revents().is_empty());
        let [input, link, output] =
            asked.map(|asked| asked.is_some() && answers.next().unwrap_or(false));
        Ok(Ready {
            input,
            link,
            output,
        })
    }

    fn read_input(&mut self, now: Instant) -> Result<(), Failure> {
        let Some(input) = self.input else {
            return Ok(());
        };
        let room = self.typed.len().min(self.exchange.ledger().room());
        if room == 0 {
            return Ok(()); // Reading nothing would look like the end.
        }
        let read = rustix::io::read(input, &mut self.typed[..room]);
        match ready(read.map_err(Into::into)).map_err(Failure::Stdin)? {
            None => {}
            Some(0) => self.input = None,
            Some(count) => self.exchange.say(&self.typed[..count], now),
        }
        Ok(())
    }

    fn write_output(&mut self) -> Result<Reader, Failure> {
        let written = self.output.write(&self.echo[self.verified.clone()])?;
        let Some(count) = written else {
            return Ok(Reader::Gone);
        };
        self.verified.start += count;
        Ok(Reader::Present)
    }

    /// Writes all that is verified, which is the last that stdout gets.
    fn write_rest(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        while !self.verified.is_empty() {
            let mut fds = [self.output.interest()];
            wait(&mut fds, None, interrupt)?;
            if !fds[0].revents().is_empty() && self.write_output()? == Reader::Gone {
                break;
            }
        }
        Ok(())
    }

    /// The server ended the conversation, which is as it should be if stdin is at its end as well.
    fn ended(&mut self, how: Ending) -> Result<Turn, Failure> {
        if self.input.is_none() {
            self.exchange.half_close();
        }
        self.exchange.ended(how).map(|()| Turn::Over)
    }

    /// Complains about a server that says nothing, unless it is stdout that holds us up.
    fn watch(&mut self, now: Instant) -> Result<Turn, Failure> {
        if !self.verified.is_empty() {
            self.exchange.forgive(now);
        }
        self.exchange.overdue(now, self.limit)?;
        let silence = self.exchange.silence();
        if !self.remarked && silence.lasts(now, REMARK_AFTER) {
            self.remarked = true;
            people::say(&silence.comment(now).unwrap_or_default());
        }
        Ok(Turn::Next)
    }
}
