//! Carries out statements: decide, prepare, commit (see [`super::draft`]). The one place that changes the
//! world.
//!
//! No lock on the world is held while a cluster, a registry or a disk is waited for, so any number of
//! statements may be at it. What one of them finds changed when it is ready, it decides again.

use super::answers::Answer;
use super::checkpoint::{Asked, Manifest, Resumed, Statements};
use super::claims::{Claim, Claims};
use super::data_dir::{Aside, clear};
use super::draft::{Base, Decision, Draft, Effects, Opening, Pair, Verdict, is_lasting};
use super::facts::Facts;
use super::inserter::Inserter;
use super::lock;
use super::mail::Command;
use super::mended::{self, Mender};
use super::outcome::{Outcome, Status, status};
use super::pool::Pool;
use super::resume::{Durable, Outgoing, cut};
use super::session::Session;
use super::world::World;
use crate::clock::now_ms;
use crate::connector::log::Ends;
use crate::connector::{self, Cluster, Place};
use crate::error::{Error, Result};
use crate::render::kept::KeptId;
use crate::render::process::Process;
use crate::render::rejects::RejectLog;
use crate::sql::ast::{Parsed, SourceKind, Statement};
use crate::sql::parse_statement_with;
use crate::topology::EventName;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

pub struct Coordinator {
    pub(super) base: Base,
    /// Locked to read it, and to put another one in its place.
    world: Mutex<Arc<World>>,
    /// With a data directory that stays: statements are kept, and become part of the world, one after the
    /// other, so that the next start finds them in that order.
    ledger: Mutex<Option<Statements>>,
    /// What an earlier start was asked for, each with its number.
    asked: Mutex<Vec<(u64, Asked)>>,
    /// The rejects that an earlier start has told.
    rejects_before: Ends,
    claims: Claims,
    pub(super) inserter: Inserter,
    /// Computes answers.
    pub(super) pool: Pool,
    mender: Mender,
    /// Where answers say what was wrong with rows that only they have read.
    pub(super) rejects: Mutex<Option<Arc<Mutex<RejectLog>>>>,
    resumed: Mutex<Option<Resumed>>,
}

/// What a statement holds while it is prepared.
#[derive(Default)]
struct Turn<'a> {
    claim: Claim<'a>,
    ledger: Option<MutexGuard<'a, Option<Statements>>>,
    is_kept: bool,
}

/// What has become part of the world.
struct Done<T> {
    effects: Effects,
    verdict: T,
    /// Of an answer that it opened.
    ends: Option<Pair>,
}

impl Coordinator {
    pub fn new(base: Base, durable: Option<Durable>) -> Coordinator {
        let mut world = World::default();
        let (mut ledger, mut before, mut rejects_before) = (None, Vec::new(), Ends::new());
        if let Some(Durable { statements, asked, rejects, from }) = durable {
            world.catalog.ordinals = from.as_ref().map(|from| from.ordinals.clone()).unwrap_or_default();
            world.durable = true;
            world.kept = statements.count();
            world.from = from.map(Arc::new);
            (ledger, before, rejects_before) = (Some(statements), asked, rejects);
        }
        world.declare_system();
        Coordinator {
            base,
            world: Mutex::new(Arc::new(world)),
            ledger: Mutex::new(ledger),
            asked: Mutex::new(before),
            rejects_before,
            claims: Claims::default(),
            inserter: Inserter::default(),
            pool: Pool::default(),
            mender: Mender::default(),
            rejects: Mutex::default(),
            resumed: Mutex::default(),
        }
    }

    /// As it is now.
    pub fn world(&self) -> Arc<World> {
        Arc::clone(&lock(&self.world))
    }

    // ---- statements ----

    /// Carries out a statement: all of it, or nothing.
    pub fn execute(&self, parsed: &Parsed, session: &mut Session) -> Result<Outcome> {
        match &parsed.statement {
            Statement::InsertValues { target, .. } if !self.world().begun => {
                if lock(&self.ledger).as_mut().is_some_and(|kept| kept.was_inserted(&parsed.text)) {
                    let message = "1 row inserted by an earlier start".into();
                    return Ok(status(message, SourceKind::Stream, &target.name, "insert", None));
                }
                let outcome = self.carry_out(parsed, session, true)?;
                self.keep_insertion(parsed)?;
                Ok(outcome)
            }
            _ => self.carry_out(parsed, session, true),
        }
    }

