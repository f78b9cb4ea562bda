//! The document and the page, checked without running anything.

use super::*;
use crate::bench::RunNote;
use crate::exhibit::{Bars, Cell, Chart, Curves, Exhibit, Offered};
use crate::exhibit::{Panel, Staircase, Table, Tone};
use crate::experiments;
use crate::verdict::Ruling;
use loadgen::svg::{Bar, Curve, Measure, OfferedLine, Series, Span};
use tags::tags;

// A page of the lab has the frame of one of loadgen, and is looked at in the same way.
#[path = "../../../loadgen/src/page/tags.rs"]
mod tags;

/// A document with one experiment that shows one exhibit of every kind.
fn document(verdict: Ruling) -> Document {
    let mut document = Document::new("lab run trap".into(), Effort::Short, 1);
    document.tool.commit = Some("0123456789ab-dirty".into());
    document.machine = Machine {
        cpus: 2,
        cpu_model: Some("A <CPU> & more".into()),
        memory_bytes: None,
        kernel: "6.1".into(),
    };
    document.experiments.push(entry(verdict));
    document
}

fn entry(ruling: Ruling) -> Entry {
    let known = experiments::find("trap").unwrap();
    let mut figures = crate::experiment::Figures::new();
    figures.insert("served".into(), 4.into());
    Entry {
        name: known.name.into(),
        chapter: known.chapter,
        verdict: ruling.verdict,
        reason: ruling.reason,
        figures,
        headline: "4 of 50".into(),
        question: "Q?".into(),
        claim: "C.".into(),
        prediction: "P.".into(),
        method: "M.".into(),
        lesson: "L.".into(),
        attempts: 1,
        took_s: 1.5,
        runs: vec![RunNote {
            server: "server 127.0.0.1:0".into(),
            load: "loadgen ADDR".into(),
            took_s: 1.0,
            served: "4/50".into(),
            audit: loadgen::report::Verdict::Pass,
        }],
        completed: true,
        exhibits: exhibits(),
    }
}

fn exhibits() -> Vec<Exhibit> {
    let (title, caption) = (
        String::from("</script><b>"),
        String::from("\" onload='x' &"),
    );
    let name = String::from("<script>alert(1)</script>");
    let span = |at_s| Span {
        first_byte_s: at_s,
        ..Span::default()
    };
    let panel = Panel {
        name: name.clone(),
        capacity: 1,
        clients: vec![span(Some(0.0)), span(None)],
    };
    vec![
        Exhibit::Table(Table {
            title: title.clone(),
            caption: caption.clone(),
            header: vec!["a".into(), "b".into()],
            rows: vec![vec![
                name.as_str().into(),
                Cell::toned("4/50 starved", Tone::Bad),
            ]],
        }),
        Exhibit::Staircase(Staircase {
            title: title.clone(),
            caption: caption.clone(),
            hold_s: 1.0,
            end_s: 2.0,
            panels: vec![panel.clone(), panel],
        }),
        Exhibit::Bars(Bars {
            title: title.clone(),
            caption: caption.clone(),
            bars: vec![Bar {
                name: name.clone(),
                served: 4,
                waiting: 46,
                note: name.clone(),
            }],
        }),
        Exhibit::Offered(Offered {
            title: title.clone(),
            caption: caption.clone(),
            lines: vec![OfferedLine {
                name: name.clone(),
                points: vec![(1, 1), (50, 4)],
            }],
        }),
        chart(&title, &caption, &name),
        curves(title, caption, name),
    ]
}

fn chart(title: &str, caption: &str, name: &str) -> Exhibit {
    Exhibit::Chart(Chart {
        title: title.into(),
        caption: caption.into(),
        x: (name.into(), Measure::Seconds),
        y: (name.into(), Measure::Amount),
        series: vec![Series {
            name: name.into(),
            points: vec![(0.0, Some(1.0)), (1.0, None)],
            ..Series::default()
        }],
    })
}

fn curves(title: String, caption: String, name: String) -> Exhibit {
    Exhibit::Curves(Curves {
        title,
        caption,
        curves: vec![Curve {
            name,
            points: vec![(0.0, 20.0), (0.9, 90.0)],
            ..Curve::default()
        }],
    })
}

#[test]
fn the_page_is_well_formed_and_asks_nobody_for_anything() {
    let page = page::page(&document(Ruling::holds("fine")));
    let tags = tags(&page);
    for foreign in ["link", "img", "iframe", "object", "embed", "b"] {
        assert!(!tags.iter().any(|tag| tag == foreign), "<{foreign}>");
    }
    for loading in [
        "src=",
        "href=\"http",
        "url(http",
        "@import",
        " onload=\"",
        "javascript:",
    ] {
        assert!(!page.contains(loading), "{loading}");
    }
    assert!(page.len() < 1 << 20);
}

