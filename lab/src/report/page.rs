//! What the page says, in the frame that `loadgen::page` gives it.

use std::borrow::Cow;

use loadgen::page::{self, Data};
use maud::{Markup, html};

use super::Document;
use super::html::{badge, exhibit, table};
use crate::compare::{self, Comparison};
use crate::experiment::Entry;
use crate::verdict::Verdict;

/// The page of `document`.
pub(super) fn page(document: &Document) -> String {
    let body = html! {
        (header(document))
        @if let Some(comparison) = &document.comparison { (compared(comparison)) }
        @for entry in &document.experiments {
            (section(entry, entry.headline == headline(document)))
        }
        (conditions(document))
    };
    let data = Data {
        id: "results",
        json: &document.json(),
    };
    page::render("echolab: who serves whom", &body, data)
}

fn header(document: &Document) -> Markup {
    let machine = &document.machine;
    html! {
        header {
            p class="kicker" { "echolab · measured on this machine: " (machine.cpus) " processors, Linux " (machine.kernel) }
            h1 { (headline(document)) }
            @if document.interrupted {
                p class="note" { "This report is partial: the work was interrupted." }
            }
            @if !document.experiments.is_empty() {
                nav aria-label="Experiments" {
                    @for chapter in document.experiments.chunk_by(|a, b| a.chapter == b.chapter) {
                        @if let Some(first) = chapter.first() { h2 { (first.chapter) } }
                        ol {
                            @for entry in chapter {
                                li { a href={ "#" (entry.name) } { (entry.name) } " " (badge(entry.verdict)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The first thing that was found out; of several chapters how many claims hold; without either
/// what all of it is about.
fn headline(document: &Document) -> Cow<'_, str> {
    let all = &document.experiments;
    let first = all.first().filter(|entry| !entry.headline.is_empty());
    match first {
        Some(first) if all.iter().all(|entry| entry.chapter == first.chapter) => {
            first.headline.as_str().into()
        }
        _ if all.is_empty() => "Pool the work, not the connection.".into(),
        _ => {
            let hold = all.iter().filter(|entry| entry.verdict == Verdict::Holds);
            format!(
                "{} of {} claims hold on this machine.",
                hold.count(),
                all.len()
            )
            .into()
        }
    }
}

fn section(entry: &Entry, repeated: bool) -> Markup {
    html! {
        section id=(entry.name) {
            p class="kicker" { (entry.name) " " (badge(entry.verdict)) }
            h2 { (entry.question) }
            @if !entry.headline.is_empty() && !repeated { p class="headline" { (entry.headline) } }
            div class="exhibits" { @for shown in &entry.exhibits { (exhibit(shown)) } }
            dl {
                dt { "Claim" } dd { (entry.claim) }
                dt { "Prediction, made before" } dd { (entry.prediction) }
                dt { "Method" } dd { (entry.method) }
                dt { "Verdict" } dd { strong { (entry.verdict) } " — " (entry.reason)
                    @if entry.attempts > 1 { " (attempt " (entry.attempts) "; those before could not tell)" }
                }
                @if entry.verdict == Verdict::Holds {
                    dt { "So" } dd class="lesson" { (entry.lesson) }
                }
            }
        }
    }
}

fn compared(comparison: &Comparison) -> Markup {
    html! {
        section id="comparison" {
            p class="kicker" { "comparison" }
            h2 { "What do the strategies cost?" }
            p class="headline" { (compare::headline(comparison)) }
            @for shown in compare::tables(comparison) { (table(&shown)) }
        }
    }
}

fn conditions(document: &Document) -> Markup {
    let machine = &document.machine;
    let runs = document
        .experiments
        .iter()
        .flat_map(|entry| entry.runs.iter().map(move |run| (entry.name.as_ref(), run)));
    let compared = document
        .comparison
        .iter()
        .flat_map(|comparison| comparison.runs.iter().map(|run| ("comparison", run)));
    html! {
        section id="conditions" {
            h2 { "Under what conditions?" }
            dl {
                dt { "Machine" } dd {
                    @if let Some(model) = &machine.cpu_model { (model) ", " }
                    (machine.cpus) " processors"
                    @if let Some(bytes) = machine.memory_bytes { ", " (cli::units::bytes(bytes)) " of memory" }
                    ". Servers and load generator share it, over the loopback interface."
                }
                dt { "Kernel" } dd { "Linux " (machine.kernel) }
                dt { "Program" } dd {
                    (document.tool.name) " " (document.tool.version)
                    @if let Some(commit) = &document.tool.commit { ", commit " (commit) }
                    ": " code { (document.command) }
                }
                dt { "Seed" } dd { (document.seed) }
            }
            details {
                summary { "Every run, as it can be repeated" }
                div class="scroll" tabindex="0" role="region" aria-label="Runs" {
                    table class="runs" {
                        thead { tr { th scope="col" { "for" } th scope="col" { "server" } th scope="col" { "load" } th scope="col" { "served" } th scope="col" { "audit" } } }
                        tbody {
                            @for (name, run) in runs.chain(compared) {
                                tr {
                                    td { (name) }
                                    td { code { (run.server) } }
                                    td { code { (run.load) } }
                                    td { (run.served) }
                                    td { (format!("{:?}", run.audit).to_lowercase()) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
