//! Deciding a statement: a copy of the world that it changes, and what else it comes to, as data.
//!
//! ```text
//! decide    Draft: World + Facts → World', Effects, Outcome     pure; no lock, no I/O
//! prepare   what the decision lacked is asked for, then it is decided again
//! commit    World' is the world, Effects go to the workers      all of it, if the world is the same still
//! ```
//! The other files of this directory each decide some kinds of statements.

use super::answers::{AnswerKind, Answers, Outlet, Rows};
use super::checkpoint::Manifest;
use super::facts::{Fact, Facts, Question};
use super::hold::{Hold, Positions};
use super::insert::Insertion;
use super::local::{About, Until, Way};
use super::outcome::{Outcome, Status};
use super::parts::Part;
use super::pause::Pauses;
use super::placed;
use super::resume::Planning;
use super::session::Session;
use super::shared::Shared;
use super::sinks::Running;
use super::world::World;
use crate::catalog::Source;
use crate::clock::now_ms;
use crate::connector::opensearch::Target;
use crate::connector::{self, Cluster, Place, Position, Start, Survey, log};
use crate::error::{Error, Result};
use crate::expr::Expr;
use crate::plan::select::{self, Purpose, bind_select};
use crate::plan::{DataflowId, DataflowPlan, Emission, Lookup, SelectPlan, SourcePlan, TableId};
use crate::registry::{Lookups, Resolved, Schema, Trouble};
use crate::sql::ast::{self, Parsed, Statement, What};
use crate::topology::{EventName, Events, Placed, Topology, Whereabouts};
use crate::types::{ColumnDef, SqlType};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// What no statement changes.
pub struct Base {
    pub shared: Arc<Shared>,
    pub topology: Topology,
    pub schemas: Lookups,
    pub data_dir: PathBuf,
    pub once: bool,
    pub emission: Emission,
    /// Only plans are asked for: no cluster is.
    pub dry: bool,
    /// As many push queries may be open.
    pub push_queries_max: usize,
    pub sinks: Running,
    /// Where events are, by the topology ...
    pub placed: Placed,
    /// ... unless a gateway runs beside: it knows better.
    pub gateway: OnceLock<Arc<dyn Events>>,
}

impl Base {
    pub fn events(&self) -> &dyn Events {
        self.gateway.get().map_or(&self.placed, Arc::as_ref)
    }
}

/// A statement being decided.
pub struct Draft<'a> {
    pub base: &'a Base,
    pub world: World,
    pub effects: Effects,
    /// The world becomes another one.
    pub changes: bool,
    /// What is planned now is for the rows of this answer, and ends where its sources end at present.
    pub for_answer: Option<String>,
    /// The persistent query at hand.
    pub planning: Option<Planning>,
    /// It takes the place of what had its name before: OR REPLACE.
    pub takes_over: bool,
    /// The queries inside the one at hand, each behind those that it reads.
    pub parts: Vec<Part>,
    facts: &'a Facts,
    /// What has to be known before this can be decided.
    missing: RefCell<Vec<Question>>,
    /// What changes something outside, asked for when all else is decided.
    last: RefCell<Vec<Question>>,
    /// Schemas among that, by their subjects: statements behind this one find them there.
    pending: RefCell<BTreeMap<String, Schema>>,
}

/// What a decision comes to beside the new world.
#[derive(Debug, Default)]
pub struct Effects {
    pub install: Vec<DataflowPlan>,
    pub drop: (Vec<DataflowId>, Vec<TableId>),
    /// What runs and goes on by these plans.
    pub change: Vec<DataflowPlan>,
    /// What messages that are there already and have no time get as theirs, at the first start.
    pub started_ms: Option<i64>,
    /// Logs that end there from now on, since a start goes on from a checkpoint that knows no more of them.
    pub cut: Vec<(PathBuf, log::Ends)>,
    /// Logs that are cleared before anything is installed.
    pub clear: Vec<PathBuf>,
    /// Topics that are deleted when nothing uses them any more.
    pub delete: Vec<(String, Place)>,
    pub insert: Option<Insertion>,
    /// Answers that come by mail, by their ids.
    pub close: Vec<String>,
    pub pauses: Pauses,
    /// The checkpoint that a beginning goes on from.
    pub resumed: Option<Arc<Manifest>>,
    /// What is said when it is installed.
    pub warnings: RefCell<Vec<String>>,
}

