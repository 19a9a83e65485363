//! What the tests stand on: a directory of topics' files, an engine in this process, the real binary.
//!
//! Nothing sleeps to pass: what must happen is waited for, and [`DEADLINE`] only turns a hang into a
//! failure.

use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wharfe::connector::{Opening, Poll, Share, Source, Start, Survey, log};
use wharfe::engine::{
    Answer, AnswerEnd, AnswerEvent, AnswerLimits, Config, Engine, Intervals, Outcome, Pace, Session,
};
use wharfe::error::Result;
use wharfe::format::output::json_row;
use wharfe::plan::Emission;
use wharfe::sql::ast::{Parsed, Statement};
use wharfe::sql::lexer::{TokenKind, lex};
use wharfe::sql::parse_statement_with;
use wharfe::topology::Topology;

pub const DEADLINE: Duration = Duration::from_secs(180);

/// A directory with the files of some topics, and the topology that names them.
pub struct Site {
    dir: TempDir,
    topology: String,
    keeps_data: bool,
}

impl Site {
    pub fn new() -> Site {
        Site { dir: tempfile::tempdir().unwrap(), topology: String::new(), keeps_data: false }
    }

    /// Engines keep their data in the site, instead of each in a directory of its own.
    pub fn keeping_data(self) -> Site {
        Site { keeps_data: true, ..self }
    }

    /// A topic in a file; its framing follows the file's extension.
    pub fn with(mut self, topic: &str, file: &str, bytes: impl AsRef<[u8]>) -> Site {
        self.write(file, bytes);
        self.topology += &format!("[topics.{topic}]\nconnector = \"file\"\npath = \"{file}\"\n");
        self
    }

    /// More of the topology, as TOML.
    pub fn and(mut self, toml: &str) -> Site {
        self.topology += toml;
        self.topology.push('\n');
        self
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(file), bytes).unwrap();
        self.path(file)
    }

    pub fn append(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.path(file)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    /// How many lines of a file are so.
    pub fn lines(&self, file: &str, line: &str) -> usize {
        std::fs::read_to_string(self.path(file)).unwrap().lines().filter(|l| *l == line).count()
    }

    pub fn topology(&self) -> Topology {
        Topology::parse("topology.toml", &self.topology, self.dir()).unwrap()
    }

    /// Writes script and topology side by side, for the binary; returns the script's path.
    pub fn script(&self, sql: &str) -> PathBuf {
        self.write("script.toml", &self.topology);
        self.write("script.sql", sql)
    }
}

/// How input is cut, and over how many workers.
#[derive(Clone, Copy, Debug)]
pub struct Cut {
    pub workers: usize,
    pub tick_ms: u64,
    pub tick_bytes: usize,
    pub batch_bytes: usize,
    pub inflight_bytes: usize,
    pub emission: Emission,
}

pub const COARSE: Cut = Cut {
    workers: 1,
    tick_ms: 10,
    tick_bytes: 8 << 20,
    batch_bytes: 512 << 10,
    inflight_bytes: 32 << 20,
    emission: Emission::PerTick,
};
/// About a record a tick, and room for some that wait.
pub const FINE: Cut = Cut {
    workers: 3,
    tick_ms: 1,
    tick_bytes: 1,
    batch_bytes: 64,
    inflight_bytes: 2 << 10,
    emission: Emission::PerTick,
};
/// One output for each record that touches a row.
pub const EACH: Cut = Cut { emission: Emission::PerRecord, ..COARSE };

impl Cut {
    pub fn workers(self, workers: usize) -> Cut {
        Cut { workers, ..self }
    }

    fn config(self, site: &Site, once: bool) -> Config {
        let Cut { workers, tick_ms, tick_bytes, batch_bytes, inflight_bytes, emission } = self;
        let tick = Duration::from_millis(tick_ms);
        Config {
            workers,
            hosts: Vec::new(),
            process: 0,
            data_dir: site.keeps_data.then(|| site.path("data")),
            once,
            topology: site.topology(),
            pace: Pace { tick, tick_bytes, batch_bytes, emission, inflight_bytes },
            checkpoints: Intervals { checkpoint: DEADLINE, commit: DEADLINE },
            answers: AnswerLimits::default(),
        }
    }
}

/// An engine with the session of its script.
pub struct Run {
    pub engine: Engine,
    pub session: Session,
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.engine.stop();
    }
}

impl Run {
    /// Runs a script without queries to the end of its inputs.
    pub fn once(site: &Site, cut: Cut, script: &str) -> Run {
        let run = Run::start(site, cut, true, script);
        assert!(run.engine.wait_for_inputs(Some(DEADLINE)).unwrap(), "the inputs did not end");
        run
    }

    /// Starts a script that goes on.
    pub fn live(site: &Site, cut: Cut, script: &str) -> Run {
        Run::start(site, cut, false, script)
    }

