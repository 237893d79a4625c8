//! The native backend: latency from a warm pool, sustained rates, a cold session, and what is left
//! behind.

use std::time::{Duration, Instant};

use handaxe_sandbox::{
    Call, Cancel, NativeConfig, NativeSandbox, SERVER, Sandbox, SandboxError, Session, SessionSpec,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Spread;
use super::proc::{Holdings, Memory, cpu_ms, holdings, memory, server};
use super::program::Asked;
use super::work;
use crate::failure::Failure;
use crate::workshop::sandbox_failure;

/// The loop that forks the same interpreter with no isolation.
const BARE: &str = include_str!("bare.py");

#[derive(Debug, Serialize)]
pub(super) struct Native {
    pub(super) filter: String,
    pub(super) interpreter: String,
    /// Request to parsed result, with the pool full before each call.
    pub(super) warm: Spread,
    /// Opening a session and its first result.
    pub(super) cold: Spread,
    pub(super) sustained: Vec<Sustained>,
    pub(super) loaded: Loaded,
    pub(super) idle_child: Option<Memory>,
    pub(super) growth: Growth,
}

/// Closed-loop rates on the same processors, ours and the bare loop's.
#[derive(Debug, Serialize)]
pub(super) struct Sustained {
    pub(super) cores: usize,
    pub(super) calls_per_second: f64,
    pub(super) bare_per_second: f64,
    /// Processor time of host, server and children together.
    pub(super) cpu_ms: f64,
    pub(super) bare_cpu_ms: f64,
    /// Page faults of one child of the bare loop.
    pub(super) bare_faults: f64,
}

/// Before and after all warm calls.
#[derive(Debug, Serialize)]
pub(super) struct Growth {
    pub(super) calls: usize,
    pub(super) before: Holdings,
    pub(super) after: Holdings,
}

/// More callers at once than there are children: the rest wait in a queue.
#[derive(Debug, Serialize)]
pub(super) struct Loaded {
    pub(super) callers: usize,
    /// Waiting included.
    pub(super) latency: Spread,
    pub(super) deepest_queue: usize,
    pub(super) most_children: usize,
}

/// What some calls of bare loops took, all of them together.
#[derive(Debug, Default, Deserialize)]
struct Bare {
    seconds: f64,
    cpu_ms: f64,
    faults: f64,
    right: usize,
}

impl Bare {
    fn add(&mut self, other: &Self) {
        self.seconds += other.seconds;
        self.cpu_ms += other.cpu_ms;
        self.faults += other.faults;
        self.right += other.right;
    }
}

fn call() -> Call {
    let serde_json::Value::Object(input) = work::input() else {
        unreachable!("the work's input is an object")
    };
    Call::new(work::CODE, input)
}

fn once(session: &dyn Session, call: &Call, cancel: &Cancel) -> Result<(), Failure> {
    let result = session
        .call(call, cancel)
        .map_err(|e| sandbox_failure(&e))?;
    if result.output.as_ref() == Some(&work::expected()) {
        Ok(())
    } else {
        let said = serde_json::to_string(&result).unwrap_or_default();
        Err(Failure::failed(
            "bench",
            format!("a call gave a wrong result: {said}"),
        ))
    }
}

/// Waits until a call would find everything ready.
fn settle(session: &dyn Session) {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let stats = session.stats();
        let ready = stats.ready >= stats.kept_ready && stats.coming == 0;
        if (ready && stats.live == stats.ready) || Instant::now() > until {
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

pub(super) fn measure(
    config: &NativeConfig,
    calls: usize,
    cold: usize,
    cancel: &Cancel,
    note: &dyn Fn(&str),
) -> Result<Native, Failure> {
    let failed = |e: SandboxError| sandbox_failure(&e);
    let sandbox = NativeSandbox::new(config.clone()).map_err(failed)?;
    let call = call();
    note("cold sessions");
    let mut times = Vec::new();
    for _ in 0..cold {
        let start = Instant::now();
        let session = sandbox.open(SessionSpec::default()).map_err(failed)?;
        once(&*session, &call, cancel)?;
        times.push(start.elapsed());
    }
    let cold = Spread::of(times);

    note("warm calls");
    let session = sandbox.open(SessionSpec::default()).map_err(failed)?;
    for _ in 0..20 {
        settle(&*session);
        once(&*session, &call, cancel)?;
    }
    settle(&*session);
    let idle_child = session
        .stats()
        .ready_processes
        .first()
        .and_then(|pid| memory(*pid));
    let before = holdings(&*session);
    let mut times = Vec::new();
    for _ in 0..calls {
        settle(&*session);
        let start = Instant::now();
        once(&*session, &call, cancel)?;
        times.push(start.elapsed());
    }
    settle(&*session);
    let growth = Growth {
        calls,
        before,
        after: holdings(&*session),
    };
    drop(session);

    let cores = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(2);
    let mut sustained = Vec::new();
    for cores in 1..=cores {
        note(&format!("sustained calls on {cores} of the processors"));
        sustained.push(sustain(&sandbox, config, &call, cores, calls, cancel)?);
    }
    note("a queue");
    let loaded = load(&sandbox, &call, calls / 10, cancel)?;
    let filter = handaxe_sandbox::filter_digest().map_err(failed)?;
    Ok(Native {
        filter: filter.to_string(),
        interpreter: sandbox.interpreter().version.clone(),
        warm: Spread::of(times),
        cold,
        sustained,
        loaded,
        idle_child,
        growth,
    })
}

/// Twice as many callers as there may be children.
fn load(
    sandbox: &NativeSandbox,
    call: &Call,
    calls: usize,
    cancel: &Cancel,
) -> Result<Loaded, Failure> {
    const CALLERS: usize = 16;
    let session = sandbox
        .open(SessionSpec::default())
        .map_err(|e| sandbox_failure(&e))?;
    let (mut deepest_queue, mut most_children) = (0, 0);
    let times = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(|| {
                    let timed = (0..calls.div_ceil(CALLERS)).map(|_| {
                        let start = Instant::now();
                        once(&*session, call, cancel).map(|()| start.elapsed())
                    });
                    timed.collect::<Result<Vec<_>, _>>()
                })
            })
            .collect();
        while !callers
            .iter()
            .all(std::thread::ScopedJoinHandle::is_finished)
        {
            let stats = session.stats();
            deepest_queue = deepest_queue.max(stats.waiting);
            most_children = most_children.max(stats.live);
            std::thread::sleep(Duration::from_millis(1));
        }
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.join().unwrap_or_else(|_| broken())?);
        }
        Ok(times)
    })?;
    Ok(Loaded {
        callers: CALLERS,
        latency: Spread::of(times),
        deepest_queue,
        most_children,
    })
}

