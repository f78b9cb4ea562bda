//! What the findings look like.

use super::*;

fn limit(clients: u32) -> Option<Room> {
    Some(Room::Limit {
        clients,
        further: Hindrance::Waits,
    })
}

fn with(serves: Serves, queue: Option<Queue>) -> Findings {
    let mut findings = Findings {
        schema: SCHEMA,
        version: "1.2.3".to_owned(),
        target: "127.0.0.1:7007".to_owned(),
        protocol: "echo".to_owned(),
        sentence: String::new(),
        interrupted: false,
        gone: false,
        tried: Tried {
            clients: 64,
            waiting: 600,
            idle_s: 3.0,
            patience_ms: 300.0,
        },
        answer_us: Some(123.4),
        duration_s: 8.25,
        serves,
        queue,
        half_close: Some(HalfClose::AnswersThenCloses),
        idle: Some(Idle {
            watched_s: 3.0,
            silent_s: None,
            kept_s: Some(1.5),
        }),
    };
    findings.sentence = sentence::conclude(&findings);
    findings
}

fn pool() -> Findings {
    let serves = Serves {
        silent: limit(4),
        kept: limit(4),
        slow: limit(4),
    };
    let queue = Queue {
        behind: Kind::Silent,
        waiting: 128,
        next: Some(Hindrance::TimesOut),
    };
    with(serves, Some(queue))
}

#[test]
fn people_read_a_line_for_each_and_a_sentence() {
    insta::assert_snapshot!(text::render(&pool()), @"
    target      127.0.0.1:7007 (echo)
    silent      4 that say nothing; beside them a further one connects and waits
    kept        4 that keep the connection after an answer; beside them a further one connects and waits
    slow        4 that send their request byte by byte; beside them a further one connects and waits
    queue       128 more connect and wait behind silent ones; then connects time out
    half-close  answers in full, then closes
    idle        keeps silent ones for more than 3.00s, closes kept ones after 1.50s
    answer      123us for a new client whom nobody hinders; the probe took 8.25s

    serves 4 at once; 128 more connect and wait; then connects time out
    ");
}

#[test]
fn programs_read_every_figure_and_null_where_there_is_none() {
    let found = Findings {
        serves: Serves {
            kept: Some(Room::NoLimit { tried: 64 }),
            slow: None,
            ..pool().serves
        },
        ..pool()
    };
    insta::assert_snapshot!(text::document(&found), @r#"
    {
      "schema": 1,
      "version": "1.2.3",
      "target": "127.0.0.1:7007",
      "protocol": "echo",
      "sentence": "serves 4 at once; 128 more connect and wait; then connects time out",
      "interrupted": false,
      "gone": false,
      "tried": {
        "clients": 64,
        "waiting": 600,
        "idle_s": 3.0,
        "patience_ms": 300.0
      },
      "answer_us": 123.4,
      "duration_s": 8.25,
      "serves": {
        "silent": {
          "verdict": "limit",
          "clients": 4,
          "further": "waits"
        },
        "kept": {
          "verdict": "no-limit",
          "tried": 64
        },
        "slow": null
      },
      "queue": {
        "behind": "silent",
        "waiting": 128,
        "next": "times-out"
      },
      "half_close": "answers-then-closes",
      "idle": {
        "watched_s": 3.0,
        "silent_s": null,
        "kept_s": 1.5
      }
    }
    "#);
    assert_eq!(
        serde_json::from_str::<Findings>(&text::document(&found)).unwrap(),
        found
    );
}

/// The sentences of servers that differ in what they have room for.
#[test]
fn the_sentence_says_what_matters() {
    let none = Some(Room::NoLimit { tried: 64 });
    let queue = |waiting, next| {
        Some(Queue {
            behind: Kind::Slow,
            waiting,
            next,
        })
    };
    let rooms = |silent, kept, slow| Serves { silent, kept, slow };
    for (serves, queue, expected) in [
        (
            rooms(none, none, none),
            None,
            "no limit up to 64 clients at once",
        ),
        (
            rooms(limit(1), Some(Room::Closes), limit(1)),
            queue(1, Some(Hindrance::Refused)),
            "serves 1 silent or slow client at once; closes kept clients at once; 1 more connects \
             and waits; then connects are refused",
        ),
        (
            rooms(none, none, limit(4)),
            queue(600, None),
            "serves 4 slow clients at once; no limit up to 64 silent or kept clients; 600 more \
             connect and wait, and more were not tried",
        ),
        (
            rooms(
                Some(Room::Limit {
                    clients: 4,
                    further: Hindrance::Closed,
                }),
                limit(4),
                None,
            ),
            queue(0, Some(Hindrance::Closed)),
            "serves 4 at once; nobody waits: connections are closed at once",
        ),
        (
            rooms(
                Some(Room::MakesRoom { clients: 9 }),
                Some(Room::Unclear { clients: 2 }),
                None,
            ),
            None,
            "with 9 silent clients it closes one; kept clients: unclear from 2 on",
        ),
        (
            rooms(none, limit(12), limit(4)),
            None,
            "serves 12 kept clients at once; 4 slow clients at once; no limit up to 64 silent \
             clients",
        ),
        (Serves::default(), None, "nothing was found out"),
    ] {
        assert_eq!(with(serves, queue).sentence, expected);
    }
}
