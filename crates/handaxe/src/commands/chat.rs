//! `handaxe chat`: one question after another, over the same files and over what was answered
//! before. Each question is a run like any other; the conversation itself is a small file.

mod reading;

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use handaxe_agent::{Goal, Report, Turn};
use handaxe_sandbox::Cancel;
use handaxe_types::{DataFile, RunId, RunState, Task, ToolState};
use rustyline::error::ReadlineError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use self::reading::{refers_back, table, typed_path};
use super::{approvals, ask};
use crate::cli::{ApprovalsCommand, ChatArgs, SignArgs};
use crate::failure::{Exit, Failure, Outcome};
use crate::inputs;
use crate::models::{self, Chosen};
use crate::render::text::{Lines, Shown, clip};
use crate::render::{bad, faint, strong};
use crate::telemetry::redactor;
use crate::workshop::{Workshop, registry_failure};

/// Turns that later questions may refer to.
const REMEMBERED: usize = 6;
/// Of an answer that is remembered, in characters.
const MAX_ANSWER: usize = 2_000;
/// A conversation's file is not read past this.
const MAX_FILE: u64 = 16 << 20;

const HELP: &str = "\
Ask anything about the attached files, or about the last answer (\"of those …\", \"sort them …\").
  /data FILE     attach a file; /data alone lists them, /data clear lets them go
  /tools [WORDS] the library, or the tools that fit the words
  /approve [N]   what waits for a person; with a number, say yes to it
  /once N        use what waits once for its answer, where the policy allows that, and let it wait
  /history       what was asked here
  /undo          forget the last question and its answer
  /help          this
  /quit          leave; `handaxe chat --resume ID` goes on from here
Ctrl-C stops what is under way, and nothing else.";

/// A conversation as it is kept.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Conversation {
    id: String,
    data: Vec<PathBuf>,
    turns: Vec<Told>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Told {
    question: String,
    run: RunId,
    answer: String,
    /// The result as a file, for questions about it.
    result: Option<PathBuf>,
    /// Waiting for a person when it was last looked at.
    #[serde(default)]
    approval: Option<i64>,
}

struct Chat<'a> {
    shop: &'a Workshop,
    args: &'a ChatArgs,
    chosen: Chosen,
    talk: Conversation,
    /// What Ctrl-C stops; nothing between the steps.
    under_way: Arc<Mutex<Option<Cancel>>>,
}

pub(crate) fn run(shop: &Workshop, args: &ChatArgs) -> Outcome {
    let dir = shop.home()?.dir().join("chats");
    let io = |e: std::io::Error| Failure::failed("chat", format!("{}: {e}", dir.display()));
    std::fs::create_dir_all(&dir).map_err(io)?;
    let talk = match &args.resume {
        Some(id) => Conversation::load(&dir, id)?,
        None => Conversation {
            id: fresh_id(shop)?,
            ..Conversation::default()
        },
    };
    let mut chat = Chat {
        chosen: models::choose(shop, &args.model)?,
        shop,
        args,
        talk,
        under_way: Arc::default(),
    };
    for path in &args.data {
        chat.attach(path);
    }
    shop.sandbox()?;
    chat.greet();
    chat.listen_for_interrupts()?;
    chat.converse(&dir)
}

/// What was typed behind a command, as the number of a request.
fn number(said: &str) -> Result<i64, Failure> {
    said.parse().map_err(|_| {
        Failure::usage(format!(
            "`{}` is not the number of a request",
            Shown(&clip(said, 40))
        ))
        .hint("/approve alone lists what waits")
    })
}

/// As a run's id, so that conversations sort by time.
fn fresh_id(shop: &Workshop) -> Result<String, Failure> {
    let now = shop.registry()?.now_ms();
    let mut random = [0; 3];
    getrandom::fill(&mut random)
        .map_err(|e| Failure::failed("chat", format!("no random numbers: {e}")))?;
    Ok(RunId::new(now, random).as_str().replacen('r', "c", 1))
}

impl Conversation {
    fn path(dir: &Path, id: &str) -> PathBuf {
        dir.join(format!("{id}.json"))
    }

