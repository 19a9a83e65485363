//! What a decision has to know of the world outside: asked without any lock, answered once a statement.
//!
//! A decision looks its facts up; one that is missing ends it, is asked for, and the statement is decided
//! again. What changes something outside (a topic is made, a schema registered) is asked for last, when
//! all else is decided: until then the decision goes on with what the answer most likely is.

use super::draft::Base;
use super::hold::{Held, Hold};
use crate::connector::opensearch::Target;
use crate::connector::{self, Cluster, Layout, Place, Position, Survey};
use crate::error::{Code, Error, Result};
use crate::registry::{Resolved, Schema, Trouble};
use crate::topology::{EventName, Whereabouts};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

#[derive(Clone, Debug, PartialEq)]
pub enum Question {
    /// The partitions of a topic on a cluster.
    Partitions { cluster: Cluster, topic: String },
    /// The same; it is made if it is not there.
    Made { cluster: Cluster, topic: String, layout: Layout },
    /// All topics of a cluster.
    Topics(Cluster),
    /// Whether a cluster answers at all.
    Reachable(Cluster),
    /// What a place holds. `once`: nothing will come later; `resumed`: where an earlier start stopped.
    Survey { place: Place, once: bool, resumed: Option<Position> },
    /// The first lines of the files of a place.
    FirstLines(Place),
    /// The newest schema of a subject.
    Latest(String),
    /// The schema with an id.
    Schema(u32),
    /// The id of a schema under a subject, where it is registered if it is not.
    Registered { subject: String, schema: Schema },
    /// Where an event is, and what it looks like.
    Event(EventName),
    /// The events of a namespace.
    Namespace(String),
    /// How far readers are, each with its name, which stand still from then on.
    Held(Hold),
    /// Whether files and variables are there that a sink needs.
    Sound(Box<Target>),
}

#[derive(Clone, Debug)]
pub enum Fact {
    /// `None`: its cluster is away.
    Partitions(Option<u32>),
    Topics(Option<Vec<(String, u32)>>),
    Survey(Survey),
    FirstLines(Vec<(PathBuf, Vec<u8>)>),
    Schema(Result<Resolved, Trouble>),
    Registered(Result<u32, Trouble>),
    Event(Box<Whereabouts>),
    Namespace(Vec<EventName>),
    /// The readers go on when nobody has it any more; `None`: they have not been stopped yet.
    Held(Option<Arc<Held>>),
    Sound,
}

/// What a statement has been told.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    known: Vec<(Question, Result<Fact>)>,
}

impl Facts {
    pub fn get(&self, question: &Question) -> Option<&Result<Fact>> {
        self.known.iter().find(|(known, _)| known == question).map(|(_, fact)| fact)
    }

    /// Asks; those that ask different clusters do not wait for each other.
    pub fn ask(&mut self, questions: Vec<Question>, base: &Base) {
        let mut lanes: BTreeMap<String, Vec<Question>> = BTreeMap::new();
        for question in questions {
            lanes.entry(question.lane()).or_default().push(question);
        }
        let ask = |lane: Vec<Question>| -> Vec<(Question, Result<Fact>)> {
            lane.into_iter().map(|question| (question.clone(), question.ask(base))).collect()
        };
        if lanes.len() == 1 {
            self.known.extend(lanes.into_values().flat_map(ask));
            return;
        }
        std::thread::scope(|scope| {
            let ask = &ask;
            let asked: Vec<_> = lanes.into_values().map(|lane| scope.spawn(move || ask(lane))).collect();
            let join = |lane: ScopedJoinHandle<_>| lane.join().unwrap_or_else(|panic| resume_unwind(panic));
            self.known.extend(asked.into_iter().flat_map(join));
        });
    }
}

impl Question {
    /// Questions of one lane go one after the other.
    fn lane(&self) -> String {
        match self {
            Question::Partitions { cluster, .. }
            | Question::Made { cluster, .. }
            | Question::Topics(cluster)
            | Question::Reachable(cluster)
            | Question::Survey { place: Place::Kafka { cluster, .. }, .. } => {
                format!("cluster {}", cluster.name)
            }
            Question::Survey { .. } | Question::FirstLines(_) | Question::Sound(_) => "disk".into(),
            Question::Held(_) => "readers".into(),
            Question::Latest(_)
            | Question::Schema(_)
            | Question::Registered { .. }
            | Question::Event(_)
            | Question::Namespace(_) => "registry".into(),
        }
    }

    fn ask(self, base: &Base) -> Result<Fact> {
        use connector::kafka;
        let (registry, events) = (base.schemas.client(), base.events());
        Ok(match self {
            Question::Partitions { cluster, topic } => {
                Fact::Partitions(kafka::prepare(&cluster, &topic, None).map_err(refused)?)
            }
            Question::Made { cluster, topic, layout } => {
                Fact::Partitions(kafka::prepare(&cluster, &topic, Some(layout)).map_err(refused)?)
            }
            Question::Topics(cluster) => Fact::Topics(kafka::topics(&cluster)?),
            Question::Reachable(cluster) => Fact::Topics(match kafka::topics(&cluster)? {
                None => return Err(Error::runtime(format!("{cluster} cannot be reached"))),
                topics => topics,
            }),
            Question::Survey { place, once, resumed } => {
                let mut survey = Survey { resumed, ..connector::survey(&place, once)? };
                connector::recognise(&place, &mut survey)?;
                Fact::Survey(survey)
            }
            Question::FirstLines(place) => Fact::FirstLines(connector::first_lines(&place)?),
            Question::Latest(subject) => Fact::Schema(registry.latest(&subject)),
            Question::Schema(id) => Fact::Schema(registry.schema(id)),
            Question::Registered { subject, schema } => Fact::Registered(registry.register(&subject, schema)),
            Question::Event(event) => Fact::Event(Box::new(events.locate(&event)?)),
            Question::Namespace(namespace) => Fact::Namespace(events.of_namespace(&namespace)?),
            Question::Held(hold) => Fact::Held(Some(Arc::new(hold.take(&base.shared)?))),
            Question::Sound(target) => {
                target.sound().map_err(Error::topology)?;
                Fact::Sound
            }
        })
    }
}

/// What a cluster that answers refuses is wrong with the statement: to try it again does not help.
fn refused(error: Error) -> Error {
    Error { code: Code::Statement, ..error }
}
