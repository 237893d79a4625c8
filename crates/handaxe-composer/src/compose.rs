//! The public entry: a question and profiles in, a complete draft with its cases out.

use handaxe_types::{Author, Capability, Case, Draft, Limits, Need, Provenance, Spec, ToolRequest};
use serde_json::{Map, Value};

use crate::emit::{EmitError, emit, invocation};
use crate::profile::Profile;
use crate::question::{self, Refusal};
use crate::{Chain, Join, Order, Terminal, answer, cases, join, needs, words};

/// Everything the built-in author makes of a question.
#[derive(Clone, Debug)]
pub struct Composed {
    /// `None` for a tool made from examples.
    pub chain: Option<Chain>,
    /// Two questions with the same recipe are served by one tool.
    pub recipe: Value,
    pub request: ToolRequest,
    /// The plan in words, without numbers before the steps.
    pub steps: Vec<String>,
    /// Spec, code and the author's cases.
    pub draft: Draft,
    /// The tester's, from other samples of the same data.
    pub held_out: Vec<Case>,
    /// The arguments that answer this question; `data` names the file.
    pub invocation: Map<String, Value>,
    pub(crate) focus: Option<Order>,
    /// The file's fields in their order.
    pub(crate) columns: Vec<String>,
}

/// Why nothing was composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The chain was read and could not be written as Python.
    #[error("the plan could not be written as a tool: {0}")]
    Emit(#[from] EmitError),
    /// Whoever asked no longer waits.
    #[error("the search for a program was stopped")]
    Stopped,
}

/// Reads the question against the profiles given and writes the tool: of one file, or of two where
/// the one names records of the other.
pub fn compose(question: &str, profiles: &[Profile]) -> Result<Composed, ComposeError> {
    match profiles {
        [] => Err(Refusal::NoData.into()),
        [one] => of_one(question, one),
        [a, b] => of_two(question, [a, b]),
        several => Err(Refusal::SeveralFiles {
            names: several.iter().map(|p| p.name.clone()).collect(),
        }
        .into()),
    }
}

fn of_one(question: &str, profile: &Profile) -> Result<Composed, ComposeError> {
    let reading = question::read(question, profile)?;
    let chain = reading.chain.clone();
    made(question, reading, chain, (profile, None))
}

/// Where one file says it all by itself the other is not read; else they are joined.
fn of_two(question: &str, files: [&Profile; 2]) -> Result<Composed, ComposeError> {
    if !join::is_asked(question, files) {
        let alone = files.map(|file| question::read(question, file).is_ok());
        for (i, other) in [(0, 1), (1, 0)] {
            if alone[i] && !alone[other] {
                join::is_said(question, files)?;
                let mut composed = of_one(question, files[i])?;
                let note = format!("{} is not needed for this.", files[other].name);
                composed.steps.insert(1, note);
                return Ok(composed);
            }
        }
    }
    let meeting = join::meet(question, files)?;
    let reading = question::read(&meeting.question, &meeting.profile)?;
    let used = cases::used_fields(&reading.chain);
    let chain = meeting.joined(reading.chain.clone(), &used)?;
    let (data, other) = (files[meeting.data], files[1 - meeting.data]);
    made(question, reading, chain, (data, Some(other)))
}

/// The draft for a chain, with its cases. `columns` are the fields of all that is read.
fn made(
    question: &str,
    reading: question::Reading,
    chain: Chain,
    (profile, other): (&Profile, Option<&Profile>),
) -> Result<Composed, ComposeError> {
    let emitted = emit(&chain)?;
    let second = other.map(|o| o.name.as_str());
    let mut steps = words::steps(&chain, &profile.name, second);
    let after = 1 + usize::from(other.is_some());
    steps.splice(after..after, reading.notes);
    let made = cases::cases(&chain, profile, other);
    let arguments = invocation(&chain, &profile.name, second);
    let mut needed = needs::needs(question, true);
    if emitted.capabilities.contains(&Capability::WriteFiles)
        || matches!(
            chain.terminal,
            Terminal::Convert { .. } | Terminal::Clean { .. }
        )
    {
        needed.push(Need::WriteFiles);
    }
    needed.sort_unstable();
    needed.dedup();
    let request = ToolRequest {
        name: emitted.name.clone(),
        purpose: emitted.description.clone(),
        domain: emitted.domain.to_owned(),
        needs: needed,
    };
    let draft = Draft {
        spec: Spec {
            name: emitted.name,
            description: emitted.description,
            input_schema: emitted.input_schema,
            output_schema: emitted.output_schema,
            domain: emitted.domain.to_owned(),
            capabilities: emitted.capabilities,
            limits: Limits::default(),
            deterministic: true,
        },
        code: emitted.code,
        cases: made.author,
        assets: emitted.assets,
        provenance: Provenance {
            author: Author::Composer,
            why: question.to_owned(),
            recipe: Some(emitted.recipe.clone()),
            invocation: arguments.clone(),
        },
    };
    let chain_join = chain.join.clone();
    Ok(Composed {
        chain: Some(chain),
        recipe: emitted.recipe,
        request,
        steps,
        draft,
        held_out: made.held_out,
        invocation: arguments,
        focus: reading.focus,
        columns: columns(profile, other, chain_join.as_ref()),
    })
}

/// The fields in their order, those of the other file by the names that they have when joined.
fn columns(profile: &Profile, other: Option<&Profile>, join: Option<&Join>) -> Vec<String> {
    let own = profile.fields.iter().map(|f| f.name.clone());
    let theirs = other.zip(join).into_iter().flat_map(|(other, join)| {
        let fields = other.fields.iter();
        fields.map(|f| format!("{}.{}", join.prefix, f.name))
    });
    own.chain(theirs).collect()
}

impl Composed {
    /// The tool's output in sentences that a reader can check, with the numbers.
    pub fn answer(&self, output: &Value) -> String {
        match &self.chain {
            Some(chain) => answer::answer(chain, self.focus, &self.columns, output),
            None => answer::converted(output),
        }
    }

    /// The steps with their numbers, and what their proof shows.
    pub fn plan(&self) -> String {
        let mut lines: Vec<String> = self
            .steps
            .iter()
            .enumerate()
            .map(|(i, s)| format!("{}. {s}", i + 1))
            .collect();
        lines.push(words::PROOF.to_owned());
        lines.join("\n")
    }
}

/// The policy's domain for a job: what it reaches for where that is more than its data, else the
/// kind of work that its words name.
pub fn domain(question: &str, needs: &[Need]) -> String {
    let beyond = needs
        .iter()
        .find(|n| !matches!(n, Need::ReadFiles | Need::WriteFiles));
    if let Some(need) = beyond {
        return need.as_str().to_owned();
    }
    const WORDS: &[(&str, &str)] = &[
        (
            "transformation",
            "convert transform reshape sort filter clean rename dedupe",
        ),
        ("parsing", "parse extract tokenize split read decode"),
        (
            "text",
            "word words text sentence sentiment spelling letter vowel string language",
        ),
        ("dates", "date dates calendar weekday timestamp timezone"),
        ("formatting", "format pretty indent table markdown"),
        (
            "maths",
            "factorial prime equation solve matrix square root fibonacci",
        ),
    ];
    let said = question.to_lowercase();
    let has = |words: &str| {
        words
            .split(' ')
            .any(|w| said.split(|c: char| !c.is_alphanumeric()).any(|s| s == w))
    };
    WORDS
        .iter()
        .find(|(_, words)| has(words))
        .map_or("analysis", |(domain, _)| domain)
        .to_owned()
}
