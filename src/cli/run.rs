//! `wharfe run`: a script from start to end.
//!
//! Everything that can be refused is refused before anything starts: the script and the queries are
//! parsed, the topology read, the port bound. Then the engine runs; process 0 carries out the script,
//! and either answers once (`--once`) or serves until it is stopped.

use super::answers::Answers;
use super::output::Format;
use super::script::{self, Question, Script};
use super::serving::{self, Prepared, Serving};
use super::{gateway, interrupt, live, log, progress, settings, summary};
use crate::dashboard;
use crate::engine::Engine;
use crate::error::{Code, Error, Result};
use crate::gateway::Gateway;
use crate::gateway::statements::Statements;
use crate::plan::Emission;
use crate::registry::Client;
use crate::server::Options;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

const REJECTS_UNDER_STRICT: u8 = 3;

/// Run a script: maintain its tables and serve them, or answer once and end
///
/// The statements of the script are carried out in order, reading every topic from its beginning
/// unless the script says otherwise (SET 'auto.offset.reset'). Then the engine serves ksqlDB's REST
/// interface until Ctrl-C; on a terminal it shows the maintained tables as they change. SIGTERM ends it
/// within 5 seconds, with a last checkpoint and the exit code 0.
///
/// With --once the inputs end when what was there at the start has been read; then SELECTs of the
/// script and of -q are answered on standard output and the command ends.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The script of ksqlDB statements
    #[arg(value_name = "FILE.sql")]
    pub script: PathBuf,

    /// Where topics live [default: FILE.toml beside the script, or topology.toml]
    ///
    /// A TOML file with a table [topics.NAME] a topic. Paths in it are relative to the file.
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    pub topology: Option<PathBuf>,

    /// Read the topic NAME from PATH, whatever the topology says; repeatable
    #[arg(long, value_name = "NAME=PATH", help_heading = "Input")]
    pub topic: Vec<String>,

    /// Keep topics and state here [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR", help_heading = "Input")]
    pub data_dir: Option<PathBuf>,

    /// Worker threads of each process [default: the number of cores]
    #[arg(short, long, value_name = "N", help_heading = "Running",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub workers: Option<u16>,

    /// Stop when every input has been read, and answer queries then
    #[arg(long, help_heading = "Running")]
    pub once: bool,

    /// A query to answer at the end of --once; repeatable
    ///
    /// All of them see the same state: that after the last record. EMIT CHANGES ends with the input.
    /// The answers come in order, with an empty line between them.
    #[arg(short, long, value_name = "SQL", requires = "once", help_heading = "Running")]
    pub query: Vec<String>,

    /// How often the state is saved under --data-dir, in seconds; a fraction will do
    ///
    /// A start on the same directory goes on from the newest checkpoint as if there had been no end. One
    /// more is taken when the run is stopped.
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds, help_heading = "Running")]
    pub checkpoint_interval: Duration,

    /// How often what queries write to clusters becomes visible there, with --data-dir, in seconds
    ///
    /// Each time the changes since the last time are saved as a checkpoint, too: shorter is sooner, longer
    /// costs less.
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds, help_heading = "Running")]
    pub commit_interval: Duration,

    /// When tables tell of their changes
    ///
    /// A tick, of some milliseconds, tells of each row that it has changed, once. With record, each record
    /// is a tick: a table tells once for each record that touches a row, unchanged or not, as ksqlDB
    /// does with cache.max.bytes.buffering = 0. Some thousand records a second go through then.
    #[arg(long, value_enum, default_value_t, value_name = "UNIT", help_heading = "Running")]
    pub emit: Emit,

    /// How many MiB of rows may wait for clients that read slowly
    ///
    /// Where more would wait, the push query with the most is ended with an error; a single one may have
    /// a quarter of them. Queries that end by themselves go at their client's speed instead.
    #[arg(long, value_name = "MIB", default_value_t = 64, help_heading = "Running",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub answer_memory: u16,

    /// How many push queries may be open at once; ksql.max.push.queries
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "Running")]
    pub max_push_queries: usize,

    /// Exit with 3 if any record was rejected
    #[arg(long, help_heading = "Running")]
    pub strict: bool,

    /// How answers are printed
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    pub format: Format,

    /// Serve on this address [default: 127.0.0.1:8088; with --once: do not serve]
    ///
    /// HOST:PORT or PORT; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", help_heading = "Output")]
    pub listen: Option<String>,

    #[command(flatten)]
    pub exposure: serving::Exposure,

    /// Serve a dashboard; repeatable [default: FILE.dashboard.toml beside the script, if it exists]
    ///
    /// A TOML file that says which queries a page shows, and how. Its address is /dashboards/NAME, with
    /// the file's name up to .dashboard.toml.
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub dashboard: Vec<PathBuf>,

    /// Serve events by name on the same address, too; see `wharfe gateway --help`
    #[arg(long, requires = "data_dir", conflicts_with = "once", help_heading = "Gateway")]
    pub gateway: bool,

    #[command(flatten)]
    pub more: gateway::More,

    #[command(flatten)]
    pub log: log::Args,

    /// How many processes run this script together
    ///
    /// Start the same command on each with its own -p; process 0 serves. Timely's own flags.
    #[arg(short = 'n', long, value_name = "PROCESSES", default_value_t = 1, help_heading = "Many processes",
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub processes: u16,

    /// Which of them this one is, counted from 0
    #[arg(
        short = 'p',
        long,
        value_name = "INDEX",
        default_value_t = 0,
        requires = "processes",
        help_heading = "Many processes"
    )]
    pub process: u16,

    /// Their addresses, HOST:PORT a line [default: localhost:2101, localhost:2102, …]
    #[arg(long, value_name = "FILE", requires = "processes", help_heading = "Many processes")]
    pub hostfile: Option<PathBuf>,
}

