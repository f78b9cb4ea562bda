//! What a probe comes to, in one sentence.

use super::findings::{Findings, Hindrance, Queue, Room};

/// The sentence: "serves 4 at once; 128 more connect and wait; then connects time out".
pub(super) fn conclude(findings: &Findings) -> String {
    let mut parts = serves(findings);
    parts.extend(findings.queue.iter().flat_map(waits));
    if findings.gone {
        parts.push("then it served nobody any more".to_owned());
    }
    if parts.is_empty() {
        parts.push("nothing was found out".to_owned());
    }
    parts.join("; ")
}

/// The rooms, those that are equal together and limits first.
fn serves(findings: &Findings) -> Vec<String> {
    let mut groups: Vec<(Room, Vec<&str>)> = Vec::new();
    for (kind, room) in findings.serves.each() {
        let Some(room) = room else { continue };
        match groups.iter_mut().find(|(known, _)| same(*known, room)) {
            Some((_, kinds)) => kinds.push(kind.name()),
            None => groups.push((room, vec![kind.name()])),
        }
    }
    groups.sort_by_key(|(room, _)| !matches!(room, Room::Limit { .. }));
    match &groups[..] {
        [(room, _)] => vec![group(*room, "")],
        groups => {
            let said = groups
                .iter()
                .map(|(room, kinds)| group(*room, &kinds.join(" or ")));
            said.enumerate().map(without_repetition).collect()
        }
    }
}

/// "serves 12 kept clients at once; 4 slow clients at once".
fn without_repetition((index, part): (usize, String)) -> String {
    match part.strip_prefix("serves ") {
        Some(rest) if index > 0 => rest.to_owned(),
        _ => part,
    }
}

/// Whether two rooms are the same but for what a further client sees.
fn same(a: Room, b: Room) -> bool {
    match (a, b) {
        (Room::Limit { clients: a, .. }, Room::Limit { clients: b, .. }) => a == b,
        _ => a == b,
    }
}

/// The room for clients of these kinds, or of any kind.
fn group(room: Room, kinds: &str) -> String {
    let who = format!("{kinds} clients");
    let who = who.trim_start();
    match room {
        Room::Limit { clients, .. } if kinds.is_empty() => format!("serves {clients} at once"),
        Room::Limit { clients: 1, .. } => format!("serves 1 {kinds} client at once"),
        Room::Limit { clients, .. } => format!("serves {clients} {who} at once"),
        Room::NoLimit { tried } if kinds.is_empty() => {
            format!("no limit up to {tried} clients at once")
        }
        Room::NoLimit { tried } => format!("no limit up to {tried} {who}"),
        Room::Closes => format!("closes {who} at once"),
        Room::MakesRoom { clients } => format!("with {clients} {who} it closes one"),
        Room::Unclear { clients } => format!("{who}: unclear from {clients} on"),
    }
}

fn waits(queue: &Queue) -> Vec<String> {
    match (queue.waiting, queue.next) {
        (0, next) => {
            let next = next.map_or("more were not tried", overflow);
            vec![format!("nobody waits: {next}")]
        }
        (waiting, None) => {
            vec![format!(
                "{waiting} more connect and wait, and more were not tried"
            )]
        }
        (1, Some(next)) => {
            vec![
                "1 more connects and waits".to_owned(),
                format!("then {}", overflow(next)),
            ]
        }
        (waiting, Some(next)) => vec![
            format!("{waiting} more connect and wait"),
            format!("then {}", overflow(next)),
        ],
    }
}

/// What the first client sees that finds no place to wait.
pub(super) const fn overflow(next: Hindrance) -> &'static str {
    match next {
        Hindrance::Waits => "clients wait",
        Hindrance::TimesOut => "connects time out",
        Hindrance::Refused => "connects are refused",
        Hindrance::Reset => "connections are reset",
        Hindrance::Closed => "connections are closed at once",
        Hindrance::OtherAnswer => "another answer comes",
    }
}
