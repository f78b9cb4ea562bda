//! What an experiment shows besides its verdict: pictures and tables as data.
//!
//! Experiments fill these in; `report` draws each of them twice, as text and as HTML. Nothing here
//! knows how either looks.

use serde::{Deserialize, Serialize};

use loadgen::svg::{Bar, Curve, Measure, OfferedLine, Series, Span};

/// One picture or table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Exhibit {
    /// Rows and columns.
    Table(Table),
    /// Who was admitted when.
    Staircase(Staircase),
    /// How many were served and how many waited.
    Bars(Bars),
    /// Clients served against clients offered.
    Offered(Offered),
    /// Distributions of waits.
    Curves(Curves),
    /// Lines over a quantity.
    Chart(Chart),
}

/// How a cell is to be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// As any other.
    #[default]
    Plain,
    /// As expected, and worth seeing.
    Good,
    /// A warning: starved or invalid; never to be ranked.
    Bad,
    /// Of no weight here.
    Faint,
}

/// One cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Its text.
    pub text: String,
    /// How to read it.
    pub tone: Tone,
}

impl Cell {
    /// A cell with a certain tone.
    pub fn toned(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// How many of the clients were served: good only if it is all of them.
    pub fn served(served: u32, clients: u32) -> Self {
        let tone = if served == clients {
            Tone::Good
        } else {
            Tone::Bad
        };
        Self::toned(format!("{served}/{clients}"), tone)
    }

    /// A figure, or a dash where there is none.
    pub fn or_dash(figure: Option<String>) -> Self {
        figure.unwrap_or_else(|| "-".to_owned()).into()
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// Rows and columns; the first column names the row.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// The heads of the columns.
    pub header: Vec<String>,
    /// The rows, each as long as the header.
    pub rows: Vec<Vec<Cell>>,
}

/// The clients of one server in the order of their admission.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Panel {
    /// The server's name.
    pub name: String,
    /// How many clients it should serve at once.
    pub capacity: usize,
    /// The clients, those never served last.
    pub clients: Vec<Span>,
}

/// Who was admitted when, server by server; the first panel is shown large.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Staircase {
    /// What it shows.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// How long a served client stays, in seconds.
    pub hold_s: f64,
    /// How long was watched, in seconds.
    pub end_s: f64,
    /// One per server.
    pub panels: Vec<Panel>,
}

/// How many clients were served and how many waited.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bars {
    /// What it shows.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// One per server.
    pub bars: Vec<Bar>,
}

/// Clients served against clients offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offered {
    /// What it shows.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// One per server.
    pub lines: Vec<OfferedLine>,
}

/// Distributions of waits, from the median to the rare ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    /// What it shows.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// One per measurement.
    pub curves: Vec<Curve>,
}

/// Lines over a quantity: time, clients, load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// What the horizontal axis says, and what it measures.
    pub x: (String, Measure),
    /// The same of the vertical one.
    pub y: (String, Measure),
    /// The lines.
    pub series: Vec<Series>,
}