    fn start(site: &Site, cut: Cut, once: bool, script: &str) -> Run {
        let mut run = Run::idle(site, cut, once);
        for statement in statements(script) {
            run.execute(statement).unwrap_or_else(|e| panic!("{e}"));
        }
        run.engine.begin().unwrap();
        run
    }

    /// An engine before its script, which reads from the beginning.
    pub fn idle(site: &Site, cut: Cut, once: bool) -> Run {
        let mut session = Session::default();
        session.properties.insert("auto.offset.reset".into(), "earliest".into());
        Run { engine: Engine::start(cut.config(site, once)).unwrap(), session }
    }

    /// What comes over the wire reads from now on, unless it says otherwise.
    pub fn read_from(&mut self, reset: &str) {
        self.session.properties.insert("auto.offset.reset".into(), reset.into());
    }

    pub fn execute(&mut self, sql: &str) -> Result<Outcome> {
        let named = |e: wharfe::error::Error| e.in_text("script", sql);
        let parsed = self.parsed(sql).map_err(named)?;
        self.engine.execute(&parsed, &mut self.session).map_err(named)
    }

    /// The statement, with the types and variables that there are by now.
    pub fn parsed(&self, sql: &str) -> Result<Parsed> {
        parse_statement_with(sql, self.engine.known(&self.session)?)
    }

    /// The message of a statement that only does something.
    pub fn done(&mut self, sql: &str) -> String {
        match self.execute(sql) {
            Ok(Outcome::Status(status)) => status.message,
            Ok(_) => panic!("{sql} has an answer"),
            Err(error) => panic!("{error}"),
        }
    }

    pub fn refused(&mut self, sql: &str) -> String {
        match self.execute(sql) {
            Ok(_) => panic!("{sql} is carried out"),
            Err(error) => error.to_string(),
        }
    }

    pub fn open(&mut self, sql: &str) -> Watch {
        match self.execute(sql) {
            Ok(Outcome::Answer(answer)) => Watch::new(answer),
            Ok(_) => panic!("{sql} has no rows"),
            Err(error) => panic!("{error}"),
        }
    }

    /// The rows of a query that ends, as JSON.
    pub fn ask(&mut self, sql: &str) -> Vec<String> {
        let mut watch = self.open(sql);
        let rows = watch.rest();
        match watch.end {
            Some(Err(error)) => panic!("{sql}: {error}"),
            _ => rows,
        }
    }

    /// The number that a query of one row and column answers.
    pub fn number(&mut self, sql: &str) -> i64 {
        let rows = self.ask(sql);
        let value: Value = serde_json::from_str(&rows[0]).unwrap();
        value.as_object().unwrap().values().next().unwrap().as_i64().unwrap()
    }

    /// Asks again until the answer is as wanted.
    pub fn until(&mut self, sql: &str, wanted: impl Fn(&[String]) -> bool) -> Vec<String> {
        let started = Instant::now();
        loop {
            let rows = self.ask(sql);
            if wanted(&rows) {
                return rows;
            }
            assert!(started.elapsed() < DEADLINE, "{sql} still answers {rows:#?}");
        }
    }
}

/// An answer under way.
pub struct Watch {
    pub answer: Answer,
    rows: std::vec::IntoIter<String>,
    /// How it ended, once it has.
    pub end: Option<Result<AnswerEnd>>,
}

impl Watch {
    pub fn new(answer: Answer) -> Watch {
        Watch { answer, rows: Vec::new().into_iter(), end: None }
    }

    /// The next row; `None` at the end.
    pub fn next(&mut self) -> Option<String> {
        loop {
            if let Some(row) = self.rows.next() {
                return Some(row);
            }
            match next_event(&mut self.answer)? {
                AnswerEvent::Rows(rows) => {
                    let rows = rows.iter().map(|r| row_text(&self.answer, &r.row, r.deleted));
                    self.rows = rows.collect::<Vec<_>>().into_iter();
                }
                AnswerEvent::End(end) => {
                    self.end = Some(Ok(end));
                    return None;
                }
                AnswerEvent::Error(error) => {
                    self.end = Some(Err(error));
                    return None;
                }
            }
        }
    }

    pub fn take(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.next().expect("more rows")).collect()
    }

    pub fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

/// The next event; a hang becomes a failure.
fn next_event(answer: &mut Answer) -> Option<AnswerEvent> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let next = async { tokio::time::timeout(DEADLINE, answer.rows.recv()).await };
    runtime.block_on(next).unwrap_or_else(|_| panic!("{} says nothing", answer.id))
}

fn row_text(answer: &Answer, row: &[wharfe::value::Value], deleted: bool) -> String {
    let mut text = String::new();
    json_row(&answer.columns, row, &mut text);
    if deleted {
        text.truncate(text.len() - 1);
        text += ",\"@deleted\":true}";
    }
    text
}

/// The statements of a script, each without its semicolon and what stands before it.
pub fn statements(script: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = None;
    for token in lex(script) {
        match token.kind {
            TokenKind::Symbol(";") | TokenKind::End => {
                found.extend(start.take().map(|start| script[start..token.span.start].trim_end()));
            }
            _ => drop(start.get_or_insert(token.span.start)),
        }
    }
    found
}

