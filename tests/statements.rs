//! Statements that wait for somebody: others go on meanwhile.

use crate::harness::{COARSE, DEADLINE, Run, Site};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;
use wharfe::engine::{Outcome, Session};
use wharfe::sql::parse_statement;

/// Somebody who takes connections and never says a word.
struct Mute {
    address: String,
    connected: Receiver<TcpStream>,
    /// They stay open as long as this does.
    kept: Vec<TcpStream>,
}

impl Mute {
    fn listen() -> Mute {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, connected) = sync_channel(1_000);
        std::thread::spawn(move || {
            listener.incoming().map_while(Result::ok).try_for_each(|connection| sender.send(connection))
        });
        Mute { address, connected, kept: Vec::new() }
    }

    /// Waits until somebody has connected and waits for an answer.
    fn wait(&mut self) {
        self.kept.push(self.connected.recv_timeout(DEADLINE).unwrap());
    }
}

const SCRIPT: &str = "
    CREATE STREAM S (K VARCHAR KEY, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');
    INSERT INTO S VALUES ('a', 1);
    CREATE TABLE T AS SELECT K, SUM(V) AS V FROM S GROUP BY K;
";

/// A statement under way on a thread of its own; true once it has ended.
fn start(run: &Run, statement: &str) -> Arc<AtomicBool> {
    let ended = Arc::new(AtomicBool::new(false));
    let (engine, end) = (run.engine.clone(), Arc::clone(&ended));
    let parsed = parse_statement(statement).unwrap();
    std::thread::spawn(move || {
        let _ = engine.execute(&parsed, &mut Session::default());
        end.store(true, Ordering::SeqCst);
    });
    ended
}

type Other = fn(&mut Run);

/// Others are carried out from their beginning to their end while this one waits; `wait` returns when it
/// does. It may not wait for ever, so on a slow machine it may end first: then that says nothing, and is
/// tried again.
fn others_go_on(run: &mut Run, statement: &str, mut wait: impl FnMut()) {
    let others: [(&str, Other); 7] = [
        ("a pull query", |run| assert_eq!(run.ask("SELECT * FROM T").len(), 1)),
        ("a query on a stream", |run| assert!(!run.ask("SELECT * FROM S").is_empty())),
        ("a push query", |run| {
            assert_eq!(run.open("SELECT * FROM S EMIT CHANGES LIMIT 1").rest().len(), 1);
        }),
        ("an insertion", |run| assert_eq!(run.done("INSERT INTO S VALUES ('a', 2)"), "1 row inserted")),
        ("a creation", |run| drop(run.done("CREATE OR REPLACE STREAM D AS SELECT * FROM S"))),
        ("what is shown", |run| assert!(matches!(run.execute("SHOW QUERIES"), Ok(Outcome::Queries(_))))),
        ("what is measured", |run| assert!(run.engine.measures().notes == 0)),
    ];
    let mut ended = start(run, statement);
    wait();
    for (what, other) in others {
        let seen = (0..20).any(|_| {
            if ended.load(Ordering::SeqCst) {
                ended = start(run, statement);
                wait();
            }
            other(run);
            !ended.load(Ordering::SeqCst)
        });
        assert!(seen, "{what} waits for {statement}");
    }
}

#[test]
fn a_registry_that_does_not_answer_holds_up_who_needs_it_alone() {
    let mut mute = Mute::listen();
    let site = Site::new().and(&format!("[registry]\nurl = \"http://{}\"", mute.address));
    let mut run = Run::live(&site, COARSE, SCRIPT);
    run.until("SELECT * FROM T", |rows| !rows.is_empty());
    others_go_on(&mut run, "CREATE STREAM X WITH (KAFKA_TOPIC='x', VALUE_FORMAT='AVRO')", || mute.wait());
}

/// The log's second partition is a pipe that nobody writes: who opens it to read waits.
#[test]
fn a_disk_that_does_not_answer_holds_up_who_needs_it_alone() {
    let site = Site::new().keeping_data();
    let slow = "CREATE STREAM SLOW (V INT) WITH (KAFKA_TOPIC='slow', VALUE_FORMAT='JSON', PARTITIONS=2);";
    let mut run = Run::live(&site, COARSE, &format!("{SCRIPT}{slow}"));
    run.until("SELECT * FROM T", |rows| !rows.is_empty());
    let segment =
        |partition: u32| site.path(&format!("data/topics/slow/{partition}/00000000000000000000.log"));
    let pipe = segment(1);
    std::fs::create_dir_all(pipe.parent().unwrap()).unwrap();
    let path = std::ffi::CString::new(pipe.to_str().unwrap()).unwrap();
    // SAFETY: the path is a text with its end.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    others_go_on(&mut run, "INSERT INTO SLOW VALUES (1)", || {
        let started = Instant::now();
        // The first partition is opened just before the second.
        while !segment(0).exists() {
            assert!(started.elapsed() < DEADLINE, "it does not come to the disk");
            std::thread::yield_now();
        }
    });
    // Somebody was waiting there, and goes on.
    let released = std::fs::OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(&pipe);
    assert!(released.is_ok(), "{released:?}");
}

#[cfg(feature = "kafka")]
#[test]
fn a_cluster_that_does_not_answer_holds_up_who_needs_it_alone() {
    let statements = ["INSERT INTO FAR VALUES (1)", "DROP STREAM FAR DELETE TOPIC", "SHOW TOPICS"];
    for statement in statements {
        let mut mute = Mute::listen();
        let site = Site::new().and(&format!(
            "[clusters.far]\n\"bootstrap.servers\" = \"{}\"\n\
             [topics.far]\nconnector = \"kafka\"\ncluster = \"far\"",
            mute.address
        ));
        let far = "CREATE STREAM FAR (V INT) WITH (KAFKA_TOPIC='far', VALUE_FORMAT='JSON');";
        let mut run = Run::live(&site, COARSE, &format!("{SCRIPT}{far}"));
        run.until("SELECT * FROM T", |rows| !rows.is_empty());
        others_go_on(&mut run, statement, || mute.wait());
    }
}

/// A topic on a cluster that is away, which nothing in the script reads.
#[cfg(feature = "kafka")]
#[test]
fn a_start_waits_for_no_cluster_that_it_does_not_need() {
    let mute = Mute::listen();
    let site = Site::new().with("s", "s.json", r#"{"V":1}"#).and(&format!(
        "[clusters.far]\n\"bootstrap.servers\" = \"{}\"\n\
         [topics.far]\nconnector = \"kafka\"\ncluster = \"far\"\n\
         [default]\nconnector = \"kafka\"\ncluster = \"far\"",
        mute.address
    ));
    let script = site.script("CREATE STREAM S (V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='JSON');");
    let script = script.to_str().unwrap();
    let finished =
        crate::harness::run(&["run", "--once", "-q", "SELECT * FROM S", "--format", "json", script]);
    assert_eq!((finished.code, finished.stdout.trim()), (Some(0), r#"{"V":1}"#), "{finished:?}");
    assert!(mute.connected.try_recv().is_err(), "the cluster was asked");
}