/// What a statement answers, once it is installed.
pub enum Verdict {
    Outcome(Outcome),
    Answer(Box<Opening>),
}

/// An answer that is to begin.
pub struct Opening {
    pub id: String,
    pub kind: AnswerKind,
    pub columns: Vec<ColumnDef>,
    pub from: Feed,
}

/// Where the rows of an answer come from, and the SELECTs over them, each over the rows of the one before it.
pub enum Feed {
    /// A table at one closed tick.
    Table {
        table: TableId,
        types: Vec<SqlType>,
        lookup: Lookup,
        filter: Option<Expr>,
        selects: Vec<SelectPlan>,
    },
    /// A stream's sources, read anew.
    Sources {
        ways: Vec<Way>,
        selects: Vec<SelectPlan>,
        until: Until,
        about: About,
    },
    /// Dataflows that are installed for it.
    Dataflows {
        limit: Option<u64>,
    },
    /// The rows of another answer, which dataflows send with their origins.
    Derived {
        rows: String,
        types: Vec<SqlType>,
        selects: Vec<SelectPlan>,
    },
    Messages(Box<Messages>),
}

/// PRINT
pub struct Messages {
    pub place: Place,
    pub survey: Survey,
    pub start: Start,
    pub until: Until,
    pub interval: u64,
    pub limit: Option<u64>,
    /// Who declares the topic.
    pub source: Option<Source>,
}

/// What became of an attempt to decide.
pub enum Decision<'a, T> {
    /// `last`: all else is decided.
    Missing {
        questions: Vec<Question>,
        last: bool,
    },
    Decided(Box<Draft<'a>>, T),
}

