//! What a run depends on fails while it runs: the disk is full.

use crate::harness::{DEADLINE, Process, Served, Site, binary, messages};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// A disk of a given size in a mount namespace of its own, which ends with it.
struct SmallDisk {
    holder: Child,
    path: PathBuf,
}

impl SmallDisk {
    /// `None`, said aloud, where nobody may mount one.
    fn mount(path: &Path, size: &str) -> Option<SmallDisk> {
        std::fs::create_dir(path).unwrap();
        let mut holder = Command::new("unshare")
            .args(["-Urm", "sh", "-c", "mount -t tmpfs -o size=$1 none $0 && echo mounted && exec sleep 600"])
            .arg(path)
            .arg(size)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        let disk = SmallDisk { holder, path: path.into() };
        if said.is_empty() {
            eprintln!("SKIPPED: no small disk can be mounted here (unshare -Urm, mount -t tmpfs)");
            return None;
        }
        Some(disk)
    }

    /// The same command where the disk is.
    fn with(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        let holder = self.holder.id().to_string();
        inside.args(["--target", &holder, "--user", "--mount", "--preserve-credentials", "--"]);
        inside.arg(command.get_program()).args(command.get_args()).stdin(Stdio::null());
        inside
    }

    fn sh(&self, script: &str) -> bool {
        let mut sh = Command::new("sh");
        sh.args(["-c", script]).arg(&self.path);
        self.with(&sh).stderr(Stdio::null()).status().unwrap().success()
    }

    /// Leaves no room.
    fn fill(&self) {
        assert!(!self.sh("cat /dev/zero > $0/filler"), "it has an end");
    }

    fn make_room(&self) {
        assert!(self.sh("rm $0/filler"));
    }

    fn resize(&self, size: &str) {
        assert!(self.sh(&format!("mount -o remount,size={size} $0")));
    }

    /// How the disk is reached from here.
    fn seen(&self) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.id()));
        root.join(self.path.strip_prefix("/").unwrap())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Numbers of finished checkpoints, and names of others.
fn checkpoints(data: &Path) -> (Vec<u64>, Vec<String>) {
    let entries = std::fs::read_dir(data.join("checkpoints")).into_iter().flatten();
    let names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort();
    (numbers, names.into_iter().filter(|name| name.parse::<u64>().is_err()).collect())
}

const COUNT: &str = "
    CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
    CREATE TABLE T AS SELECT K, COUNT(*) AS N FROM S GROUP BY K;
";

#[test]
fn a_full_disk_holds_up_checkpoints_and_nothing_else() {
    let site = Site::new().with("s", "s.csv", "a,1\n");
    let Some(disk) = SmallDisk::mount(&site.path("data"), "4m") else { return };
    let script = site.script(COUNT);
    let log = site.path("stderr");
    let start = || {
        let mut run = binary(["run", "--listen", "127.0.0.1:0", "-w", "2", "--checkpoint-interval", "0.05"]);
        run.arg("--data-dir").arg(site.path("data")).arg(&script);
        let mut logged = Command::new("sh");
        logged.args(["-c", "log=$0; exec \"$@\" 2>>$log"]).arg(&log);
        logged.arg(run.get_program()).args(run.get_args());
        Served::of(disk.with(&logged))
    };
    let mut rows = 1;
    let mut one_more = |served: &Served| {
        site.append("s.csv", "a,1\n");
        rows += 1;
        let expected = format!("[\"a\",{rows}]");
        let body = r#"{"sql":"SELECT * FROM T;"}"#;
        until("the row is not counted", || {
            served.post("/query-stream", "application/json", body).body.contains(&expected)
        });
    };
    let newest = || checkpoints(&disk.seen()).0.last().copied().unwrap_or(0);
    let warnings = || {
        let said = std::fs::read_to_string(&log).unwrap();
        said.lines().filter(|line| line.contains("WARN")).map(str::to_string).collect::<Vec<_>>()
    };

    let served = start();
    until("there is no checkpoint", || newest() > 0);
    disk.fill();
    let before = newest();
    until("nothing is said", || {
        one_more(&served);
        !warnings().is_empty()
    });
    (0..20).for_each(|_| one_more(&served));
    let said = warnings();
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(said[0].contains("no checkpoint could be taken"), "{said:#?}");
    assert!(said[0].contains("no space left on device"), "{said:#?}");
    disk.make_room();
    until("there is no new checkpoint", || newest() > before);
    one_more(&served);
    served.process.signal(libc::SIGKILL);
    drop(served);

    let served = start();
    one_more(&served);
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("going on from checkpoint"), "{said}");
    assert!(!said.contains("is damaged"), "{said}");
    until("what was left of attempts is still there", || checkpoints(&disk.seen()).1.len() <= 1);
}

