//! The command line's shape, as clap reads it. No behaviour here.

use std::path::PathBuf;

use crate::sandboxes::Choice;
use clap::{Args, Parser, Subcommand, ValueEnum};

/// An assistant that makes its own tools, proves them in a sandbox, and keeps them.
#[derive(Debug, Parser)]
#[command(name = "handaxe", version, about, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 waiting for approval, 4 refused by validation or policy,
5 sandbox unavailable, 6 a bound was hit.

To watch: --log LEVEL (or HANDAXE_LOG), --otlp URL (or OTEL_EXPORTER_OTLP_ENDPOINT) with any command,
and `serve --metrics ADDRESS`.

Start with:
  handaxe ask \"Analyze the sentiment of these logs\" --data examples/logs.jsonl";

#[derive(Clone, Debug, Args)]
pub(crate) struct Global {
    /// Where tools, runs, the journal and settings live
    #[arg(
        long,
        global = true,
        env = "HANDAXE_HOME",
        hide_env_values = true,
        value_name = "DIR"
    )]
    pub(crate) home: Option<PathBuf>,
    /// One JSON document on stdout
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Print no progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// The Python that runs the tools, inside the sandbox
    #[arg(
        long,
        global = true,
        env = "HANDAXE_PYTHON",
        hide_env_values = true,
        value_name = "PATH"
    )]
    pub(crate) python: Option<PathBuf>,
    /// What isolates the tools: native, oci, oci:RUNTIME (crun, runc, youki, runsc, kata),
    /// docker, or landlock where policy.toml allows it
    #[arg(
        long,
        global = true,
        env = "HANDAXE_SANDBOX",
        hide_env_values = true,
        value_name = "BACKEND"
    )]
    pub(crate) sandbox: Option<Choice>,
    /// Tell on standard error what happens: error, warn, info, debug, trace, or TARGET=LEVEL
    #[arg(
        long,
        global = true,
        env = "HANDAXE_LOG",
        hide_env_values = true,
        hide = true,
        value_name = "LEVEL"
    )]
    pub(crate) log: Option<String>,
    /// Send traces to an OpenTelemetry collector (OTLP over HTTP), e.g. http://127.0.0.1:4318
    #[arg(
        long,
        global = true,
        env = "OTEL_EXPORTER_OTLP_ENDPOINT",
        hide_env_values = true,
        hide = true,
        value_name = "URL"
    )]
    pub(crate) otlp: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer a question about data, making a tool if none fits
    Ask(AskArgs),
    /// Ask one question after another, over the same files and over what was answered
    Chat(ChatArgs),
    /// Make a tool without using it
    Make(AskArgs),
    /// Run an approved tool
    Run(RunArgs),
    /// The library of tools
    #[command(subcommand)]
    Tools(ToolsCommand),
    /// Tools that wait for a person
    #[command(subcommand)]
    Approvals(ApprovalsCommand),
    /// What was asked, and how each run went
    #[command(subcommand)]
    Runs(RunsCommand),
    /// The journal of everything that changed
    #[command(subcommand)]
    Audit(AuditCommand),
    /// What this machine gives: isolation, interpreter, model
    Doctor,
    /// The sandbox by itself
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// The keys that sign evidence and approvals
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Settings and where they are
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Measure what the maker gets right, and what the proof lets through
    Eval(EvalArgs),
    /// Serve the library to an agent over standard input and output (MCP)
    Mcp(McpArgs),
    /// Serve the library over HTTP: pages for people, MCP for agents
    Serve(ServeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DoorArgs {
    /// A folder that clients may name files in; may be given again
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Vec<PathBuf>,
    /// Where the pages of `handaxe serve` are: a client that can open one is sent to
    /// URL/approvals/ID when a person must decide [default for serve: its own address]
    #[arg(long, value_name = "URL")]
    pub(crate) pages: Option<String>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    #[command(subcommand)]
    pub(crate) command: Option<McpCommand>,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ServeArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ServeCommand>,
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7333")]
    pub(crate) addr: std::net::SocketAddr,
    /// The bearer token, one line; made when missing [default: keys/server-token in the home]
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// A name by which the server may be asked, besides localhost; may be given again
    #[arg(long, value_name = "HOST")]
    pub(crate) allow_host: Vec<String>,
    /// A page's origin that may ask, scheme, name and port; may be given again
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) allow_origin: Vec<String>,
    /// Seconds in which a request's headers have to be whole, and its body begin and keep coming
    #[arg(long, value_name = "SECONDS", default_value_t = handaxe_server::READ_WITHIN.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) read_timeout: u64,
    /// Figures for Prometheus at /metrics on a listener of their own, e.g. 127.0.0.1:9464
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<std::net::SocketAddr>,
    /// Serve what the protocol's conformance suite asks for, and nothing else
    #[arg(long, hide = true)]
    pub(crate) conformance_fixture: bool,
    #[command(flatten)]
    pub(crate) door: DoorArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum McpCommand {
    /// Other programs' servers ([mcp.NAME] in config.toml) and what was accepted of them
    #[command(subcommand)]
    Servers(ServersCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServersCommand {
    /// Every server: accepted, changed, not accepted or unreachable
    List,
    /// All that a server says of its tools, and what it said when it was accepted
    Show {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Let plans use a server's tools as they are listed now
    Accept {
        #[arg(value_name = "NAME")]
        name: String,
        /// The listing's digest, or at least 6 characters of it, as `show` gave it
        #[arg(long, value_name = "DIGEST")]
        digest: Option<String>,
        #[command(flatten)]
        sign: SignArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServeCommand {
    /// Print a one-time link that signs a person in to the server of this home
    Login,
    /// Print the OpenAPI document of the HTTP API
    Openapi,
}

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The question, in plain words
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// A file to work on; may be given again
    #[arg(long, short, value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// Expected results, JSON Lines of {"input", "expect"}; taken before any code is written and
    /// never shown to an author
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// What is wanted of one input, 'IN => OUT', each JSON or text as it stands; '@BEFORE => @AFTER'
    /// for files, @FILE for JSON Lines of {"input", "output"}; may be given again
    #[arg(long, value_name = "IN => OUT")]
    pub(crate) example: Vec<String>,
    /// The day that "last 30 days" and its like count back from; else the newest one in the data
    #[arg(long, value_name = "DATE")]
    pub(crate) as_of: Option<String>,
    /// Approve the tool made by this very command, as the person who runs it
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Answer once with a tool that still waits for approval, where policy.toml allows that
    /// (`while_waiting_minutes`): recorded, shown on the answer and the card, and no approval
    #[arg(long, conflicts_with_all = ["yes", "plan"])]
    pub(crate) while_waiting: bool,
    /// Show the plan and stop: nothing is written, nothing runs
    #[arg(long)]
    pub(crate) plan: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Where files that a tool produces are put; nothing there is overwritten
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// A file to talk about; may be given again
    #[arg(long, short, value_name = "FILE")]
    pub(crate) data: Vec<PathBuf>,
    /// Go on with an earlier conversation
    #[arg(long, value_name = "ID")]
    pub(crate) resume: Option<String>,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ModelArgs {
    /// composer (built in), openai:NAME, anthropic:NAME, ollama:NAME or replay:FILE
    #[arg(
        long,
        short,
        value_name = "MODEL",
        env = "HANDAXE_MODEL",
        hide_env_values = true
    )]
    pub(crate) model: Option<String>,
    /// Any OpenAI-compatible server, e.g. http://127.0.0.1:8080/v1
    #[arg(long, value_name = "URL")]
    pub(crate) base_url: Option<String>,
    /// What of the data a model may see
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(crate) preview: Option<PreviewArg>,
    /// How often a refused draft goes back to its author
    #[arg(long, value_name = "N")]
    pub(crate) max_repairs: Option<u32>,
    /// Drafts that a model writes side by side; the one that proves best is kept
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=8))]
    pub(crate) candidates: Option<u32>,
    /// Tokens that this run may spend
    #[arg(long, value_name = "N")]
    pub(crate) max_tokens: Option<u64>,
    /// Seconds that this run may take, waiting for a person not counted
    #[arg(long, value_name = "N")]
    pub(crate) max_seconds: Option<u64>,
    /// Keep the conversation with a live model in FILE, for replay
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PreviewArg {
    None,
    Schema,
    Sample,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// NAME or NAME@VERSION
    pub(crate) tool: String,
    /// The input object as JSON, or @FILE
    #[arg(long, short, value_name = "JSON|@FILE")]
    pub(crate) input: Option<String>,
    /// A file for the tool; give NAME=FILE to name the input property
    #[arg(long, short, value_name = "FILE")]
    pub(crate) data: Vec<String>,
    /// Where files that the tool produces are put
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
}

#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LimitArgs {
    /// Set limits: wall, cpu (2s, 500ms, 1m); memory, output, stdio, scratch, file (256M, 64K);
    /// inodes, files, processes (a number). `file` is the largest one written, `files` the most
    /// open, `inodes` the most in the scratch
    #[arg(long = "limit", value_name = "NAME=VALUE", value_delimiter = ',')]
    pub(crate) limit: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ToolsCommand {
    /// Every tool and its newest version
    List {
        /// Retired, revoked and waiting versions too
        #[arg(long, short)]
        all: bool,
    },
    /// One tool: schemas, evidence, code
    Show {
        /// NAME or NAME@VERSION
        tool: String,
        /// Only the code
        #[arg(long)]
        code: bool,
    },
    /// Find a tool by words
    Search {
        query: String,
        #[arg(long, default_value_t = 10, value_name = "N")]
        limit: u32,
    },
    /// Make the index that tools are found by again, from the tools themselves
    Reindex,
    /// Prove a tool and show its score card, without registering anything
    Test(TestArgs),
    /// Check a tool's signed evidence, and prove it again
    Verify(VerifyArgs),
    /// Write a tool with its evidence, for another machine or another program
    Export(ExportArgs),
    /// Prove a hand-written or exported tool folder and ask for its approval
    Import {
        /// A tool folder, or an exported package or skill
        dir: PathBuf,
        #[arg(long, value_name = "FILE")]
        golden: Vec<PathBuf>,
        /// Why the tool is wanted
        #[arg(long, value_name = "TEXT")]
        why: Option<String>,
        /// Approve it as the person who runs this command
        #[arg(long, short)]
        yes: bool,
    },
    /// Write the whole library as a static site
    Docs {
        /// A folder that does not exist yet
        #[arg(long, value_name = "DIR")]
        site: PathBuf,
        /// Replace an earlier site
        #[arg(long)]
        force: bool,
    },
    /// Keep a tool callable but offer another in its place
    Deprecate {
        tool: String,
        #[arg(long, value_name = "NAME[@V]")]
        successor: String,
    },
    /// Take a tool out of use
    Retire { tool: String },
    /// Bring a retired or quarantined tool back
    Restore { tool: String },
    /// Withdraw a tool for good, with the reason
    Revoke {
        tool: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// A folder with tool.py, spec.json and cases.jsonl; or NAME or NAME@VERSION
    #[arg(value_name = "DIR|NAME[@V]")]
    pub(crate) tool: String,
    /// Expected results, JSON Lines of {"input", "expect"}; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) golden: Vec<PathBuf>,
    /// Generate inputs and mutants from this seed
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// NAME or NAME@VERSION
    #[arg(value_name = "NAME[@V]")]
    pub(crate) tool: String,
    /// Which form
    #[arg(long = "as", value_enum, value_name = "FORM", default_value_t = FormArg::Folder)]
    pub(crate) form: FormArg,
    /// A folder that does not exist yet; a skill goes into it under its own name
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Replace an earlier export
    #[arg(long)]
    pub(crate) force: bool,
    /// For a provider: keep the whole schema and leave `strict` off where strict cannot express it
    #[arg(long)]
    pub(crate) no_strict: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FormArg {
    /// The signed folder, for another home
    Folder,
    /// A package for pip whose tests run under plain pytest
    Python,
    /// An Agent Skill
    Skill,
    /// A function tool for OpenAI's API
    Openai,
    /// A tool for Anthropic's API
    Anthropic,
    /// A stand-alone MCP server
    Mcp,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// NAME or NAME@VERSION of this home, or an exported folder
    #[arg(value_name = "NAME[@V]|DIR", required_unless_present = "against")]
    pub(crate) tool: Option<String>,
    /// An exported folder, from a home that this machine need not know
    #[arg(long, value_name = "DIR")]
    pub(crate) against: Option<PathBuf>,
    /// A public key whose word you take (PEM or hexadecimal); may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Vec<PathBuf>,
    /// The same by its id, as `handaxe keys list` shows it there; may be given again
    #[arg(long, value_name = "HEX")]
    pub(crate) fingerprint: Vec<String>,
    /// Check signatures and digests only, and run nothing
    #[arg(long)]
    pub(crate) offline: bool,
}

/// Where an approver's key and its passphrase are.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct SignArgs {
    /// The approver's key file [default: the one under keys/approvers in the home]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Read the passphrase from a file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// This home's keys and the approvers'
    List,
    /// A new key signs from now on; the old one still verifies
    Rotate,
    /// A public key, to take to another machine
    Export {
        /// The key's id or the beginning of it [default: the key that signs now]
        key: Option<String>,
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// The key signs no more; what it signed stands
    Retire { key: String },
    /// What the key signed counts no more
    Revoke {
        key: String,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// The keys of the people who approve
    #[command(subcommand)]
    Approver(ApproverCommand),
}

/// Whose word enrols a key.
#[derive(Clone, Debug, Args)]
pub(crate) struct EnrolArgs {
    /// Read the key's passphrase from a file instead of the terminal
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The key file of an approver who vouches for it; needed for every key but the first
    #[arg(long, value_name = "FILE")]
    pub(crate) vouched_by: Option<PathBuf>,
    /// Read the voucher's passphrase from a file instead of the terminal
    #[arg(long, value_name = "FILE", requires = "vouched_by")]
    pub(crate) voucher_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApproverCommand {
    /// Make a key that a passphrase unlocks, and enrol it
    Create {
        /// Whose key it is [default: you]
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Where to keep it [default: keys/approvers in the home]
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        word: EnrolArgs,
    },
    /// Enrol a key file that was made earlier or elsewhere
    Enrol {
        file: PathBuf,
        #[command(flatten)]
        word: EnrolArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// What waits for a person
    List {
        /// Decided ones too
        #[arg(long, short)]
        all: bool,
    },
    /// The whole approval card
    Show {
        id: i64,
        /// With the code
        #[arg(long)]
        code: bool,
    },
    /// Read the card key by key at the terminal, and decide
    Review { id: i64 },
    /// Say yes to exactly the digest shown
    Approve {
        id: i64,
        /// Refuse unless the digest starts with this
        #[arg(long, value_name = "HEX")]
        digest: Option<String>,
        #[command(flatten)]
        sign: SignArgs,
    },
    /// Say no, with the reason
    Reject {
        id: i64,
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Newest first
    List {
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
    },
    /// One run: plan, attempts, verdicts, answer
    Show {
        id: String,
        /// With each attempt's diff and stderr
        #[arg(long)]
        full: bool,
    },
    /// Finish a run that was interrupted or that waited
    Resume {
        id: String,
        /// Approve the tool that the run made, as the person who runs this command
        #[arg(long, short)]
        yes: bool,
        /// Answer once with the tool that the run made while it waits for approval, where
        /// policy.toml allows that (`while_waiting_minutes`)
        #[arg(long, conflicts_with = "yes")]
        while_waiting: bool,
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// The events, oldest first
    Log {
        /// Only about this run, tool or approval
        #[arg(long, value_name = "TEXT")]
        subject: Option<String>,
        #[arg(long, value_name = "EVENT")]
        kind: Option<String>,
        /// The newest N
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: u32,
    },
    /// Check the chain, and the state against it
    Verify {
        /// A signed checkpoint kept elsewhere: finds a cut tail or a rewrite too
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Sign the head of the journal, to keep elsewhere
    Checkpoint {
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// All events as JSON Lines
    Export {
        #[arg(long, short, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Run a Python file's run(**input) in the sandbox
    Run {
        /// Python with a function run(…); - reads standard input
        #[arg(long, value_name = "FILE|-")]
        code: PathBuf,
        /// run's arguments as a JSON object; - reads standard input
        #[arg(long, short, value_name = "JSON|@FILE|-")]
        input: Option<String>,
        /// A file to attach as /data/NAME; give PROPERTY=FILE to pass its path as an input
        #[arg(long, short, value_name = "FILE")]
        data: Vec<String>,
        /// Output properties that name produced files
        #[arg(long, value_name = "PROPERTY")]
        collect: Vec<String>,
        /// Where produced files go; made if it is missing
        #[arg(long, value_name = "DIR", default_value = ".")]
        out: PathBuf,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Try sixty-one doors of the kernel from inside, and show which are open
    Probe,
    /// Measure the sandbox beside whichever others are installed
    Bench {
        /// How many warm calls, and how many in each sustained run
        #[arg(long, value_name = "N", default_value_t = 1000)]
        calls: usize,
        /// At most 200 calls and a few starts of each peer
        #[arg(long)]
        quick: bool,
        /// Draw the latencies
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// What is in force, and from where
    Show,
    /// The files and folders of this home
    Path,
}

#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// What is measured
    #[arg(long, value_enum, value_name = "SUITE")]
    pub(crate) suite: SuiteArg,
    /// A folder that `scripts/eval-data` or `scripts/eval-gate` made, with the whole suite [default:
    /// the small one built in]
    #[arg(long, value_name = "DIR")]
    pub(crate) from: Option<PathBuf>,
    /// Which drawing to use
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Which part of the folder's suite
    #[arg(long, value_enum, value_name = "PART", default_value_t = PartArg::Open, requires = "from")]
    pub(crate) part: PartArg,
    /// Where each trial's folder is kept; the same command goes on from what is there
    /// [default: eval in the home]
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Trials side by side
    #[arg(long, short, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// Only so many items, drawn evenly
    #[arg(long, value_name = "N")]
    pub(crate) take: Option<usize>,
    /// Write the report as one page that needs nothing else
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    /// gate: switch each check off in turn, and see what gets through
    #[arg(long)]
    pub(crate) switch_off: bool,
    /// gate: inputs generated for each draft [default: as policy.toml says]
    #[arg(long, value_name = "N")]
    pub(crate) fuzz: Option<u32>,
    /// gate: mutants of each draft [default: as policy.toml says]
    #[arg(long, value_name = "N")]
    pub(crate) mutants: Option<u32>,
    /// formats, latm: only this family; may be given again
    #[arg(long, value_name = "NAME")]
    pub(crate) family: Vec<String>,
    /// formats, latm: problems of each family
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) each: u16,
    /// formats, latm: how often each problem is asked, with other texts; from the second on there
    /// may be a tool
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: u16,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuiteArg {
    /// Questions about data files, answered by the composer; takes no model
    Data,
    /// Programs from examples, found by the composer; takes no model
    Example,
    /// Requests that a library covers, and requests that it does not; planned by the model
    Gap,
    /// The proof itself: right drafts and seeded bugs; takes no model
    Gate,
    /// Formats invented for this: no tool, one shot and Handaxe side by side, with the model
    Formats,
    /// The six tasks of LATM, the same way
    Latm,
}

impl SuiteArg {
    /// Whether it makes a difference which model is named.
    pub(crate) fn takes_a_model(self) -> bool {
        matches!(self, Self::Gap | Self::Formats | Self::Latm)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Example => "example",
            Self::Gap => "gap",
            Self::Gate => "gate",
            Self::Formats => "formats",
            Self::Latm => "latm",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PartArg {
    /// What was looked at while the author was worked on
    Open,
    /// Tasks, or one style of asking, kept aside
    Frozen,
    /// Data sets kept aside
    FrozenSets,
    /// Two files, tables of two ways, times that count back, records out
    Steps,
}
