//! A session: one jail with its pool, and what every call in it shares.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;

use handaxe_jail::{DataFile, Directory, Launch, Shape};
use handaxe_types::{Layer, Limits, SandboxResult};

use super::cgroup::Groups;
use super::codes::Codes;
use super::jail::Jail;
use super::layers::Confirmed;
use super::place::Place;
use super::pool::{Class, Pool};
use super::{NativeConfig, call};
use crate::exchange::request::data_files;
use crate::interpreter::{COVERED, Runtime};
use crate::{Call, Cancel, SandboxError, Session, SessionSpec, SessionStats};

pub(super) struct NativeSession {
    pool: Arc<Pool>,
    keeper: Option<JoinHandle<()>>,
    /// Names of the session's files.
    mounts: BTreeSet<String>,
    codes: Arc<Codes>,
}

/// Where root's jails get their users: out of the way of every distribution's ranges.
const FIRST_USER: u32 = 2_034_000_000;
/// The user where a container maps no such number.
const PLAIN_USER: u32 = 65_533;

impl NativeSession {
    pub(super) fn open(
        config: &NativeConfig,
        runtime: &Runtime,
        spec: SessionSpec,
    ) -> Result<Self, SandboxError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| SandboxError::Start {
            doing: "drawing its random name",
            source: std::io::Error::other(e.to_string()),
        })?;
        let random = u64::from_le_bytes(random);
        let data = data_files(&spec)?;
        let place = match config.shape {
            Shape::Namespaces => None,
            Shape::Landlock => {
                let made = Place::new(&config.scratch_root, random, &data);
                Some(made.map_err(|source| SandboxError::Start {
                    doing: "making the directory for its calls",
                    source,
                })?)
            }
        };
        let mounts = data.iter().map(|d| d.name.clone()).collect();
        let mut launch = description(config, runtime, &spec, data, random);
        launch.place = place.as_ref().map(|p| p.inner().to_owned());
        let jail = Jail::launch(config, &launch, place)?;
        let groups = Groups::new(&format!("handaxe-{}-{random:016x}", std::process::id()));
        let required = |layer: &&Layer| config.shape.requires(**layer);
        let spare = handaxe_jail::all_layers().iter().filter(|l| !required(l));
        let excused: Vec<Layer> = spare.copied().collect();
        #[cfg(feature = "testing")]
        let excused = [excused, config.knobs.skip.clone()].concat();
        let pool = Pool::new(jail, groups, config, excused)?;
        let keeper = {
            let pool = Arc::clone(&pool);
            std::thread::Builder::new()
                .name("handaxe-jail".to_owned())
                .spawn(move || pool.keep())
                .map_err(|source| SandboxError::Start {
                    doing: "starting its thread",
                    source,
                })?
        };
        Ok(Self {
            pool,
            keeper: Some(keeper),
            mounts,
            codes: Arc::default(),
        })
    }

    /// Makes a child, and says what it confirmed.
    pub(super) fn confirmed(&self) -> Result<Confirmed, SandboxError> {
        let class = Class::of(&Limits::default(), false);
        let child = self.pool.take(class, &Cancel::default())?;
        let cgroup = self.pool.groups.note.clone();
        Ok(Confirmed {
            layers: child.warm.layers.clone(),
            landlock_abi: child.warm.landlock_abi,
            cgroup,
        })
    }
}

impl Session for NativeSession {
    fn call(&self, call: &Call, cancel: &Cancel) -> Result<SandboxResult, SandboxError> {
        call::run(&self.pool, &self.mounts, &self.codes, call, cancel)
    }

    fn stats(&self) -> SessionStats {
        self.pool.stats()
    }
}

impl Drop for NativeSession {
    fn drop(&mut self) {
        self.pool.close();
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
        // A thread that still compiles would do it too late.
        if let Some(place) = &self.pool.jail.place {
            place.clear();
        }
    }
}

fn description(
    config: &NativeConfig,
    runtime: &Runtime,
    spec: &SessionSpec,
    data: Vec<DataFile>,
    random: u64,
) -> Launch {
    let directory = |path: &std::path::PathBuf| Directory {
        path: path.clone(),
        covered: COVERED.map(str::to_owned).to_vec(),
    };
    let mut environment: Vec<_> = handaxe_jail::ENVIRONMENT
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    environment.push(("PYTHONHASHSEED".to_owned(), spec.hash_seed.to_string()));
    Launch {
        shape: config.shape,
        place: None,
        python: runtime.interpreter.executable.clone(),
        directories: runtime.directories.iter().map(directory).collect(),
        files: runtime.files.clone(),
        links: runtime.links.clone(),
        data,
        environment,
        modules: config.modules.clone(),
        seed: spec.hash_seed,
        drop_to: user(random),
        #[cfg(feature = "testing")]
        knobs: config.knobs.clone(),
    }
}

/// A user of the session's own, so that two jails share no per-user limit or signal right.
fn user(random: u64) -> u32 {
    let wanted = FIRST_USER + (random % 65_536) as u32;
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let covers = map.lines().any(|line| {
        let mut numbers = line
            .split_whitespace()
            .filter_map(|n| n.parse::<u64>().ok());
        let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
        first
            .zip(count)
            .is_some_and(|(first, count)| (first..first + count).contains(&u64::from(wanted)))
    });
    if covers { wanted } else { PLAIN_USER }
}
