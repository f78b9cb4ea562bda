//! A conversation at a terminal: a line, its echo with its round-trip time, the next line.
//!
//! The person and the server take turns, so that nothing is drawn over a line that is being typed.
//! What is typed while the server has its turn waits for the next prompt. Whatever the server does
//! out of its turn (it closes, or says what nobody asked for) ends the conversation.

mod prompter;
mod screen;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cli::Interrupt;
use rustix::event::{PollFd, PollFlags};
use rustix::process::Signal;

use crate::config::Patience;
use crate::exchange::{BUFFER_BYTES, Exchange, Received};
use crate::failure::Failure;
use crate::link::Link;
use crate::output::Reader;
use crate::people;
use crate::silence::WORTH_A_WORD;
use crate::talk::prompter::{Prompter, Typed};
use crate::talk::screen::Screen;
use crate::wait::wait;

/// How often the line about a missing answer is drawn anew.
const REDRAW: Duration = Duration::from_millis(100);

/// Sends each line that is typed and prints its echo, until Ctrl-D.
///
/// # Errors
///
/// [`Failure`] unless every byte came back equal; the terminal is as it was in any case.
pub(crate) fn run(
    link: Link,
    patience: &Patience,
    history: Option<PathBuf>,
    interrupt: &Interrupt,
) -> Result<(), Failure> {
    let mut talk = Talk {
        exchange: Exchange::new(link),
        limit: patience.limit,
        buffer: vec![0; BUFFER_BYTES],
        screen: Screen::from_env(),
    };
    people::say(&format!(
        "connected to {}; Ctrl-D ends after the last echo, Ctrl-C at once",
        talk.exchange.peer()
    ));
    let mut prompter = Prompter::start(history)?;
    while let Some(line) = talk.listen(&mut prompter, interrupt)? {
        let asked = Instant::now();
        talk.exchange.say(format!("{line}\n").as_bytes(), asked);
        let answered = talk.await_echo(interrupt);
        talk.screen.clear();
        answered?;
        if talk.screen.show_echo(&line, asked.elapsed())? == Reader::Gone {
            break;
        }
    }
    talk.exchange.finish(interrupt)
}

struct Talk {
    exchange: Exchange,
    limit: Option<Duration>,
    buffer: Vec<u8>,
    screen: Screen,
}

impl Talk {
    /// The person's turn: the next line, or none at the end. The server has nothing to say now.
    fn listen(
        &mut self,
        prompter: &mut Prompter,
        interrupt: &Interrupt,
    ) -> Result<Option<String>, Failure> {
        prompter.ask();
        loop {
            let bell = PollFd::from_borrowed_fd(prompter.bell(), PollFlags::IN);
            wait(&mut [bell, self.exchange.interest()], None, interrupt)?;
            match prompter.take() {
                Some(Typed::Line(line)) => return Ok(Some(line)),
                Some(Typed::End) => return Ok(None),
                Some(Typed::Interrupt) => {
                    let signal = u8::try_from(Signal::INT.as_raw()).unwrap_or_default();
                    return Err(Failure::Interrupted { signal });
                }
                Some(Typed::Failed(error)) => return Err(Failure::Terminal(error)),
                None => {}
            }
            self.receive()?;
        }
    }

    /// The server's turn: it ends when everything has come back.
    fn await_echo(&mut self, interrupt: &Interrupt) -> Result<(), Failure> {
        while self.exchange.ledger().unanswered() > 0 {
            let silence = self.exchange.silence();
            let word = silence.reaches(WORTH_A_WORD);
            let end = self.limit.and_then(|limit| silence.reaches(limit));
            let redraw = word.map(|word| word.max(Instant::now() + REDRAW));
            let until = end.into_iter().chain(redraw).min();
            wait(&mut [self.exchange.interest()], until, interrupt)?;
            let now = Instant::now();
            self.exchange.send(now);
            self.receive()?;
            self.exchange.overdue(now, self.limit)?;
            if let Some(comment) = self.exchange.silence().comment(now) {
                self.screen.draw(&comment);
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<(), Failure> {
        match self.exchange.receive(&mut self.buffer, Instant::now()) {
            Received::Nothing | Received::Equal(_) => Ok(()),
            Received::Different(_, difference) => Err(difference.into()),
            Received::End(how) => self.exchange.ended(how),
        }
    }
}
