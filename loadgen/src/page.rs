//! The frame of a page of results: one file without scripts, fonts or anything else from elsewhere,
//! readable in light and dark, on paper and on a telephone.
//!
//! It knows nothing of what is on the page. Every text is escaped by maud; the one thing that is
//! not, the block of data, is made unable to look like a tag.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::svg::series_class;

/// The style sheet, which goes into the page.
const STYLE: &str = include_str!("page.css");
/// What the page may load: nothing but its own style.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What a page carries for programs.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// The name to find it by.
    pub id: &'a str,
    /// A JSON document.
    pub json: &'a str,
}

/// The page with `body` in it. A reader needs no script: `data` is there for programs.
#[must_use]
pub fn render(title: &str, body: &Markup, data: Data<'_>) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (patterns())
                main { (body) }
                // Nothing inside this element may look like a tag, and in JSON a bracket can be
                // written so.
                script type="application/json" id=(data.id) { (PreEscaped(data.json.replace('<', "\\u003c"))) }
            }
        }
    };
    page.into_string()
}

/// The hatching of those who wait, so that they can be told apart without colours.
fn patterns() -> Markup {
    html! {
        svg class="hidden" width="0" height="0" aria-hidden="true" {
            defs {
                pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect class="hatch-ground" width="5" height="5" {}
                    line class="hatch-line" x1="0" y1="0" x2="0" y2="5" {}
                }
            }
        }
    }
}

/// A picture, and beside it, or below where there is no room, how to read it.
#[must_use]
pub fn figure(title: &str, caption: &str, picture: &Markup, legend: &Markup) -> Markup {
    html! {
        figure {
            h3 { (title) }
            div class="body" {
                div class="picture" { (picture) }
                div class="aside" {
                    (legend)
                    figcaption { (caption) }
                }
            }
        }
    }
}

/// What the two colours of a picture of clients mean.
#[must_use]
pub fn who_waits() -> Markup {
    html! {
        ul class="legend" {
            li { span class="key served" {} "served" }
            li { span class="key waiting" {} "connected and waiting" }
        }
    }
}

/// The names of series in their colours.
#[must_use]
pub fn legend(names: &[String]) -> Markup {
    html! {
        ul class="legend" {
            @for (index, name) in names.iter().enumerate() {
                li { span class={ "key " (series_class(index)) } {} (name) }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tags;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_data_cannot_end_its_block() {
        let hostile = "</script><script>alert(1)</script>";
        let json = serde_json::to_string(hostile).unwrap();
        let data = Data {
            id: "data",
            json: &json,
        };
        let page = render(hostile, &legend(&[hostile.to_owned()]), data);
        assert_eq!(
            (
                page.matches("<script").count(),
                page.matches("</script").count()
            ),
            (1, 1)
        );
        let block = page.split(r#"id="data">"#).nth(1).unwrap();
        let block = block.split("</script>").next().unwrap();
        assert_eq!(serde_json::from_str::<String>(block).unwrap(), hostile);
    }

    #[test]
    fn the_page_may_load_nothing() {
        let page = render(
            "t",
            &html! {},
            Data {
                id: "data",
                json: "{}",
            },
        );
        assert!(page.contains("default-src 'none'"), "{page}");
        for loading in ["src=", "href=", "url(http", "@import", "<link"] {
            assert!(!page.contains(loading), "{loading}");
        }
    }
}