    /// `kept`: the next start is to know of it.
    fn carry_out(&self, parsed: &Parsed, session: &mut Session, kept: bool) -> Result<Outcome> {
        let properties = session.properties.clone();
        let asked = Asked { sql: parsed.text.clone(), properties, inserted: false };
        let kept = Some(&asked).filter(|_| kept && is_lasting(&parsed.statement));
        let mut done = self.change(kept, |draft| draft.statement(parsed, session))?;
        if let Some(insertion) = done.effects.insert.take() {
            self.write(&insertion).map_err(|e| e.at(parsed.span))?;
            self.base.shared.say();
        }
        let mut warnings = done.effects.warnings.take();
        warnings.extend(self.follow_sinks().err().map(|error| error.to_string()));
        self.delete(&mut done.effects, &mut warnings);
        done.effects.clear.iter().for_each(|dir| self.mender.forget(dir));
        let mut outcome = match done.verdict {
            Verdict::Outcome(outcome) => outcome,
            Verdict::Answer(opening) => return self.answer(*opening, done.ends).map(Outcome::Answer),
        };
        if let Outcome::Status(status) = &mut outcome {
            status.warnings.extend(warnings);
            self.tell(&parsed.statement, status);
        }
        Ok(outcome)
    }

    /// Whether all of these could be carried out one after the other; nothing is.
    ///
    /// # Errors
    /// What is wrong with the first that could not, and its index.
    pub fn check(&self, statements: &[Parsed], session: &Session) -> Result<(), (usize, Error)> {
        if statements.len() < 2 {
            // It is whole by itself.
            return Ok(());
        }
        let mut facts = Facts::default();
        loop {
            let mut at = 0;
            let mut session = session.clone();
            let decided = Draft::new(&self.base, (*self.world()).clone(), &facts).decide(|draft| {
                let mut changing =
                    statements.iter().enumerate().filter(|(_, parsed)| !is_asked(&parsed.statement));
                changing.try_for_each(|(i, parsed)| {
                    at = i;
                    draft.statement(parsed, &mut session).map(drop)
                })
            });
            let questions = match decided.map_err(|error| (at, error))? {
                Decision::Missing { questions, last: false } => questions,
                // What would be made outside is left to the carrying out.
                Decision::Missing { .. } | Decision::Decided(..) => return Ok(()),
            };
            facts.ask(questions, &self.base);
        }
    }

    /// Inserts rows, each a JSON object; what became of each. Fails as a whole when the topic does.
    pub fn insert_rows(&self, target: &str, rows: &[Vec<u8>]) -> Result<Vec<Result<()>>> {
        let mut done = self.change(None, |draft| draft.insert_rows(target, rows))?;
        if let Some(insertion) = done.effects.insert.take() {
            self.write(&insertion)?;
            self.base.shared.say();
        }
        Ok(done.verdict)
    }

    /// Puts a record in at a source, once for each `place` that it is said to come from.
    pub fn mend(&self, source: &str, place: &str, value: &[u8]) -> Result<()> {
        let log = self.change(None, |draft| draft.mended_log(source))?.verdict;
        self.mender.put(&log, place, value)
    }

    /// An event has moved: queries read on where it is now.
    pub fn follow_event(&self, event: &EventName) -> Result<()> {
        self.change(None, |draft| draft.follow_event(event)).map(drop)
    }

    /// Has the sinks of the topology among what is planned.
    pub(super) fn plan_sinks(&self) -> Result<()> {
        self.change(None, |draft| draft.topology_sinks()).map(drop)
    }

    /// Ends a push query by its id. False when there is none of that id.
    pub fn close_answer(&self, id: &str) -> bool {
        self.change(None, |draft| Ok(draft.close_answer(id))).is_ok_and(|done| done.verdict)
    }

    /// Takes away what was installed for an answer that has ended.
    pub fn retire(&self, id: &str) {
        let mut world = lock(&self.world);
        let Some(watcher) = world.answers.get(id).cloned() else { return };
        let mut next = World::clone(&world);
        next.answers.remove(id);
        next.forget(&watcher.dataflows);
        next.version += 1;
        let wanted = next.changed_wants();
        let (dataflows, tables) = (watcher.dataflows.clone(), watcher.tables.clone());
        self.base.shared.command(Command::Drop { dataflows, tables, wanted });
        *world = Arc::new(next);
    }

