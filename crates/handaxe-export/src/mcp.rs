//! A stand-alone MCP server over standard input and output: one Python file of the standard
//! library beside the signed tool, with a bundle manifest and settings for a client.

use handaxe_registry::Files;
use serde_json::{Value, json};

use crate::formats::{Format, FormatError, pretty};
use crate::outside;
use crate::python::call;
use crate::subject::Subject;

const SERVER: &str = include_str!("python/server.py");

pub(crate) fn server(
    subject: &Subject,
    place: Option<&std::path::Path>,
) -> Result<Files, FormatError> {
    let mut files = subject.under("tool/");
    files.insert("call.py".to_owned(), call("HERE / \"tool\""));
    files.insert("server.py".to_owned(), SERVER.into());
    files.insert(
        "manifest.json".to_owned(),
        pretty("the manifest", &manifest(subject))?,
    );
    // A client starts the server from wherever it is itself.
    let script = match place {
        Some(dir) => dir.join("server.py").display().to_string(),
        None => "server.py".to_owned(),
    };
    let settings = json!({"mcpServers": {
        subject.name(): {"command": "python3", "args": [script]},
    }});
    files.insert("mcp.json".to_owned(), pretty("the settings", &settings)?);
    files.insert("README.md".to_owned(), readme(subject));
    Ok(files)
}

/// The manifest of an MCP bundle, version 0.3
/// (<https://github.com/modelcontextprotocol/mcpb/blob/main/MANIFEST.md>).
fn manifest(subject: &Subject) -> Value {
    let line = subject.line();
    json!({
        "manifest_version": "0.3",
        "name": subject.name().replace('_', "-"),
        "version": format!("{}.0.0", subject.version),
        "description": line,
        "author": {"name": "Handaxe"},
        "server": {
            "type": "python",
            "entry_point": "server.py",
            "mcp_config": {"command": "python3", "args": ["${__dirname}/server.py"]},
        },
        "tools": [{"name": subject.name(), "description": line}],
        "compatibility": {"runtimes": {"python": ">=3.10"}},
    })
}

fn readme(subject: &Subject) -> Vec<u8> {
    let mut out = outside::head(subject);
    out += "`server.py` is an MCP server with this one tool, on Python's standard library alone. \
            `mcp.json` is what a client's settings say; it names this folder, so export again \
            where the folder moves. `manifest.json` makes the folder an MCP bundle.\n\n\
            Where Handaxe is installed, prefer `handaxe mcp`: the same tool, in the sandbox.\n\n\
            Each call here is a process of its own, ended at the tool's time limit; that is all \
            that is left of the sandbox.\n\n## Arguments\n\n";
    out += &outside::arguments(subject);
    out.push('\n');
    out += &outside::section(subject, Format::Mcp);
    out.into_bytes()
}
