//! `handaxe mcp` and `handaxe serve`: the doors that stay open.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use handaxe_agent::{Begun, Goal, Minds};
use handaxe_server::{
    HttpError, HttpOptions, HttpServer, LINK_LIFE, Logins, MetricsServer, MindSource, Parts,
    Render, Roots, Service, serve_stdio,
};
use handaxe_types::{Case, Task, ToolName};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::ask::begun;
use super::servers;
use crate::cli::{DoorArgs, McpArgs, McpCommand, ModelArgs, ServeArgs, ServeCommand};
use crate::failure::{Exit, Failure, Outcome, chain};
use crate::home::login;
use crate::inputs;
use crate::models::{self, Chosen};
use crate::render::{faint, strong};
use crate::telemetry::{figures, redactor};
use crate::workshop::Workshop;

/// A token file is one line; more than this is not one.
const MAX_TOKEN_BYTES: u64 = 4096;
/// In the home: where its server was last started.
const URL_FILE: &str = "server-url";
/// Shorter tokens could be guessed.
const MIN_TOKEN_CHARS: usize = 32;

pub(crate) fn mcp(shop: &Workshop, args: McpArgs) -> Outcome {
    if let Some(McpCommand::Servers(command)) = args.command {
        return servers::servers(shop, command);
    }
    let pages = args.door.pages.clone();
    let service = open(shop, args.door)?;
    let stop = CancellationToken::new();
    runtime()?.block_on(async {
        let end = stop.clone();
        tokio::spawn(async move {
            asked_to_stop().await;
            end.cancel();
        });
        serve_stdio(service, pages, stop)
            .await
            .map_err(|e| Failure::failed("mcp", chain(&e)))
    })?;
    Ok(Exit::Done)
}

pub(crate) fn http(shop: &Workshop, args: ServeArgs) -> Outcome {
    match args.command {
        Some(ServeCommand::Login) => return new_link(shop),
        Some(ServeCommand::Openapi) => {
            let document = handaxe_server::openapi();
            shop.out.document(&document)?;
            shop.out.say(format!("{document:#}"));
            return Ok(Exit::Done);
        }
        None => {}
    }
    if args.conformance_fixture {
        return fixture(shop, args.addr);
    }
    let path = match &args.token_file {
        Some(path) => path.clone(),
        None => shop.home()?.dir().join("keys").join("server-token"),
    };
    let token = token(&path)?;
    let pages = args.door.pages.clone();
    redactor().add(&token);
    let service = open(shop, args.door)?;
    let logins = logins(shop)?;
    let named = args.allow_host.first().cloned();
    let options = HttpOptions {
        addr: args.addr,
        token: token.clone(),
        logins: logins.clone(),
        hosts: args.allow_host,
        origins: args.allow_origin,
        pages,
        read_within: Duration::from_secs(args.read_timeout),
    };
    let stop = CancellationToken::new();
    runtime()?.block_on(async {
        let figures = match args.metrics {
            Some(addr) => Some(watched(&service, addr, stop.clone()).await?),
            None => None,
        };
        let server = HttpServer::bind(service, options, stop.clone())
            .await
            .map_err(|e| serve_failure(&e))?;
        let addr = server.addr().map_err(|e| serve_failure(&e))?;
        let url = format!("http://{addr}/mcp");
        let web = web_url(addr, named);
        keep_url(shop, &web)?;
        let link = link(&logins, &web)?;
        shop.out.document(&json!({
            "mcp": url, "token_file": path, "web": web, "login": link, "metrics": figures,
        }))?;
        shop.out
            .say(format!("people   {}", strong().apply_to(&link)));
        shop.out
            .say(format!("MCP      {}", strong().apply_to(&url)));
        shop.out
            .say(format!("header   Authorization: Bearer {token}"));
        if let Some(figures) = &figures {
            shop.out
                .say(format!("metrics  {}", strong().apply_to(figures)));
        }
        shop.out.note(faint().for_stderr().apply_to(link_note()));
        shop.out.note(faint().for_stderr().apply_to(format!(
            "the token is kept in {}; Ctrl-C stops the server",
            path.display()
        )));
        tokio::spawn(async move {
            asked_to_stop().await;
            stop.cancel();
        });
        server.serve().await;
        Ok::<_, Failure>(())
    })?;
    Ok(Exit::Done)
}

