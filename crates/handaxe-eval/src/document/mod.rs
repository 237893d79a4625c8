//! A report as people read it: sections with words, a table, and bars; the same for the terminal
//! and for the page.

mod arms;
mod gate;
mod html;
mod scored;

pub use arms::of_arms;
pub use gate::of_gate;
pub use html::html;
pub use scored::{of_gap, of_scored};

/// A whole report.
#[derive(Clone, Debug, Default)]
pub struct Document {
    pub title: String,
    pub sections: Vec<Section>,
    /// What to know when reading it.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default)]
pub struct Section {
    pub heading: String,
    pub text: Vec<String>,
    pub table: Option<Table>,
    pub bars: Vec<Bar>,
}

#[derive(Clone, Debug, Default)]
pub struct Table {
    pub header: Vec<String>,
    /// The first cell of a row is its name; the others are figures.
    pub rows: Vec<Vec<String>>,
}

/// A share between 0 and 1 with its interval.
#[derive(Clone, Debug)]
pub struct Bar {
    pub label: String,
    pub share: f64,
    pub low: f64,
    pub high: f64,
    pub tone: Tone,
}

/// Whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Good,
    Bad,
}

impl Bar {
    pub(crate) fn new(
        label: impl Into<String>,
        (share, low, high): (f64, f64, f64),
        tone: Tone,
    ) -> Self {
        Self {
            label: label.into(),
            share,
            low,
            high,
            tone,
        }
    }
}

impl Table {
    pub(crate) fn new(header: &[&str], rows: Vec<Vec<String>>) -> Self {
        let header = header.iter().map(|h| (*h).to_owned()).collect();
        Self { header, rows }
    }
}

/// `12.3 % (10.1 to 14.9)`.
pub(crate) fn percent((share, low, high): (f64, f64, f64)) -> String {
    format!(
        "{:.1} % ({:.1} to {:.1})",
        100.0 * share,
        100.0 * low,
        100.0 * high
    )
}
