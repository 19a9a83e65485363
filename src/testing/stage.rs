//! The engine of one test, and the topics in memory that it reads and writes.

use crate::catalog::{Origin, Source};
use crate::connector::memory::Space;
use crate::engine::{AnswerLimits, Config, Engine, Intervals, Outcome, Pace, Session};
use crate::error::{Error, Result};
use crate::plan::Emission;
use crate::registry::Registry;
use crate::sql::ast::Parsed;
use crate::topology::Topology;
use std::sync::Arc;
use std::time::Duration;

/// A test that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage {
    pub engine: Engine,
    pub session: Session,
    pub space: Arc<Space>,
    pub registry: Registry,
    begun: bool,
}

impl Stage {
    pub fn set() -> Result<Stage> {
        let space = Space::new();
        let forever = Duration::from_secs(3_600);
        let engine = Engine::start(Config {
            workers: 1,
            hosts: Vec::new(),
            process: 0,
            data_dir: None,
            once: false,
            topology: Topology::in_memory(&space),
            pace: Pace {
                tick: Duration::from_millis(10),
                tick_bytes: 1 << 20,
                batch_bytes: 64 << 10,
                emission: Emission::PerRecord,
                inflight_bytes: 32 << 20,
            },
            checkpoints: Intervals { checkpoint: forever, commit: forever },
            answers: AnswerLimits::default(),
        })?;
        let registry = engine.registry().ok_or_else(|| Error::runtime("a test has a registry of its own"))?;
        let mut session = Session { inserted_at: Some(0), ..Session::default() };
        session.set("auto.offset.reset", "earliest")?;
        Ok(Stage { engine, session, space, registry, begun: false })
    }

    pub fn execute(&mut self, statement: &Parsed) -> Result<Outcome> {
        self.engine.execute(statement, &mut self.session)
    }

    /// Whether what the first statements started is running.
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Everything that was written before is read, and through.
    pub fn settle(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.begun, true) {
            self.engine.begin()?;
        }
        match self.engine.settle(PATIENCE)? {
            true => Ok(()),
            false => Err(Error::runtime(format!("what was read was not through after {PATIENCE:?}"))),
        }
    }

    /// What declares a topic; `derived`: what a query writes to it, where there is such a one.
    pub fn source_of(&self, topic: &str, derived: bool) -> Result<Option<Source>> {
        let of_topic = self.engine.sources()?.into_iter().filter(|source| source.topic == topic);
        Ok(of_topic.min_by_key(|source| (source.origin == Origin::Declared) == derived))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What it failed of was told where it was waited for.
        let _ = self.engine.stop();
    }
}
