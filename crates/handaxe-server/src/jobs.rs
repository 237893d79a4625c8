//! Runs that go on by themselves: each on a thread of its own, few at once, stopped with the
//! server.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use handaxe_agent::{Approver, Begun, Context, PipelineError, Stop, walk};
use handaxe_registry::RunEnd;
use handaxe_sandbox::Cancel;
use handaxe_types::{RunId, RunState};
use serde_json::json;

use crate::feed::Feed;
use crate::service::ServiceError;

/// Runs under way at once.
const MOST: usize = 4;

#[derive(Default)]
pub(crate) struct Jobs {
    running: Mutex<Vec<Arc<Job>>>,
}

/// How far a run is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Stands {
    #[default]
    Working,
    /// In good order: the registry says how.
    Ended,
    BrokeOff(String),
}

/// Which run a thread takes.
pub(crate) enum Take {
    New,
    Again(RunId),
}

/// One run under way.
pub(crate) struct Job {
    pub(crate) run: RunId,
    pub(crate) feed: Arc<Feed>,
    cancel: Cancel,
    stands: Mutex<Stands>,
    told: Condvar,
}

impl Job {
    pub(crate) fn cancel(&self) {
        self.cancel.cancel();
    }

    /// Waits for the end, at most so long, and says how far it is.
    pub(crate) fn wait(&self, at_most: Duration) -> Stands {
        let until = Instant::now() + at_most;
        let mut stands = self.stands.lock().unwrap_or_else(PoisonError::into_inner);
        while *stands == Stands::Working {
            let Some(left) = until.checked_duration_since(Instant::now()) else {
                break;
            };
            let waited = self.told.wait_timeout(stands, left);
            stands = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        stands.clone()
    }

    fn end(&self, how: Stands) {
        *self.stands.lock().unwrap_or_else(PoisonError::into_inner) = how;
        self.told.notify_all();
    }
}

impl Jobs {
    /// The run of this id, where it is under way here.
    pub(crate) fn find(&self, run: &RunId) -> Option<Arc<Job>> {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running
            .iter()
            .find(|job| job.run == *run && job.wait(Duration::ZERO) == Stands::Working)
            .cloned()
    }

    pub(crate) fn start(
        &self,
        ctx: Context,
        begun: Begun,
        take: Take,
        approver: Box<dyn Approver>,
        feed: Arc<Feed>,
    ) -> Result<Arc<Job>, ServiceError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|job| job.wait(Duration::ZERO) == Stands::Working);
        if running.len() >= MOST {
            return Err(ServiceError::Busy {
                running: running.len(),
                most: MOST,
            });
        }
        let active = match take {
            Take::New => {
                let active = ctx.registry.start_run(&begun.task)?;
                ctx.registry.step_put(active.id(), "begun", &json!(begun))?;
                active
            }
            Take::Again(run) => ctx.registry.resume_run(&run)?,
        };
        let job = Arc::new(Job {
            run: active.id().clone(),
            feed,
            cancel: ctx.cancel.clone(),
            stands: Mutex::default(),
            told: Condvar::new(),
        });
        let mine = Arc::clone(&job);
        std::thread::Builder::new()
            .name(format!("run {}", active.id()))
            .spawn(move || {
                let staging = ctx
                    .registry
                    .home()
                    .join("runs")
                    .join(active.id().as_str())
                    .join("artifacts");
                let how = match walk(&ctx, active.id(), &begun, approver.as_ref(), staging) {
                    Ok(report) => {
                        let end = RunEnd {
                            state: report.state,
                            stopped_by: report.stopped_by.as_ref().map(|s| s.kind.clone()),
                            answer: Some(json!(report)),
                        };
                        match ctx.registry.end_run(active.id(), &end) {
                            Ok(()) => Stands::Ended,
                            Err(e) => Stands::BrokeOff(e.to_string()),
                        }
                    }
                    Err(error) => {
                        let stop = broke_off(&error);
                        let end = RunEnd {
                            state: RunState::Failed,
                            answer: Some(json!({ "stopped_by": stop })),
                            stopped_by: Some(stop.kind),
                        };
                        let _ = ctx.registry.end_run(active.id(), &end);
                        Stands::BrokeOff(stop.message)
                    }
                };
                drop(active);
                mine.end(how);
            })
            .map_err(ServiceError::Thread)?;
        running.push(Arc::clone(&job));
        Ok(job)
    }

    /// Tells every run to stop and gives each a moment to.
    pub(crate) fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        for job in running.iter() {
            job.cancel();
        }
        for job in running.iter() {
            let _ = job.wait(Duration::from_secs(5));
        }
    }
}

/// Why a run broke off, as its record keeps it.
fn broke_off(error: &PipelineError) -> Stop {
    let (kind, hint) = match error {
        PipelineError::Cancelled => ("cancelled", "it can be resumed"),
        PipelineError::Data { .. } => ("data", "look at the file, and ask again"),
        _ => ("broke_off", "it can be resumed"),
    };
    let mut message = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some name their cause already.
        if !message.contains(&cause_text) {
            message = format!("{message}: {cause_text}");
        }
        source = cause.source();
    }
    Stop::new(kind, message).hint(hint)
}