#[test]
fn a_stored_topic_on_a_full_disk_is_whole_and_goes_on() {
    let lines: String = (0..40_000).map(|i| format!("k{},{i}\n", i % 100)).collect();
    let site = Site::new().with("s", "s.csv", lines);
    let site = site.and("[topics.d]\nconnector = 'log'\n[topics.i]\nconnector = 'log'");
    let Some(disk) = SmallDisk::mount(&site.path("small"), "1m") else { return };
    let script = site.script(
        "CREATE STREAM S (K VARCHAR, V INT) WITH (KAFKA_TOPIC='s', VALUE_FORMAT='DELIMITED');
         CREATE STREAM D WITH (KAFKA_TOPIC='d', VALUE_FORMAT='JSON', PARTITIONS=2)
             AS SELECT K, V FROM S PARTITION BY K;",
    );
    let run = |data: &str| {
        let mut run = binary(["run", "--once", "-w", "2", "--checkpoint-interval", "0.02", "--data-dir"]);
        run.arg(site.path(data)).arg(&script);
        run.env("WHARFE_TICK_BYTES", "20000").env("WHARFE_BATCH_BYTES", "5000");
        run
    };
    let whole = Process::start(run("large")).finish();
    assert_eq!(whole.code, Some(0), "{whole:?}");
    let expected = messages(&site.path("large/topics/d"));
    assert_eq!(expected.len(), 40_000);

    let small = || {
        let mut small = disk.with(&run("small"));
        small.env("WHARFE_TICK_BYTES", "20000").env("WHARFE_BATCH_BYTES", "5000");
        Process::start(small).finish()
    };
    let full = small();
    assert_eq!(full.code, Some(1), "{full:?}");
    let errors: Vec<&str> = full.stderr.lines().filter(|line| line.starts_with("error")).collect();
    assert_eq!(errors.len(), 1, "{full:?}");
    assert!(errors[0].contains("cannot write") && errors[0].contains("no space left on device"), "{full:?}");
    let torn = messages(&disk.seen().join("topics/d"));
    assert!(!torn.is_empty() && torn.len() < expected.len(), "{} records", torn.len());
    // Still too little.
    assert_eq!(small().code, Some(1));
    disk.resize("64m");
    let done = small();
    assert_eq!(done.code, Some(0), "{done:?}");
    let by_key = |mut messages: Vec<(String, String)>| {
        messages.sort_by(|a, b| a.0.cmp(&b.0));
        messages
    };
    assert!(by_key(messages(&disk.seen().join("topics/d"))) == by_key(expected), "other records");
}

#[test]
fn a_row_that_finds_no_room_is_refused_and_those_before_stay() {
    let site = Site::new().and("[topics.i]\nconnector = 'log'");
    let Some(disk) = SmallDisk::mount(&site.path("data"), "1m") else { return };
    let script = site.script(
        "CREATE STREAM I (V VARCHAR) WITH (KAFKA_TOPIC='i', VALUE_FORMAT='JSON', PARTITIONS=1);
         CREATE TABLE N AS SELECT 1 AS ONE, COUNT(*) AS N FROM I GROUP BY 1;",
    );
    let start = || {
        let mut run = binary(["run", "--listen", "127.0.0.1:0", "-w", "2", "--checkpoint-interval", "3600"]);
        run.arg("--data-dir").arg(site.path("data")).arg(&script);
        Served::of(disk.with(&run))
    };
    let served = start();
    let long = "x".repeat(10_000);
    let insert = |served: &Served| served.ksql(&format!("INSERT INTO I VALUES ('{long}');"));
    let mut taken = 0;
    let refused = loop {
        let said = insert(&served);
        match said["message"].as_str() {
            Some(why) => break why.to_string(),
            None => taken += 1,
        }
        assert!(taken < 1_000, "the disk is never full");
    };
    assert!(refused.contains("cannot write") && refused.contains("no space left on device"), "{refused}");
    let count = |served: &Served| {
        served.post("/query-stream", "application/json", r#"{"sql":"SELECT N FROM N;"}"#).body
    };
    until("a row was lost", || count(&served).contains(&format!("[{taken}]")));
    disk.resize("16m");
    assert!(insert(&served)["message"].is_null());
    until("a row was lost", || count(&served).contains(&format!("[{}]", taken + 1)));
    served.process.signal(libc::SIGKILL);
    drop(served);
    let served = start();
    until("a row was lost or repeated", || count(&served).contains(&format!("[{}]", taken + 1)));
    let stored = messages(&disk.seen().join("topics/i"));
    assert_eq!(stored.len(), taken + 1);
}
