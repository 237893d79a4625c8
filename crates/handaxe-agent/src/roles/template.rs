//! The prompts: files in `templates/`, each of which a person may replace.

use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value as Held};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior};
use serde_json::{Value, json};

use super::quote;

/// File name → text. `author_repair.md` extends `author.md`, `tester_again.md` `tester.md`.
const BUILT_IN: [(&str, &str); 8] = [
    ("planner.md", include_str!("../../templates/planner.md")),
    ("author.md", include_str!("../../templates/author.md")),
    (
        "author_repair.md",
        include_str!("../../templates/author_repair.md"),
    ),
    ("tester.md", include_str!("../../templates/tester.md")),
    (
        "tester_again.md",
        include_str!("../../templates/tester_again.md"),
    ),
    ("reviewer.md", include_str!("../../templates/reviewer.md")),
    ("arbiter.md", include_str!("../../templates/arbiter.md")),
    (
        "parse_repair.md",
        include_str!("../../templates/parse_repair.md"),
    ),
];
const MAX_TEMPLATE: u64 = 256 << 10;
/// Of minijinja's steps in one rendering: ends an override that loops.
const FUEL: u64 = 1_000_000;

#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("cannot read the template {}", path.display())]
    Read {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("the template {} is larger than {MAX_TEMPLATE} bytes", path.display())]
    TooLarge { path: PathBuf },
    #[error("{file}, line {line}: {reason}")]
    Broken {
        /// The overriding file, or the built-in template's name.
        file: String,
        line: usize,
        reason: String,
        #[source]
        source: Box<Error>,
    },
    #[error("{file} has no `{{% block {block} %}}`")]
    NoBlock { file: String, block: &'static str },
}

/// A filled template.
#[derive(Debug)]
pub(super) struct Prompt {
    pub system: String,
    pub user: String,
}

/// The templates, parsed.
#[derive(Debug)]
pub struct Templates {
    env: Environment<'static>,
    /// Name → the file that replaced it.
    overridden: Vec<(&'static str, PathBuf)>,
}

impl Templates {
    /// The built-in ones, each replaced by `<dir>/<name>` where that exists.
    pub fn load(override_dir: Option<&Path>) -> Result<Self, TemplateError> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        env.set_fuel(Some(FUEL));
        env.set_auto_escape_callback(|_| AutoEscape::None);
        let tags_take_their_line = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        if let Ok(syntax) = tags_take_their_line {
            env.set_syntax(syntax);
        }
        env.add_filter("data", |value: Held| {
            if value.is_undefined() {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            serde_json::to_value(&value)
                .map(|value| quote::data(&value))
                .map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))
        });
        env.add_filter("fenced", |text: &str, language: &str| {
            quote::fenced(text, language)
        });
        let mut templates = Self {
            env,
            overridden: Vec::new(),
        };
        for (name, built_in) in BUILT_IN {
            let mut text = built_in.to_owned();
            let path = override_dir.map(|dir| dir.join(name));
            if let Some((path, replaced)) = path.and_then(|p| Some((p.clone(), read(&p)?))) {
                text = replaced?;
                templates.overridden.push((name, path));
            }
            templates
                .env
                .add_template_owned(name, text)
                .map_err(|e| templates.broken(name, e))?;
        }
        for (name, _) in BUILT_IN {
            templates.check(name)?;
        }
        Ok(templates)
    }

    /// The names of the templates that were replaced, for the provenance.
    pub fn overridden(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.overridden.iter().map(|(name, _)| *name)
    }

    pub(super) fn render(&self, name: &str, context: &Value) -> Result<Prompt, TemplateError> {
        let broken = |e| self.broken(name, e);
        let template = self.env.get_template(name).map_err(broken)?;
        let mut rendered = template
            .render_captured(Held::from(Serde(context)))
            .map_err(broken)?;
        let mut block = |block: &'static str| {
            rendered
                .with_state_mut(|state| state.render_block(block))
                .map(|text| text.trim().to_owned())
        };
        Ok(Prompt {
            system: block("system").map_err(broken)?,
            user: block("user").map_err(broken)?,
        })
    }

    /// Fills a template once with sample values, so that a misspelt name in an override shows
    /// before any model is paid.
    fn check(&self, name: &'static str) -> Result<(), TemplateError> {
        match self.render(name, &sample()) {
            Err(TemplateError::Broken { file, source, .. })
                if source.kind() == ErrorKind::UnknownBlock =>
            {
                let missing_user = source.to_string().contains("'user'");
                let block = if missing_user { "user" } else { "system" };
                Err(TemplateError::NoBlock { file, block })
            }
            Err(e) => Err(e),
            Ok(_) => Ok(()),
        }
    }

    /// Names the file that is at fault, which with `extends` is not always the one asked for.
    fn broken(&self, asked: &str, e: Error) -> TemplateError {
        let name = e.name().unwrap_or(asked);
        let file = self
            .overridden
            .iter()
            .find(|(n, _)| *n == name)
            .map_or_else(|| name.to_owned(), |(_, path)| path.display().to_string());
        let reason = match e.detail() {
            Some(detail) => format!("{}: {detail}", e.kind()),
            None => e.kind().to_string(),
        };
        TemplateError::Broken {
            file,
            line: e.line().unwrap_or(0),
            reason,
            source: Box::new(e),
        }
    }
}

/// `None` where there is no such file.
fn read(path: &Path) -> Option<Result<String, TemplateError>> {
    use std::io::Read as _;
    let path = path.to_owned();
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(source) => return Some(Err(TemplateError::Read { path, source })),
    };
    let mut text = String::new();
    Some(
        match file.take(MAX_TEMPLATE + 1).read_to_string(&mut text) {
            Err(source) => Err(TemplateError::Read { path, source }),
            Ok(n) if n as u64 > MAX_TEMPLATE => Err(TemplateError::TooLarge { path }),
            Ok(_) => Ok(text),
        },
    )
}

/// Every name that a template may use, over all roles.
fn sample() -> Value {
    let failure = json!({
        "held_out": false, "name": "n", "origin": "author", "input": {}, "files": {},
        "expected": {}, "got": null, "error": null, "stderr": "", "kind": "",
    });
    json!({
        "question": "q", "history": [], "preview": {}, "offers": [], "externals": [], "domains": ["text"], "denied": [],
        "needs": ["network"], "request": {"name": "n", "purpose": "p", "domain": "text"},
        "files": ["f"], "examples": [], "base": {"spec": {}, "code": ""}, "imports": ["re"], "max_kib": 64, "forbidden": ["eval"],
        "repair": {
            "attempt": 2, "spec": {}, "code": "", "cases": [], "invocation": {}, "findings": [],
            "template": [], "failures": [failure],
        },
        "spec": {}, "case": {}, "cases": [], "survivors": ["s"], "code": "", "findings": [],
        "capabilities": [], "fault": "f",
    })
}