impl<'a> Draft<'a> {
    pub fn new(base: &'a Base, world: World, facts: &'a Facts) -> Draft<'a> {
        Draft {
            base,
            world,
            effects: Effects::default(),
            changes: false,
            for_answer: None,
            planning: None,
            takes_over: false,
            parts: Vec::new(),
            facts,
            missing: RefCell::default(),
            last: RefCell::default(),
            pending: RefCell::default(),
        }
    }

    /// Decides something on this draft.
    ///
    /// # Errors
    /// What is wrong with it, unless it only lacks facts.
    pub fn decide<T>(mut self, what: impl FnOnce(&mut Self) -> Result<T>) -> Result<Decision<'a, T>> {
        let decided = what(&mut self).and_then(|verdict| self.close_off().map(|()| verdict));
        let missing = self.missing.take();
        if !missing.is_empty() {
            return Ok(Decision::Missing { questions: missing, last: false });
        }
        let verdict = decided?;
        let last = self.last.take();
        if !last.is_empty() {
            return Ok(Decision::Missing { questions: last, last: true });
        }
        Ok(Decision::Decided(Box::new(self), verdict))
    }

    pub fn statement(&mut self, parsed: &Parsed, session: &mut Session) -> Result<Verdict> {
        let outcome = match &parsed.statement {
            Statement::CreateSource { .. } => self.create_source(parsed, session),
            Statement::CreateAs { .. } => self.create_as(parsed, session),
            Statement::InsertSelect { target, with, query } => {
                self.insert_select(parsed, target, with, query, session)
            }
            Statement::InsertValues { target, columns, values } => {
                self.insert_values(target, columns.as_deref(), values, session)
            }
            Statement::Select(query) => {
                return self.select(parsed, query, session).map(|opening| Verdict::Answer(Box::new(opening)));
            }
            Statement::Set { property, value } => {
                session.set(property, value).map_err(|e| e.at(parsed.span))?;
                Ok(property_status(property, format!("{property} set to '{value}'")))
            }
            Statement::Unset { property } => {
                session.unset(property);
                Ok(property_status(property, format!("{property} unset")))
            }
            Statement::CreateType { if_not_exists, name, ty } => self.create_type(name, ty, *if_not_exists),
            Statement::DropType { if_exists, name } => self.drop_type(name, *if_exists),
            Statement::Define { name, value } => {
                session.variables.insert(name.name.clone(), value.clone());
                Ok(property_status(&name.name, format!("{} is '{value}'", name.name)))
            }
            Statement::Undefine { name } => match session.variables.remove(&name.name) {
                Some(_) => Ok(property_status(&name.name, format!("{} undefined", name.name))),
                None => Err(Error::statement(format!("there is no variable {}", name.name))
                    .at(name.span)
                    .hint("SHOW VARIABLES lists what is defined")),
            },
            Statement::Alter { kind, name, columns } => self.alter(parsed, *kind, name, columns),
            Statement::Assert { exists, what, .. } => self.assert(*exists, what, parsed.span),
            Statement::RunScript { file } => Err(Error::statement("RUN SCRIPT runs where its file is")
                .at(file.span)
                .hint("in a script and in the shell; here send the statements themselves")),
            Statement::CreateConnector { if_not_exists, name, with } => {
                self.create_connector(*if_not_exists, name, with)
            }
            Statement::DropConnector { if_exists, name } => self.drop_connector(*if_exists, name),
            Statement::DescribeConnector { name } => self.describe_connector(name),
            Statement::Show(show) => self.show(show, session),
            Statement::DescribeAll { kind, .. } => Ok(self.describe_all(*kind)),
            Statement::Describe { name, extended } => self.describe(name, *extended),
            Statement::DescribeFunction { name } => super::functions::function(name),
            Statement::ExplainStatement(inner) => self.explain_statement(inner, session),
            Statement::ExplainQuery { id, picture } => self.explain_query(id, *picture),
            Statement::Print { topic, from_beginning, interval, limit } => {
                let opening = self.print(topic, *from_beginning, interval.unwrap_or(1), *limit)?;
                return Ok(Verdict::Answer(Box::new(opening)));
            }
            Statement::Terminate { id } => self.terminate(id.as_ref()),
            Statement::Pause { id } => self.pause(id.as_ref()),
            Statement::Resume { id } => self.resume(id.as_ref()),
            Statement::Drop { kind, if_exists, name, delete_topic } => {
                self.drop_source(*kind, *if_exists, name, *delete_topic)
            }
        };
        self.planning = None;
        self.takes_over = false;
        self.parts.clear();
        self.changes |= is_lasting(&parsed.statement);
        outcome.map(Verdict::Outcome)
    }

    pub fn bind(&self, query: &ast::Query, sources: &[Source], purpose: Purpose) -> Result<SelectPlan> {
        let bound: Vec<select::Source> = sources
            .iter()
            .zip(query.reads())
            .map(|(source, read)| select::Source {
                name: match &read.what {
                    What::Named(name) => &name.name,
                    What::Queries(_) => source.shown(),
                },
                kind: source.kind,
                schema: &source.schema,
                ordinal: source.ordinal,
                starred: source.part.as_ref().map(|part| part.selected.as_slice()),
            })
            .collect();
        bind_select(query, &bound, purpose)
    }

    // ---- what is installed ----

    pub fn install(&mut self, plans: Vec<DataflowPlan>) {
        match self.world.live {
            true => self.effects.install.extend(plans),
            false => self.world.waiting.extend(plans.into_iter().map(Arc::new)),
        }
    }

    pub fn uninstall(&mut self, dataflows: Vec<DataflowId>, tables: Vec<TableId>) {
        self.world.forget(&dataflows);
        if self.world.live {
            self.effects.install.retain(|plan| !dataflows.contains(&plan.id()));
            self.effects.drop.0.extend(dataflows);
            self.effects.drop.1.extend(tables);
        }
    }

    /// What all decisions have in common at their end.
    fn close_off(&mut self) -> Result<()> {
        if !self.world.live {
            return Ok(());
        }
        self.effects.clear.append(&mut self.world.stale);
        let mut plans = std::mem::take(&mut self.effects.install);
        let running = self.world.active.values().map(Arc::as_ref);
        let written: Vec<(DataflowId, PathBuf)> = running.chain(&plans).filter_map(placed::logs).collect();
        let mut surveyed = Ok(());
        for plan in &mut plans {
            // All that are missing are asked for together.
            if let DataflowPlan::Source(source) = plan {
                source.behind = placed::writers(&source.place, &written);
                surveyed = surveyed.and(self.survey_source(source));
            }
        }
        self.world.active.extend(plans.iter().map(|plan| (plan.id(), Arc::new(plan.clone()))));
        self.effects.install = plans;
        self.stop_and_go()?;
        surveyed
    }

    fn survey_source(&self, source: &mut SourcePlan) -> Result<()> {
        let resumed = source.survey.resumed.take();
        let survey = self
            .surveyed(&source.place, source.bounded, resumed)
            .map_err(|e| Error { message: format!("topic {}: {}", source.topic, e.message), ..e })?;
        source.survey = Survey { at_ms: now_ms(), ..survey };
        Ok(())
    }

    // ---- facts ----

    /// A fact; where it is missing, an error that nobody sees.
    fn fact(&self, question: Question) -> Result<Fact> {
        match self.facts.get(&question) {
            Some(fact) => fact.clone(),
            None => {
                self.missing.borrow_mut().push(question);
                Err(Error::runtime("this has to be asked for"))
            }
        }
    }

    /// What asking for changes something; `likely` is gone on with until then.
    fn change(&self, question: Question, likely: Fact) -> Result<Fact> {
        match self.facts.get(&question) {
            Some(fact) => fact.clone(),
            None => {
                self.last.borrow_mut().push(question);
                Ok(likely)
            }
        }
    }

    pub fn survey(&self, place: &Place, once: bool) -> Result<Survey> {
        self.surveyed(place, once, None)
    }

    /// The same, with what became of what an earlier start has read.
    fn surveyed(&self, place: &Place, once: bool, resumed: Option<Position>) -> Result<Survey> {
        match self.fact(Question::Survey { place: place.clone(), once, resumed })? {
            Fact::Survey(survey) => Ok(survey),
            other => unexpected(&other),
        }
    }

    /// The first lines of the files that are there.
    pub fn first_lines(&self, place: &Place) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        match self.fact(Question::FirstLines(place.clone()))? {
            Fact::FirstLines(lines) => Ok(lines),
            other => unexpected(&other),
        }
    }

    /// The partitions that a topic has on its cluster; `None` while that is away.
    pub fn partitions(&self, cluster: &Cluster, topic: &str) -> Result<Option<u32>> {
        match self.fact(Question::Partitions { cluster: cluster.clone(), topic: topic.into() })? {
            Fact::Partitions(partitions) => Ok(partitions),
            other => unexpected(&other),
        }
    }

    /// The same of a topic that is made if it is not there.
    pub fn made(&self, cluster: &Cluster, topic: &str, layout: connector::Layout) -> Result<Option<u32>> {
        let question = Question::Made { cluster: cluster.clone(), topic: topic.into(), layout };
        match self.change(question, Fact::Partitions(None))? {
            Fact::Partitions(partitions) => Ok(partitions),
            other => unexpected(&other),
        }
    }

    /// All topics of a cluster; `None` while it is away.
    pub fn topics_of(&self, cluster: &Cluster) -> Result<Option<Vec<(String, u32)>>> {
        match self.fact(Question::Topics(cluster.clone()))? {
            Fact::Topics(topics) => Ok(topics),
            other => unexpected(&other),
        }
    }

    /// Refuses what needs a cluster that is away.
    pub fn reach(&self, cluster: &Cluster) -> Result<()> {
        self.fact(Question::Reachable(cluster.clone())).map(drop)
    }

    /// Whether what a sink needs is there: its files, its variables.
    pub fn sound(&self, target: &Target) -> Result<()> {
        self.fact(Question::Sound(Box::new(target.clone()))).map(drop)
    }

    pub fn latest_schema(&self, subject: String) -> Result<Result<Resolved, Trouble>> {
        if let Some(schema) = self.pending.borrow().get(&subject) {
            return Ok(Ok(Resolved { id: 0, schema: Arc::new(schema.clone()), needed: Vec::new() }));
        }
        match self.fact(Question::Latest(subject))? {
            Fact::Schema(schema) => Ok(schema),
            other => unexpected(&other),
        }
    }

    pub fn schema(&self, id: u32) -> Result<Result<Resolved, Trouble>> {
        match self.fact(Question::Schema(id))? {
            Fact::Schema(schema) => Ok(schema),
            other => unexpected(&other),
        }
    }

    /// The id that a schema has under a subject, from now on if it had none.
    pub fn registered(&self, subject: String, schema: Schema) -> Result<Result<u32, Trouble>> {
        self.pending.borrow_mut().insert(subject.clone(), schema.clone());
        match self.change(Question::Registered { subject, schema }, Fact::Registered(Ok(0)))? {
            Fact::Registered(id) => Ok(id),
            other => unexpected(&other),
        }
    }

    pub fn locate(&self, event: &EventName) -> Result<Whereabouts> {
        match self.fact(Question::Event(event.clone()))? {
            Fact::Event(found) => Ok(*found),
            other => unexpected(&other),
        }
    }

    pub fn events_of(&self, namespace: &str) -> Result<Vec<EventName>> {
        match self.fact(Question::Namespace(namespace.into()))? {
            Fact::Namespace(events) => Ok(events),
            other => unexpected(&other),
        }
    }

    /// How far readers are, which stand still until what is decided has been installed.
    pub fn held(&self, hold: Hold) -> Result<Arc<Positions>> {
        match self.change(Question::Held(hold), Fact::Held(None))? {
            Fact::Held(held) => Ok(held.map_or_else(Arc::default, |held| Arc::clone(&held.positions))),
            other => unexpected(&other),
        }
    }

    /// Whether what failed failed for want of a fact: then nothing is known of it yet.
    pub fn lacks(&self) -> bool {
        !self.missing.borrow().is_empty()
    }
}