pub fn is_query(parsed: &Parsed) -> bool {
    matches!(parsed.statement, Statement::Select(_) | Statement::Print { .. })
}

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// Some way to cut input.
    pub fn cut(&mut self) -> Cut {
        Cut {
            workers: *self.pick(&[1, 2, 3, 4]),
            tick_ms: *self.pick(&[1, 2, 10]),
            tick_bytes: *self.pick(&[1, 300, 5_000, 8 << 20]),
            batch_bytes: *self.pick(&[1, 100, 4_000, 512 << 10]),
            inflight_bytes: *self.pick(&[1_000, 32 << 20]),
            emission: Emission::PerTick,
        }
    }
}

/// Key and value of the messages of a stored topic, each partition in its order.
pub fn messages(topic: &Path) -> Vec<(String, String)> {
    let opening = Opening { share: Share::All, start: Start::Earliest, bounded: true, opened_ms: 0 };
    let mut reader = log::open(topic, opening, &Survey::default()).unwrap();
    let mut messages = Vec::new();
    while let Poll::Messages(batch) = reader.poll(1 << 20, 0).unwrap() {
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        messages.extend((0..batch.len()).map(|i| (text(batch.key(i)), text(batch.value(i)))));
    }
    messages
}

/// The binary in another process.
pub struct Process {
    pub child: Child,
    /// Lines of standard output as they come.
    lines: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// What a process left behind.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

pub fn binary<S: AsRef<OsStr>>(args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfe"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the binary to its end.
pub fn run(args: &[&str]) -> Finished {
    Process::start(binary(args)).finish()
}

impl Process {
    pub fn start(mut command: Command) -> Process {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = sync_channel(100_000);
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|l| sender.send(l)));
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stderr.read_to_string(&mut text);
            text
        });
        Process { child, lines, stderr: Some(stderr) }
    }

    /// The next line of standard output; `None` at its end.
    pub fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the process says nothing"),
        }
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes any two numbers; the child is ours and has not been waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits for its end.
    pub fn finish(mut self) -> Finished {
        let stdout = std::iter::from_fn(|| self.line()).fold(String::new(), |text, line| text + &line + "\n");
        let stderr = self.stderr.take().unwrap().join().unwrap();
        let code = self.child.wait().unwrap().code();
        Finished { code, stdout, stderr }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server in another process, on a port of its own.
pub struct Served {
    pub process: Process,
    pub url: String,
    agent: ureq::Agent,
}

/// What an HTTP request was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub media_type: String,
    pub body: String,
}

impl Served {
    pub fn start(script: &Path, more: &[&str]) -> Served {
        let mut command = binary(["run", "--listen", "127.0.0.1:0", "-w", "2"]);
        command.args(more).arg(script);
        Served::of(command)
    }

    /// What a command serves that says where it listens.
    pub fn of(command: Command) -> Served {
        let mut process = Process::start(command);
        let Some(line) = process.line() else { panic!("it ended: {:?}", process.finish()) };
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}")).to_string();
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        Served { process, url, agent: config.into() }
    }

    /// Asks it to terminate, and waits until it has.
    pub fn stop(self) -> Finished {
        self.process.signal(libc::SIGTERM);
        self.process.finish()
    }

    pub fn get(&self, path: &str) -> Reply {
        reply(self.agent.get(format!("{}{path}", self.url)).call().unwrap())
    }

    pub fn post(&self, path: &str, accept: &str, body: impl Into<String>) -> Reply {
        reply(self.send(path, accept, body))
    }

    /// The statements of a `/ksql` request, and its answer.
    pub fn ksql(&self, sql: &str) -> Value {
        let reply = self.post("/ksql", "", json!({ "ksql": sql }).to_string());
        serde_json::from_str(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"))
    }

    /// An answer whose lines come as they are sent.
    pub fn stream(&self, path: &str, accept: &str, body: impl Into<String>) -> Lines<BufReader<impl Read>> {
        BufReader::new(self.send(path, accept, body).into_body().into_reader()).lines()
    }

    fn send(&self, path: &str, accept: &str, body: impl Into<String>) -> ureq::http::Response<ureq::Body> {
        let request =
            self.agent.post(format!("{}{path}", self.url)).header("content-type", "application/json");
        let request = if accept.is_empty() { request } else { request.header("accept", accept) };
        request.send(body.into()).unwrap()
    }
}

fn reply(response: ureq::http::Response<ureq::Body>) -> Reply {
    let media_type = response.headers().get("content-type").map_or("", |v| v.to_str().unwrap()).to_string();
    let status = response.status().as_u16();
    Reply { status, media_type, body: response.into_body().read_to_string().unwrap() }
}

/// So many addresses on loopback that nobody listens on.
pub fn free_addresses(count: usize) -> Vec<String> {
    let bound: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    bound.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect()
}