/// So many calls a thread, or loop, in one turn: at a turn's end they wait for each other.
const TURN: usize = 100;

/// One thread and one bare loop a processor; threads and what they start keep to those. The two take
/// turns, because a machine that is not alone is slower at one moment than at the next. Each of our
/// turns ends when as many children are ready as when it began: none is served from what was there.
fn sustain(
    sandbox: &NativeSandbox,
    config: &NativeConfig,
    call: &Call,
    cores: usize,
    calls: usize,
    cancel: &Cancel,
) -> Result<Sustained, Failure> {
    let share = (calls / cores).min(TURN);
    let turns = calls.div_ceil(share * cores);
    let calls = (share * turns * cores) as f64;
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            pin(cores);
            let session = sandbox
                .open(SessionSpec::default())
                .map_err(|e| sandbox_failure(&e))?;
            let mut loops = (0..cores)
                .map(|_| bare(sandbox, config))
                .collect::<Result<Vec<_>, _>>()?;
            // As full as it gets, and every page of the loops touched.
            ours(&*session, call, cores, 40, cancel)?;
            theirs(&mut loops, 10)?;
            settle(&*session);
            let server = server(&*session);
            let used = || cpu_ms(std::process::id(), false) + cpu_ms(server, true);
            let (mut time, mut cpu) = (Duration::ZERO, 0.0);
            let mut all = Bare::default();
            for _ in 0..turns {
                let (before, start) = (used(), Instant::now());
                ours(&*session, call, cores, share, cancel)?;
                settle(&*session);
                time += start.elapsed();
                cpu += used() - before;
                all.add(&theirs(&mut loops, share)?);
            }
            Ok(Sustained {
                cores,
                calls_per_second: calls / time.as_secs_f64(),
                bare_per_second: calls / all.seconds,
                cpu_ms: cpu / calls,
                bare_cpu_ms: all.cpu_ms / calls,
                bare_faults: all.faults / calls,
            })
        });
        work.join().unwrap_or_else(|_| broken())
    })
}

/// So many calls on each of so many threads.
fn ours(
    session: &dyn Session,
    call: &Call,
    threads: usize,
    share: usize,
    cancel: &Cancel,
) -> Result<(), Failure> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| (0..share).try_for_each(|_| once(session, call, cancel))))
            .collect();
        threads
            .into_iter()
            .try_for_each(|t| t.join().unwrap_or_else(|_| broken()))
    })
}

/// So many calls of each of the bare loops, at the same time.
fn theirs(loops: &mut [Asked], share: usize) -> Result<Bare, Failure> {
    let failed = |e: String| Failure::failed("bench", format!("the bare loop: {e}"));
    for each in &mut *loops {
        each.ask(&share.to_string()).map_err(failed)?;
    }
    let mut together = Bare::default();
    for each in loops {
        let said = each.answer().map_err(failed)?;
        let bare: Bare = serde_json::from_str(&said).map_err(|e| failed(e.to_string()))?;
        if bare.right != share {
            return Err(Failure::failed("bench", "the bare loop gave wrong results"));
        }
        let slower = together.seconds.max(bare.seconds);
        together.add(&bare);
        together.seconds = slower;
    }
    Ok(together)
}

fn broken<T>() -> Result<T, Failure> {
    Err(Failure::failed("bench", "a measuring thread broke down"))
}

/// A bare loop that waits for a number of calls.
fn bare(sandbox: &NativeSandbox, config: &NativeConfig) -> Result<Asked, Failure> {
    let job = json!({
        "server": SERVER, "code": work::CODE, "input": work::input(),
        "modules": config.modules, "expected": work::expected(),
    });
    let arguments = ["-S", "-B", "-s", "-X", "utf8", "-c", BARE];
    let started = Asked::start(&sandbox.interpreter().executable, &arguments);
    let told = started.and_then(|mut bare| bare.ask(&job.to_string()).map(|()| bare));
    told.map_err(|e| Failure::failed("bench", format!("the bare loop: {e}")))
}

/// Keeps this thread, and what it starts, to the first processors.
fn pin(cores: usize) {
    let mut set = rustix::thread::CpuSet::new();
    (0..cores).for_each(|cpu| set.set(cpu));
    // Where that is not allowed the rates are of more processors, for both alike.
    let _ = rustix::thread::sched_setaffinity(None, &set);
}