fn unexpected<T>(fact: &Fact) -> Result<T> {
    Err(Error::runtime(format!("a question was answered with {fact:?}; this is a bug")))
}

impl Opening {
    pub fn open(&self, answers: &Arc<Answers>) -> Pair {
        match &self.from {
            Feed::Dataflows { limit } => {
                let rows = answers.open_mailed(&self.id, self.kind, *limit);
                Pair { rows, outlet: None, derived: None }
            }
            feed => {
                let (rows, outlet) = answers.open(&self.id, self.kind);
                let derived = match feed {
                    Feed::Derived { rows, .. } => Some(answers.open_mailed(rows, AnswerKind::Pull, None)),
                    _ => None,
                };
                Pair { rows, outlet: Some(outlet), derived }
            }
        }
    }
}

/// The ends of an answer: its client's, that of who computes it unless workers do, and that of the rows that
/// it is computed from, if workers send them.
pub struct Pair {
    pub rows: Rows,
    pub outlet: Option<Outlet>,
    pub derived: Option<Rows>,
}

impl Effects {
    /// Topics that something is done to beside the world: others who want one of them wait their turn.
    pub fn claims(&self) -> Vec<String> {
        let names = self.clear.iter().filter_map(|dir| dir.file_name());
        let cleared = names.map(|name| name.to_string_lossy().into_owned());
        let deleted = self.delete.iter().map(|(topic, _)| topic.clone());
        let inserted = self.insert.iter().map(|insertion| insertion.topic.clone());
        cleared.chain(deleted).chain(inserted).collect()
    }
}

fn property_status(property: &str, message: String) -> Outcome {
    let command_id = format!("property/{property}/set");
    Outcome::Status(Status { message, command_id, ..Status::default() })
}

/// Whether a statement changes the world by what it says: the next start carries it out again.
pub fn is_lasting(statement: &Statement) -> bool {
    use Statement::*;
    matches!(
        statement,
        CreateSource { .. }
            | CreateAs { .. }
            | InsertSelect { .. }
            | Terminate { .. }
            | Pause { .. }
            | Resume { .. }
            | Drop { .. }
            | CreateType { .. }
            | DropType { .. }
            | Alter { .. }
            | CreateConnector { .. }
            | DropConnector { .. }
    )
}