/// After what tables tell of their changes.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default)]
pub enum Emit {
    #[default]
    Tick,
    Record,
}

impl From<Emit> for Emission {
    fn from(emit: Emit) -> Emission {
        match emit {
            Emit::Tick => Emission::PerTick,
            Emit::Record => Emission::PerRecord,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  wharfe run dataflows/carparks.sql
  wharfe run --once --format json -q 'SELECT * FROM SOURCE_COUNTS' dataflows/carparks.sql
  wharfe run --topic carparks=/data/live.csv -w 4 dataflows/carparks.sql
  wharfe run -n 2 -p 0 dataflows/carparks.sql  (and -p 1 in another terminal)";

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("expected a number of seconds above 0".into()),
    }
}

pub fn run(args: Args) -> Result<u8> {
    let script = Script::file(&args.script)?;
    let questions = args.query.iter().map(|q| Script::question(q)).collect::<Result<Vec<_>>>()?;
    let config = settings::config(&args)?;
    let options = serving::options(&args)?;
    let listener = serving::bind(&args)?;
    interrupt::install()?;
    // A cluster's start waits for the other processes, and nothing is there to be stopped yet.
    let once = args.once;
    interrupt::then(move || std::process::exit(if is_asked_for(once) { 0 } else { 130 }));
    let engine = Engine::start(config)?;
    let stopped = engine.clone();
    interrupt::then(move || {
        tracing::info!("stopping");
        drop(stopped.stop_soon());
    });
    let done = match args.process {
        0 => lead(&engine, &args, &script, &questions, listener.map(|listener| (listener, options))),
        _ => engine.join(),
    };
    let rejected = engine.progress().rows_rejected;
    let stopped = engine.stop();
    // What fails because it was interrupted, or because the engine failed, is no failure of its own.
    if !is_asked_for(args.once) {
        interrupt::check()?;
    }
    stopped?;
    match done {
        Err(error) if error.code == Code::Interrupted && is_asked_for(args.once) => {}
        done => done?,
    }
    Ok(if args.strict && rejected > 0 { REJECTS_UNDER_STRICT } else { 0 })
}

/// Whether the end is one that was asked for. Who asks for an answer does not get it by terminating.
fn is_asked_for(once: bool) -> bool {
    interrupt::terminated() && !once
}

/// What process 0 does.
fn lead(
    engine: &Engine,
    args: &Args,
    script: &Script,
    questions: &[Script],
    served: Option<(TcpListener, Options)>,
) -> Result<()> {
    let started = Instant::now();
    let mut answers = Answers::new(args.format);
    let mut session = script::session();
    let events = args.gateway.then_some(|| events(engine, args));
    let prepared = served.is_some().then(|| Prepared::new(events)).transpose()?;
    let mut asked = script::execute(engine, script, args.once, &mut session, &mut answers)?;
    for question in questions {
        asked.extend(script::ask(engine, question, &session)?);
    }
    check_topics(engine, args)?;
    for (placed, read) in engine.misplaced() {
        tracing::warn!("the topology places topic {placed}, which nothing reads; did you mean {read}?");
    }
    engine.begin()?;
    let mut pages = vec!["console".to_string()];
    if let Some((_, Options { dashboards, .. })) = &served {
        pages.extend(dashboards.iter().map(|dashboard| format!("dashboards/{}", dashboard.name)));
        let problems = dashboards.iter().flat_map(|dashboard| dashboard::problems(dashboard, engine));
        problems.flatten().for_each(|problem| tracing::warn!("{problem}"));
    }
    let start = |((listener, options), prepared)| Serving::start(listener, engine.clone(), options, prepared);
    let serving = served.zip(prepared).map(start).transpose()?;
    if args.once {
        if let Some(serving) = &serving {
            log::say(&format!("listening on {}", serving.url));
        }
        for topic in engine.unplaced() {
            tracing::warn!(
                "topic {topic} is empty: the topology does not say where it is; hint: --topic {topic}=PATH"
            );
        }
        once(engine, started, asked, &mut answers)?;
    } else if let Some(serving) = &serving {
        let (script, workers, processes) = (args.script.display(), settings::workers(args), args.processes);
        tracing::info!(url = serving.url, %script, workers, processes, "started");
        answer(engine, asked, &mut answers)?;
        live::watch(engine, &args.script, &serving.url, &pages)?;
    }
    serving.map_or(Ok(()), Serving::stop)
}

/// The gateway beside the engine: in the same directory, with the same registry.
fn events(engine: &Engine, args: &Args) -> Result<Arc<Gateway>> {
    let dir = args.data_dir.as_deref().ok_or_else(|| Error::usage("--gateway needs --data-dir"))?;
    let topology = settings::topology(&args.script, args.topology.as_deref(), &[])?;
    let client = match engine.registry() {
        Some(own) => Client::Own(own),
        None => Client::open(topology.registry.as_ref(), dir)?,
    };
    let gateway = gateway::open(dir, topology, client, &args.more)?;
    engine.set_events(Statements::open(&gateway, &dir.join("publish"))?)?;
    gateway.beside(Arc::new(engine.clone()));
    Ok(gateway)
}

/// A misspelt topic would go unnoticed, and nothing would be read.
fn check_topics(engine: &Engine, args: &Args) -> Result<()> {
    let topics = engine.topics();
    for given in &args.topic {
        let name = given.split('=').next().unwrap_or_default();
        if topics.iter().any(|topic| topic == name) {
            continue;
        }
        let message = format!("--topic {given}: {} has no topic {name}", args.script.display());
        if args.once {
            let known = topics.iter().map(String::as_str).filter(|topic| !topic.starts_with("wharfe_"));
            let known: Vec<&str> = known.collect();
            return Err(Error::usage(message).hint(format!("it has {}", known.join(", "))));
        }
        // A statement may come that reads it.
        tracing::warn!("{message}");
    }
    Ok(())
}

fn once(engine: &Engine, started: Instant, asked: Vec<Question>, answers: &mut Answers) -> Result<()> {
    progress::wait(engine)?;
    let read_in = started.elapsed();
    interrupt::check()?;
    answer(engine, asked, answers)?;
    let progress = engine.progress();
    summary::say(engine, &progress, read_in)
}

fn answer(engine: &Engine, asked: Vec<Question>, answers: &mut Answers) -> Result<()> {
    for mut question in asked {
        let outcome = question.answer(engine)?;
        answers.show(question.statement, outcome)?;
    }
    answers.finish()
}