    fn load(dir: &Path, id: &str) -> Result<Self, Failure> {
        let unknown = || {
            Failure::failed(
                "not_found",
                format!("there is no conversation `{}`", Shown(&clip(id, 40))),
            )
            .hint("the id stands at the top of a chat; the newest are in chats/ of the home")
        };
        let plain = id.len() <= 40 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain {
            return Err(unknown());
        }
        let file = std::fs::File::open(Self::path(dir, id)).map_err(|_| unknown())?;
        let mut bytes = Vec::new();
        file.take(MAX_FILE)
            .read_to_end(&mut bytes)
            .map_err(|e| Failure::failed("chat", e.to_string()))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Failure::failed("chat", format!("conversation {id}: {e}")))
    }

    fn save(&self, dir: &Path) -> std::io::Result<()> {
        let path = Self::path(dir, &self.id);
        let next = path.with_extension("next");
        let mut file = std::fs::File::create(&next)?;
        file.write_all(redactor().json(&json!(self)).to_string().as_bytes())?;
        file.sync_data()?;
        std::fs::rename(next, path)
    }
}

impl Chat<'_> {
    fn greet(&self) {
        let out = &self.shop.out;
        out.note(faint().for_stderr().apply_to(format!(
            "{} ({}). Conversation {}; /help says what there is.",
            Shown(&self.chosen.spec),
            Shown(&self.chosen.why),
            self.talk.id
        )));
        for told in &self.talk.turns {
            out.note(
                faint()
                    .for_stderr()
                    .apply_to(format!("> {}", Shown(&told.question))),
            );
        }
    }

    /// One listener for the whole conversation: it stops a step, and leaves the rest alone. It is
    /// there when this returns: the line editor puts back whatever it found before it.
    fn listen_for_interrupts(&self) -> Result<(), Failure> {
        let under_way = Arc::clone(&self.under_way);
        let runtime = self.shop.runtime()?;
        let _inside = runtime.enter();
        let mut interrupts = signal(SignalKind::interrupt())
            .map_err(|e| Failure::failed("chat", format!("cannot listen for Ctrl-C: {e}")))?;
        runtime.spawn(async move {
            while interrupts.recv().await.is_some() {
                let slot = under_way.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(cancel) = slot.as_ref() {
                    cancel.cancel();
                }
            }
        });
        Ok(())
    }

    fn converse(&mut self, dir: &Path) -> Outcome {
        let failed = |e: ReadlineError| Failure::failed("terminal", e.to_string());
        let mut editor = rustyline::DefaultEditor::new().map_err(failed)?;
        let history = dir.join("history");
        let _ = editor.load_history(&history);
        let asks = std::io::stdin().is_terminal();
        loop {
            let line = match editor.readline(if asks { "> " } else { "" }) {
                Ok(line) => line.trim().to_owned(),
                Err(ReadlineError::Interrupted) => {
                    self.shop.out.note("/quit or Ctrl-D leaves");
                    continue;
                }
                Err(ReadlineError::Eof) => break,
                Err(e) => return Err(failed(e)),
            };
            if line.is_empty() {
                continue;
            }
            let _ = editor.add_history_entry(&line);
            let _ = editor.append_history(&history);
            if matches!(line.as_str(), "/quit" | "/exit") {
                break;
            }
            // What fails here fails for this line.
            if let Err(failure) = self.line(dir, &line) {
                self.complain(&failure);
            }
        }
        let id = &self.talk.id;
        if !self.talk.turns.is_empty() {
            let text = format!("handaxe chat --resume {id} goes on from here");
            self.shop.out.note(faint().for_stderr().apply_to(text));
        }
        self.shop
            .out
            .document(&json!({"conversation": self.talk}))?;
        Ok(Exit::Done)
    }

    fn complain(&self, failure: &Failure) {
        let out = &self.shop.out;
        out.paragraph(&bad().bold(), "error:", &failure.message);
        if let Some(hint) = &failure.hint {
            out.paragraph(&strong(), "hint:", hint);
        }
    }

    fn line(&mut self, dir: &Path, line: &str) -> Result<(), Failure> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        match word {
            "/help" => self.shop.out.say(HELP),
            "/data" if rest.is_empty() => {
                for path in &self.talk.data {
                    self.shop.out.say(Shown(&path.display().to_string()));
                }
            }
            "/data" if rest == "clear" => self.talk.data.clear(),
            "/data" => self.attach(&typed_path(rest, std::env::home_dir())),
            "/tools" => self.tools(rest)?,
            "/approve" => self.approve(dir, rest)?,
            "/once" => self.once(dir, rest)?,
            "/history" => {
                for (i, told) in self.talk.turns.iter().enumerate() {
                    let line = format!("{}. {}", i + 1, Shown(&told.question));
                    self.shop.out.say(line);
                    self.shop.out.say(faint().apply_to(Lines(&told.answer)));
                }
            }
            "/undo" => match self.talk.turns.pop() {
                Some(told) => {
                    self.save(dir)?;
                    let text = format!("forgotten: {}", Shown(&told.question));
                    self.shop.out.say(text);
                }
                None => self.shop.out.say("nothing to forget"),
            },
            _ if word.starts_with('/') => {
                return Err(
                    Failure::usage(format!("`{}` is no command", Shown(&clip(word, 40))))
                        .hint("/help lists them"),
                );
            }
            _ => self.ask(dir, line)?,
        }
        Ok(())
    }

    /// Attaches a file, which must be there now and at each question.
    fn attach(&mut self, path: &Path) {
        match inputs::attach(&[path.to_owned()]) {
            Ok(files) => {
                for file in files {
                    let text = format!("attached {} ({} bytes)", Shown(&file.name), file.bytes);
                    self.shop.out.note(text);
                    if !self.talk.data.contains(&file.path) {
                        self.talk.data.push(file.path);
                    }
                }
            }
            Err(failure) => self.complain(&failure),
        }
    }

    fn tools(&self, words: &str) -> Result<(), Failure> {
        let registry = self.shop.registry()?;
        let lines: Vec<String> = if words.is_empty() {
            let tools = registry.tools(&[ToolState::Active]);
            let tools = tools.map_err(|e| registry_failure(&e))?;
            let line = |t: &handaxe_registry::ToolSummary| {
                format!(
                    "{}@{}  {}",
                    t.name,
                    t.version,
                    Shown(&clip(&t.description, 90))
                )
            };
            tools.iter().map(line).collect()
        } else {
            let hits = registry
                .search(words, 10)
                .map_err(|e| registry_failure(&e))?;
            let line = |h: &handaxe_registry::Hit| {
                format!(
                    "{}@{}  {}",
                    h.tool,
                    h.version,
                    Shown(&clip(&h.description, 90))
                )
            };
            hits.iter().map(line).collect()
        };
        if lines.is_empty() {
            self.shop.out.say("no tools yet");
        }
        for line in lines {
            self.shop.out.say(line);
        }
        Ok(())
    }

    /// Says yes to a waiting tool, and lets the questions that waited for it go on.
    fn approve(&mut self, dir: &Path, rest: &str) -> Result<(), Failure> {
        if rest.is_empty() {
            approvals::run(self.shop, ApprovalsCommand::List { all: false })?;
            return Ok(());
        }
        let id = number(rest)?;
        let show = ApprovalsCommand::Show { id, code: false };
        approvals::run(self.shop, show)?;
        approvals::run(
            self.shop,
            ApprovalsCommand::Approve {
                id,
                digest: None,
                sign: SignArgs::default(),
            },
        )?;
        let waiting = self.waits_for(id);
        waiting.map_or(Ok(()), |at| self.go_on(dir, at, ask::Word::None))
    }

    /// One use of what waits, for the question that waits for it: no approval, and it waits on.
    fn once(&mut self, dir: &Path, rest: &str) -> Result<(), Failure> {
        let id = number(rest)?;
        let word = ask::Word::given(self.shop, false, true)?;
        let Some(at) = self.waits_for(id) else {
            return Err(
                Failure::usage(format!("no question of this conversation waits for {id}"))
                    .hint("only the question that a tool was made for may use it before the yes"),
            );
        };
        self.go_on(dir, at, word)
    }

    /// The turn whose tool waits under this number.
    fn waits_for(&self, id: i64) -> Option<usize> {
        self.talk.turns.iter().position(|t| t.approval == Some(id))
    }

    /// Takes up the run of a turn again; what it answers is the turn's answer.
    fn go_on(&mut self, dir: &Path, at: usize, word: ask::Word) -> Result<(), Failure> {
        let run = self.talk.turns[at].run.clone();
        let report = self.step(|cancel| ask::resumed(self.shop, &run, word, cancel))?;
        let told = self.told(dir, &self.talk.turns[at].question.clone(), &report)?;
        self.talk.turns[at] = told;
        self.save(dir)
    }

    fn ask(&mut self, dir: &Path, question: &str) -> Result<(), Failure> {
        let task = Task {
            question: question.to_owned(),
            data: self.data(question)?,
            goldens: Vec::new(),
            examples: Vec::new(),
            preview: ask::preview(self.shop, &self.args.model)?,
        };
        let chosen = &self.chosen;
        let mut begun = ask::begun(self.shop, task, Goal::Answer, &self.args.model, chosen)?;
        begun.making.history = self.remembered();
        let report = self.step(|cancel| ask::started(self.shop, &begun, chosen, cancel))?;
        let told = self.told(dir, question, &report)?;
        if let Some(id) = told.approval {
            let once = self.shop.home()?.policy.approval.while_waiting_minutes > 0
                && report.provisional.is_none();
            let once = if once {
                format!(" /once {id} uses it once for this answer meanwhile.")
            } else {
                String::new()
            };
            self.shop
                .out
                .note(format!("Here, /approve {id} shows it and says yes.{once}"));
        }
        self.talk.turns.push(told);
        self.save(dir)
    }

    /// One step, which Ctrl-C ends and which does not end the conversation.
    fn step<T>(&self, work: impl FnOnce(&Cancel) -> Result<T, Failure>) -> Result<T, Failure> {
        let cancel = Cancel::default();
        let put = |what| {
            *self
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = what;
        };
        put(Some(cancel.clone()));
        let done = work(&cancel);
        put(None);
        done
    }

    /// The files of a question: the last result where it speaks of that, else what is attached.
    fn data(&self, question: &str) -> Result<Vec<DataFile>, Failure> {
        let last = self.talk.turns.iter().rev().find_map(|t| t.result.clone());
        let paths = match last {
            Some(result) if refers_back(question) || self.talk.data.is_empty() => vec![result],
            _ => self.talk.data.clone(),
        };
        inputs::attach(&paths)
    }

    fn remembered(&self) -> Vec<Turn> {
        let from = self.talk.turns.len().saturating_sub(REMEMBERED);
        self.talk.turns[from..]
            .iter()
            .map(|t| Turn {
                question: t.question.clone(),
                answer: t.answer.clone(),
            })
            .collect()
    }

    /// A finished run as a turn; its result is kept as a file where it is more than one value.
    fn told(&self, dir: &Path, question: &str, report: &Report) -> Result<Told, Failure> {
        let result = report.result.as_ref().and_then(table);
        let path = match result {
            None => None,
            Some(result) => {
                let folder = dir.join(&self.talk.id);
                let path = folder.join(format!("result-{}.json", self.talk.turns.len() + 1));
                std::fs::create_dir_all(&folder)
                    .and_then(|()| std::fs::write(&path, redactor().json(&result).to_string()))
                    .map_err(|e| Failure::failed("chat", format!("{}: {e}", path.display())))?;
                Some(path)
            }
        };
        let waiting = report.state == RunState::Waiting;
        Ok(Told {
            question: question.to_owned(),
            run: report.run.clone(),
            answer: clip(report.answer.as_deref().unwrap_or_default(), MAX_ANSWER),
            result: path,
            approval: report.approval.filter(|_| waiting).map(|id| id.0),
        })
    }

    fn save(&self, dir: &Path) -> Result<(), Failure> {
        self.talk
            .save(dir)
            .map_err(|e| Failure::failed("chat", format!("could not be kept: {e}")))
    }
}