/// Starts the listener for Prometheus; where it answers.
async fn watched(
    service: &Arc<Service>,
    addr: std::net::SocketAddr,
    stop: CancellationToken,
) -> Result<String, Failure> {
    let handle = figures()?;
    let render: Render = Arc::new(move || {
        handle.run_upkeep();
        handle.render()
    });
    let server = MetricsServer::bind(Arc::clone(service), addr, render, stop)
        .await
        .map_err(|e| serve_failure(&e))?;
    let addr = server.addr().map_err(|e| serve_failure(&e))?;
    tokio::spawn(async move {
        server.serve().await;
    });
    Ok(format!("http://{addr}/metrics"))
}

/// A new link to the server that was started last in this home.
fn new_link(shop: &Workshop) -> Outcome {
    let path = shop.home()?.dir().join(URL_FILE);
    let web = std::fs::read_to_string(&path).map_err(|_| {
        Failure::failed("no_server", "no server was started in this home")
            .hint("handaxe serve, which prints a link of its own")
    })?;
    let link = link(&logins(shop)?, web.trim())?;
    shop.out.document(&json!({ "login": link }))?;
    shop.out.say(strong().apply_to(&link));
    shop.out.note(faint().for_stderr().apply_to(link_note()));
    Ok(Exit::Done)
}

fn link_note() -> String {
    format!(
        "the link signs {} in, once, within {} minutes; `handaxe serve login` prints another",
        login(),
        LINK_LIFE.as_secs() / 60
    )
}

fn logins(shop: &Workshop) -> Result<Logins, Failure> {
    let dir = shop.home()?.dir().join("keys").join("logins");
    Ok(Logins::in_dir(dir))
}

fn link(logins: &Logins, web: &str) -> Result<String, Failure> {
    let token = logins
        .offer(&login())
        .map_err(|e| Failure::failed("login", chain(&e)))?;
    redactor().add(&token);
    Ok(format!("{web}login?token={token}"))
}

/// Where a person's browser finds the server.
fn web_url(addr: std::net::SocketAddr, named: Option<String>) -> String {
    match named {
        Some(host) if !addr.ip().is_loopback() && host.contains(':') => format!("http://{host}/"),
        Some(host) if !addr.ip().is_loopback() => format!("http://{host}:{}/", addr.port()),
        _ if addr.ip().is_unspecified() => format!("http://localhost:{}/", addr.port()),
        _ => format!("http://{addr}/"),
    }
}

/// For `serve login`, which is another process.
fn keep_url(shop: &Workshop, web: &str) -> Result<(), Failure> {
    let path = shop.home()?.dir().join(URL_FILE);
    std::fs::write(&path, format!("{web}\n"))
        .map_err(|e| Failure::failed("serve", format!("{}: {e}", path.display())))
}

/// For the protocol's own suite: no library, no token.
fn fixture(shop: &Workshop, addr: std::net::SocketAddr) -> Outcome {
    let stop = CancellationToken::new();
    runtime()?.block_on(async {
        let server = HttpServer::bind_fixture(addr, stop.clone())
            .await
            .map_err(|e| serve_failure(&e))?;
        let addr = server.addr().map_err(|e| serve_failure(&e))?;
        shop.out
            .document(&json!({"mcp": format!("http://{addr}/mcp")}))?;
        tokio::spawn(async move {
            asked_to_stop().await;
            stop.cancel();
        });
        server.serve().await;
        Ok::<_, Failure>(())
    })?;
    Ok(Exit::Done)
}

