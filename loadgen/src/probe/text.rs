//! The findings for people: a line for each, and the sentence last.

use cli::units::micros;

use super::findings::{Findings, HalfClose, Hindrance, Idle, Kind, Queue, Room};
use super::sentence::overflow;

/// Width of the first column.
const NAME: usize = 11;
/// Who closes sooner has not waited for anything.
const AT_ONCE_S: f64 = 0.01;

/// The findings as lines of text, ending in a newline.
#[must_use]
pub fn render(findings: &Findings) -> String {
    let target = format!("{} ({})", findings.target, findings.protocol);
    let rooms = findings.serves.each();
    let mut lines = vec![line("target", &target)];
    lines.extend(rooms.map(|(kind, room)| serves(kind, room)));
    lines.extend(findings.queue.map(|found| line("queue", &queue(found))));
    let ending = findings.half_close.map(half_close);
    lines.extend(ending.map(|found| line("half-close", found)));
    lines.extend(findings.idle.map(|found| line("idle", &idle(found))));
    lines.push(line("answer", &answer(findings)));
    format!("{}\n\n{}\n", lines.join("\n"), findings.sentence)
}

fn line(name: &str, value: &str) -> String {
    format!("{name:NAME$} {value}")
}

fn serves(kind: Kind, room: Option<Room>) -> String {
    let who = match kind {
        Kind::Silent => "that say nothing",
        Kind::Kept => "that keep the connection after an answer",
        Kind::Slow => "that send their request byte by byte",
    };
    let what = match room {
        None => "not found out".to_owned(),
        Some(Room::Limit { clients, further }) => {
            let seen = further_sees(further);
            format!("{clients} {who}; beside them a further one {seen}")
        }
        Some(Room::NoLimit { tried }) => format!("no limit up to {tried} {who}"),
        Some(Room::Closes) => format!("closes those at once {who}"),
        Some(Room::MakesRoom { clients }) => {
            format!("closes one when {clients} are there {who}")
        }
        Some(Room::Unclear { clients }) => {
            format!("unclear: the trials beside {clients} contradict each other")
        }
    };
    line(kind.name(), &what)
}

const fn further_sees(hindrance: Hindrance) -> &'static str {
    match hindrance {
        Hindrance::Waits => "connects and waits",
        Hindrance::TimesOut => "cannot connect: no answer",
        Hindrance::Refused => "is refused",
        Hindrance::Reset => "is reset",
        Hindrance::Closed => "is closed at once",
        Hindrance::OtherAnswer => "gets another answer",
    }
}

fn queue(found: Queue) -> String {
    let next = found.next.map_or("more were not tried", overflow);
    match (found.waiting, found.behind.name()) {
        (0, behind) => format!("nobody waits behind {behind} ones; {next}"),
        (waiting, behind) => {
            let then = if found.next.is_some() { "then " } else { "" };
            format!("{waiting} more connect and wait behind {behind} ones; {then}{next}")
        }
    }
}

const fn half_close(found: HalfClose) -> &'static str {
    match found {
        HalfClose::AnswersThenCloses => "answers in full, then closes",
        HalfClose::AnswersThenResets => "answers in full, then resets",
        HalfClose::AnswersAndStaysOpen => "answers in full and does not close",
        HalfClose::DropsTheAnswer => "closes before the whole answer has come",
        HalfClose::NeverAnswers => "does not answer",
    }
}

fn idle(found: Idle) -> String {
    let watched = seconds(found.watched_s);
    match (found.silent_s, found.kept_s) {
        (None, None) => format!("keeps idle connections for more than {watched}"),
        (silent, kept) => {
            let one = |name, after: Option<f64>| match after {
                Some(after) if after < AT_ONCE_S => format!("closes {name} ones at once"),
                Some(after) => format!("closes {name} ones after {}", seconds(after)),
                None => format!("keeps {name} ones for more than {watched}"),
            };
            format!("{}, {}", one("silent", silent), one("kept", kept))
        }
    }
}

fn answer(findings: &Findings) -> String {
    let median = findings.answer_us.map_or("none".to_owned(), micros);
    let took = seconds(findings.duration_s);
    format!("{median} for a new client whom nobody hinders; the probe took {took}")
}

fn seconds(seconds: f64) -> String {
    micros(seconds * 1e6)
}

/// The findings as JSON, ending in a newline.
///
/// # Panics
///
/// Never: the keys are texts, and there is no map.
#[must_use]
pub fn document(findings: &Findings) -> String {
    let mut text =
        serde_json::to_string_pretty(findings).expect("the keys are texts, and there is no map");
    text.push('\n');
    text
}