#[test]
fn the_page_has_no_script_but_its_data() {
    let page = page::page(&document(Ruling::holds(
        "</script><script>alert(1)</script><!--",
    )));
    assert_eq!(page.matches("<script").count(), 1);
    assert_eq!(page.matches("</script>").count(), 1);
    let json = page
        .split(r#"id="results">"#)
        .nth(1)
        .and_then(|rest| rest.split("</script>").next());
    let value: serde_json::Value = serde_json::from_str(json.unwrap()).unwrap();
    assert_eq!(value["experiments"][0]["verdict"], "holds");
    assert_eq!(
        value["experiments"][0]["reason"],
        "</script><script>alert(1)</script><!--"
    );
}

#[test]
fn the_page_says_its_verdict_in_words() {
    for ruling in [
        Ruling::holds("r"),
        Ruling::inconclusive("r"),
        Ruling::does_not_hold("r"),
    ] {
        let word = ruling.verdict.to_string();
        let page = page::page(&document(ruling));
        assert!(page.contains(&format!("</span> {word}</span>")), "{word}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a document is long")]
fn the_document_keeps_its_keys() {
    let mut document = document(Ruling::does_not_hold("served 5 of 50 clients"));
    document.experiments[0].runs.clear();
    document.experiments[0].exhibits.truncate(1);
    insta::assert_snapshot!(document.json(), @r##"
    {
      "schema": 1,
      "tool": {
        "name": "lab",
        "version": "0.1.0",
        "commit": "0123456789ab-dirty"
      },
      "command": "lab run trap",
      "interrupted": false,
      "machine": {
        "cpus": 2,
        "cpu_model": "A <CPU> & more",
        "memory_bytes": null,
        "kernel": "6.1"
      },
      "effort": "short",
      "seed": 1,
      "experiments": [
        {
          "name": "trap",
          "verdict": "does not hold",
          "reason": "served 5 of 50 clients",
          "figures": {
            "served": 4
          },
          "headline": "4 of 50",
          "chapter": "serving",
          "question": "Q?",
          "claim": "C.",
          "prediction": "P.",
          "method": "M.",
          "lesson": "L.",
          "attempts": 1,
          "took_s": 1.5,
          "runs": [],
          "completed": true,
          "exhibits": [
            {
              "kind": "table",
              "title": "</script><b>",
              "caption": "\" onload='x' &",
              "header": [
                "a",
                "b"
              ],
              "rows": [
                [
                  {
                    "text": "<script>alert(1)</script>",
                    "tone": "plain"
                  },
                  {
                    "text": "4/50 starved",
                    "tone": "bad"
                  }
                ]
              ]
            }
          ]
        }
      ],
      "comparison": null
    }
    "##);
}

#[test]
fn a_saved_document_can_be_shown_again() {
    let folder = tempfile::tempdir().unwrap();
    let saved = document(Ruling::holds("fine"));
    saved.save(folder.path()).unwrap();
    let read = Document::read(folder.path()).unwrap();
    assert_eq!(read, saved);
    assert_eq!(page::page(&read), page::page(&saved));
}

#[test]
fn results_that_cannot_be_read_are_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Document::read(folder.path()).unwrap_err().to_string();
    assert!(missing.contains("results.json") && missing.contains("--out"));
    for (text, why) in [
        ("{}", "missing field"),
        ("{\"schema\": 2}", "another version"),
    ] {
        std::fs::write(folder.path().join(DOCUMENT), text).unwrap();
        let refused = Document::read(folder.path()).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(refused.contains("run the experiments again"), "{refused}");
    }
}

#[test]
fn the_worst_verdict_makes_the_exit_code() {
    let code = |rulings: Vec<Ruling>| {
        let mut document = document(Ruling::holds("fine"));
        document.experiments = rulings.into_iter().map(entry).collect();
        document.exit_code()
    };
    let (good, unclear, bad) = (
        Ruling::holds("a"),
        Ruling::inconclusive("b"),
        Ruling::does_not_hold("c"),
    );
    assert_eq!(code(vec![]), 0);
    assert_eq!(code(vec![good.clone(), good.clone()]), 0);
    assert_eq!(code(vec![good.clone(), unclear.clone()]), 4);
    assert_eq!(code(vec![unclear, bad, good]), 3);
}

#[test]
fn what_could_not_be_run_is_a_failure() {
    let mut document = document(Ruling::inconclusive("could not run: no server"));
    document.experiments[0].completed = false;
    assert_eq!(document.exit_code(), 1);
}

#[test]
fn a_report_takes_the_place_of_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("deep/er");
    document(Ruling::inconclusive("first")).save(&out).unwrap();
    document(Ruling::holds("second")).save(&out).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, [PAGE, DOCUMENT]);
    assert!(
        std::fs::read_to_string(out.join(DOCUMENT))
            .unwrap()
            .contains("second")
    );
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = document(Ruling::holds("x"))
        .save(file.path())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("cannot write ") && error.ends_with("choose another folder by --out")
    );
}
