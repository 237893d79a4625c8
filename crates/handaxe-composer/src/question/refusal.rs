//! Why the built-in author does not make a tool, in sentences that say what to do instead.

use std::fmt;

/// Each kind is a different next step for the person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The question is about data and none is attached.
    NoData,
    /// More files than a chain reads.
    SeveralFiles { names: Vec<String> },
    /// Nothing in it is about the attached data.
    NotAboutData { fields: Vec<String> },
    /// Some words have no meaning against this data.
    NotUnderstood {
        understood: Vec<String>,
        words: Vec<String>,
        fields: Vec<String>,
    },
    /// Two readings fit equally; `options` are ways to say it that are not.
    Ambiguous { what: String, options: Vec<String> },
    /// Understood, and more than the built-in author's steps can say.
    Beyond { what: String, fields: Vec<String> },
    /// No program that can be told satisfies the examples.
    NoProgram { examples: usize },
    /// A field cannot be used that way.
    Unfit { what: String, fields: Vec<String> },
}

/// What the built-in author can do, for people.
pub const ABILITIES: &str = "count, total, average, median, smallest and largest, by group, over \
    time or as a table of both, top values, filter, list, unique values, word and value frequencies, \
    extract e-mails, URLs, IPs, dates, numbers or a pattern, sentiment, describe a file, remove \
    duplicates, make texts uniform, sort, join two files, and convert between CSV, TSV, JSON and \
    JSON Lines";

const CONNECT: &str = "for anything else connect a model: `--model openai:NAME`, \
    `--model anthropic:NAME`, `--model ollama:NAME` or `--base-url URL`";

impl Refusal {
    /// What happened, in one or two sentences.
    pub fn reason(&self) -> String {
        match self {
            Self::NoData => {
                "no data is attached, and the built-in author only answers questions about a file"
                    .to_owned()
            }
            Self::SeveralFiles { names } => format!(
                "{} files are attached ({}), and the built-in author reads one at a time, or two together",
                names.len(),
                names.join(", ")
            ),
            Self::NotAboutData { .. } => {
                "nothing in the question matches the attached data".to_owned()
            }
            Self::NotUnderstood {
                understood, words, ..
            } => {
                let words = quoted(words);
                if understood.is_empty() {
                    format!("the built-in author does not know what to make of {words}")
                } else {
                    format!(
                        "the built-in author understood {}, but not {words}; it answers only where every word is accounted for",
                        quoted(understood)
                    )
                }
            }
            Self::Ambiguous { what, .. } => {
                format!("the question can be read in more than one way: {what}")
            }
            Self::Beyond { what, .. } => format!("this is beyond the built-in author: {what}"),
            Self::Unfit { what, .. } => what.clone(),
            Self::NoProgram { examples } => format!(
                "no program of the built-in author turns every input of the {examples} examples into its output"
            ),
        }
    }

    /// The next thing to try.
    pub fn hint(&self) -> String {
        match self {
            Self::NoData => {
                format!("attach a file with `--data FILE`; it can {ABILITIES}; {CONNECT}")
            }
            Self::SeveralFiles { names } => format!(
                "attach one, e.g. `--data {}`; {CONNECT}",
                names.first().map_or("FILE", String::as_str)
            ),
            Self::NoProgram { .. } => format!(
                "check the examples for a slip, or leave out one that follows a rule of its own; {CONNECT}"
            ),
            Self::Ambiguous { options, .. } => format!("say which, e.g. {}", quoted(options)),
            Self::NotAboutData { fields }
            | Self::NotUnderstood { fields, .. }
            | Self::Beyond { fields, .. }
            | Self::Unfit { fields, .. } => {
                format!(
                    "the fields are {}; it can {ABILITIES}; {CONNECT}",
                    fields.join(", ")
                )
            }
        }
    }
}

fn quoted(words: &[String]) -> String {
    let all: Vec<String> = words.iter().map(|w| format!("`{w}`")).collect();
    match all.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => all.concat(),
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nhint: {}", self.reason(), self.hint())
    }
}

impl std::error::Error for Refusal {}