    /// The script is complete: installs all that it asked for, at one tick.
    pub fn begin(&self) -> Result<()> {
        let world = self.world();
        if world.begun {
            return Ok(());
        }
        let contained = world.from.as_ref().map_or(0, |manifest| manifest.statements);
        let asked = std::mem::take(&mut *lock(&self.asked));
        let (before, after): (Vec<_>, Vec<_>) = asked.into_iter().partition(|(n, _)| *n < contained);
        let before: Vec<Asked> = before.into_iter().map(|(_, asked)| asked).collect();
        let mended = mended::logs(&self.base.data_dir);
        let done = self.change(None, |draft| draft.begin(&before, &mended))?;
        self.follow_sinks()?;
        if let Some(manifest) = done.effects.resumed {
            let (number, statements) = (manifest.number, manifest.statements);
            tracing::info!(number, statements, "going on from checkpoint {number}");
            let Manifest { logs, outlets, .. } = Arc::unwrap_or_clone(manifest);
            *lock(&self.resumed) = Some(Resumed { number, statements, logs, outlets });
        }
        if !self.world().durable {
            *lock(&self.ledger) = None;
        }
        for (_, asked) in after {
            let mut session = Session { properties: asked.properties.clone(), ..Session::default() };
            let parsed = parse_statement_with(&asked.sql, self.world().known(&session));
            if let Err(error) = parsed.and_then(|parsed| self.carry_out(&parsed, &mut session, false)) {
                tracing::warn!("{}", asked.impossible(&error));
            }
        }
        self.change(None, |draft| draft.reopen_mended(&mended)).map(drop)
    }

    // ---- decide, prepare, commit ----

    /// Makes a change to the world; `kept` is what the next start is told of it.
    fn change<T>(
        &self,
        kept: Option<&Asked>,
        mut decide: impl FnMut(&mut Draft<'_>) -> Result<T>,
    ) -> Result<Done<T>>
    where
        T: Opens,
    {
        let mut facts = Facts::default();
        let mut turn = Turn::default();
        loop {
            let draft = Draft::new(&self.base, (*self.world()).clone(), &facts);
            let questions = match draft.decide(&mut decide)? {
                Decision::Missing { questions, .. } => questions,
                Decision::Decided(draft, verdict) => match self.commit(*draft, verdict, kept, &mut turn)? {
                    Some(done) => return Ok(done),
                    None => continue,
                },
            };
            if !turn.is_kept {
                // Nothing is held while others are waited for.
                turn = Turn::default();
            }
            facts.ask(questions, &self.base);
        }
    }

    /// `None`: the world is another one by now.
    fn commit<'a, T: Opens>(
        &'a self,
        mut draft: Draft<'_>,
        verdict: T,
        kept: Option<&Asked>,
        turn: &mut Turn<'a>,
    ) -> Result<Option<Done<T>>> {
        if !draft.changes {
            return Ok(Some(Done { effects: draft.effects, verdict, ends: None }));
        }
        let is_stale = |draft: &Draft<'_>| self.world().version != draft.world.version;
        let claims = draft.effects.claims();
        if !turn.claim.covers(&claims) {
            turn.claim = Claim::default();
            turn.claim = self.claims.take(claims);
        }
        if kept.is_some() && turn.ledger.is_none() && draft.world.live {
            turn.ledger = Some(lock(&self.ledger));
        }
        // Who had the turn before may have changed it.
        if is_stale(&draft) {
            return Ok(None);
        }
        draft.effects.cut.iter().try_for_each(|(log, ends)| cut(log, ends))?;
        let aside = draft.effects.clear.iter().map(|dir| Aside::put(&self.base.data_dir, dir));
        let aside: Vec<Aside> = aside.collect::<Result<_>>()?;
        if let (Some(asked), Some(Some(statements))) = (kept, turn.ledger.as_deref_mut()) {
            if !turn.is_kept {
                statements.keep(asked)?;
                turn.is_kept = true;
            }
            draft.world.kept = statements.count();
        }
        let installed = self.install(draft, verdict);
        if installed.is_some() {
            aside.into_iter().for_each(Aside::remove);
        }
        Ok(installed)
    }