fn serve_failure(error: &HttpError) -> Failure {
    let failure = Failure::failed("serve", chain(error));
    match error {
        HttpError::Listen { .. } => {
            failure.hint("another program may listen there; --addr 127.0.0.1:0 takes a free port")
        }
        _ => failure,
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| Failure::failed("runtime", format!("cannot start: {e}")))
}

/// Ctrl-C, or whoever runs services says that it is time.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        },
        Err(_) => {
            let _ = tokio::signal::ctrl_c().await;
        }
    }
}

fn open(shop: &Workshop, args: DoorArgs) -> Result<Arc<Service>, Failure> {
    let roots = Roots::open(&args.root)
        .map_err(|e| Failure::usage(chain(&e)).hint("--root DIR names a folder that exists"))?;
    let parts = Parts {
        registry: shop.registry()?.clone(),
        sandbox: Arc::clone(shop.sandbox()?),
        policy: shop.home()?.policy.clone(),
        roots,
        minds: Arc::new(Source::new(shop, args.model)?),
        externals: servers::externals(shop)?,
    };
    let service = Service::new(parts).map_err(|e| Failure::failed("serve", chain(&e)))?;
    Ok(Arc::new(service))
}

/// The models of a server's runs: chosen once, made anew for each run with a budget of its own.
struct Source {
    shop: Mutex<Workshop>,
    args: ModelArgs,
    chosen: Chosen,
}

impl Source {
    fn new(shop: &Workshop, args: ModelArgs) -> Result<Self, Failure> {
        let shop = Workshop::new(shop.global.clone());
        // The first use makes what the later ones share.
        shop.home()?;
        let chosen = models::choose(&shop, &args)?;
        Ok(Self {
            shop: Mutex::new(shop),
            args,
            chosen,
        })
    }
}

impl MindSource for Source {
    fn begun(&self, task: Task, goal: Goal) -> Result<Begun, String> {
        let shop = self.shop.lock().unwrap_or_else(PoisonError::into_inner);
        begun(&shop, task, goal, &self.args, &self.chosen).map_err(|f| f.message)
    }

    fn goldens(&self, tool: &ToolName) -> Result<Vec<Case>, String> {
        let shop = self.shop.lock().unwrap_or_else(PoisonError::into_inner);
        let path = shop.home().map_err(|f| f.message)?.goldens_path(tool);
        if !path.exists() {
            return Ok(Vec::new());
        }
        inputs::goldens(&[path]).map_err(|f| f.message)
    }

    fn minds(&self, begun: &Begun) -> Result<Minds, String> {
        let shop = self.shop.lock().unwrap_or_else(PoisonError::into_inner);
        models::minds(&shop, &self.chosen, begun).map_err(|f| f.message)
    }
}

/// The token in a file, which is made, for its owner alone, where there is none.
fn token(path: &Path) -> Result<String, Failure> {
    let fail = |what: &str| {
        Failure::failed("token", format!("{}: {what}", path.display()))
            .hint("--token-file FILE names another place")
    };
    match std::fs::File::open(path) {
        Ok(file) => {
            let mut text = String::new();
            file.take(MAX_TOKEN_BYTES)
                .read_to_string(&mut text)
                .map_err(|e| fail(&e.to_string()))?;
            let token = text.trim();
            if token.len() < MIN_TOKEN_CHARS || !token.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(fail(
                    "not a token: one line of at least 32 plain characters",
                ));
            }
            Ok(token.to_owned())
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut random = [0_u8; 32];
            getrandom::fill(&mut random).map_err(|e| fail(&e.to_string()))?;
            let token = hex::encode(random);
            make(path, &token).map_err(|e| fail(&e.to_string()))?;
            Ok(token)
        }
        Err(e) => Err(fail(&e.to_string())),
    }
}

fn make(path: &Path, token: &str) -> std::io::Result<()> {
    if let Some(dir) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
        use std::os::unix::fs::DirBuilderExt as _;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(PathBuf::from(dir))?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{token}")
}