    /// Puts a world in the place of the one that it was made from; tells the workers.
    fn install<T: Opens>(&self, draft: Draft<'_>, verdict: T) -> Option<Done<T>> {
        let Draft { world: mut next, mut effects, .. } = draft;
        let shared = &self.base.shared;
        let mut world = lock(&self.world);
        if world.version != next.version {
            return None;
        }
        next.version += 1;
        // Before any of its rows can come.
        let ends = verdict.opening().map(|opening| opening.open(&shared.answers));
        if next.live {
            let wanted = next.changed_wants();
            let (dataflows, tables) = std::mem::take(&mut effects.drop);
            let plans = std::mem::take(&mut effects.install);
            if !dataflows.is_empty() || !tables.is_empty() {
                shared.command(Command::Drop { dataflows, tables, wanted: Vec::new() });
            }
            let changed = std::mem::take(&mut effects.change);
            if !changed.is_empty() {
                shared.command(Command::Change { plans: changed, wanted: wanted.clone() });
            }
            let pauses = std::mem::take(&mut effects.pauses);
            if !pauses.is_empty() {
                // Readers that are installed stopped must not read anything before.
                shared.command(Command::Pause(pauses));
            }
            if !plans.is_empty() || !wanted.is_empty() {
                let started_ms = effects.started_ms.unwrap_or_else(now_ms);
                shared.command(Command::Install { plans, wanted, started_ms });
            }
        }
        *world = Arc::new(next);
        drop(world);
        effects.close.drain(..).for_each(|id| shared.answers.close(&id));
        effects.warnings.borrow().iter().for_each(|warning| tracing::warn!("{warning}"));
        Some(Done { effects, verdict, ends })
    }

    /// Deletes the topics of what was dropped. What goes wrong does not undo that: it is said.
    fn delete(&self, effects: &mut Effects, warnings: &mut Vec<String>) {
        for (topic, place) in effects.delete.drain(..) {
            self.inserter.forget(&topic);
            let deleted = match &place {
                Place::Log { dir, .. } => clear(dir),
                Place::Kafka { cluster, topic } => connector::kafka::delete(cluster, topic),
                Place::Memory { space, topic } => connector::memory::delete(*space, topic),
                _ => Ok(()),
            };
            if let Err(error) = deleted {
                tracing::warn!("{error}");
                warnings.push(error.to_string());
            }
        }
    }

    /// Tells what a statement has changed. What the script asks for is in the script.
    fn tell(&self, statement: &Statement, status: &Status) {
        let (command, query) = (status.command_id.as_str(), status.query_id.as_deref());
        if is_lasting(statement) {
            match self.world().live {
                true => tracing::info!(command, query, "{}", status.message),
                false => tracing::debug!(command, query, "{}", status.message),
            }
        }
    }

    /// A row that the script inserted is not to be inserted by the next start.
    fn keep_insertion(&self, parsed: &Parsed) -> Result<()> {
        let mut ledger = lock(&self.ledger);
        let Some(statements) = &mut *ledger else { return Ok(()) };
        let (sql, properties) = (parsed.text.clone(), Default::default());
        statements.keep(&Asked { sql, properties, inserted: true })?;
        let mut world = lock(&self.world);
        let (version, kept) = (world.version + 1, statements.count());
        *world = Arc::new(World { version, kept, ..World::clone(&world) });
        Ok(())
    }

    /// Begins an answer; `ends` are there if it was opened already.
    fn answer(&self, opening: Opening, ends: Option<Pair>) -> Result<Answer> {
        let Pair { rows, outlet, derived } = ends.unwrap_or_else(|| opening.open(&self.base.shared.answers));
        let Opening { id, kind, columns, from } = opening;
        if let Some(outlet) = outlet {
            self.serve(from, outlet, derived)?;
        }
        Ok(Answer { id, kind, columns, rows })
    }

    // ---- for checkpoints ----

    /// What a checkpoint that is taken now contains, and the kept states that it needs, by number.
    pub fn manifest(&self, number: u64) -> (Manifest, Vec<KeptId>) {
        self.world().manifest(number, self.base.shared.started_ms(), self.rejects_before.clone())
    }

    pub fn outboxes(&self) -> Vec<(Cluster, Outgoing)> {
        self.world().outboxes()
    }

    /// The checkpoint that this start goes on from, for who takes the next one.
    pub fn take_resumed(&self) -> Option<Resumed> {
        lock(&self.resumed).take()
    }

    // ---- for the command line ----

    /// The topics that statements have named.
    pub fn topics(&self) -> Vec<String> {
        self.world().catalog.topics()
    }
}

/// Whether a statement asks what is outside as it is by then, and waits for it: it says nothing beforehand.
fn is_asked(statement: &Statement) -> bool {
    matches!(statement, Statement::Assert { .. } | Statement::Show(_))
}

/// What a decision may come to that opens an answer.
trait Opens {
    fn opening(&self) -> Option<&Opening> {
        None
    }
}

impl Opens for Verdict {
    fn opening(&self) -> Option<&Opening> {
        match self {
            Verdict::Answer(opening) => Some(opening),
            Verdict::Outcome(_) => None,
        }
    }
}

impl Opens for () {}
impl Opens for PathBuf {}
impl Opens for bool {}
impl Opens for Vec<Result<()>> {}
