//! Several processes on loopback: together they answer as one, and none goes on without the others.

use crate::carparks;
use crate::harness::{DEADLINE, Process, Site, binary, free_addresses, run};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

const QUESTIONS: [&str; 6] = [
    "-q",
    "SELECT * FROM SOURCE_COUNTS; SELECT * FROM CARPARK_OCCUPANCY",
    "-q",
    "SELECT COUNT(*) AS N, SUM(PCT_FULL) AS S FROM CARPARK_EVENTS EMIT CHANGES",
    "-q",
    "SELECT SOURCE_NAME, STAGE, ROWS_IN, ROWS_OUT, ROWS_REJECTED FROM WHARFE_BOOKS",
];

fn start(script: &Path, hosts: &Path, processes: usize, index: usize, more: &[&str]) -> Process {
    let mut command = binary(["run", "-n", &processes.to_string(), "-p", &index.to_string()]);
    command.arg("--hostfile").arg(hosts).args(more).arg(script);
    Process::start(command)
}

fn hostfile(site: &Site, count: usize) -> std::path::PathBuf {
    site.write("hosts", free_addresses(count).join("\n"))
}

#[test]
fn many_processes_answer_as_one_does() {
    let site = carparks::site(700, 11, Some(50));
    let script = site.script(carparks::SCRIPT);
    let once = |workers| [&["--once", "--format", "json", "-w", workers][..], &QUESTIONS].concat();
    let mut alone = vec!["run", script.to_str().unwrap()];
    alone.extend(once("1"));
    let expected = run(&alone);
    assert_eq!(expected.code, Some(0), "{expected:?}");
    for (processes, workers) in [(2, "1"), (3, "1"), (2, "2")] {
        let hosts = hostfile(&site, processes);
        let all: Vec<Process> =
            (0..processes).map(|index| start(&script, &hosts, processes, index, &once(workers))).collect();
        for (index, process) in all.into_iter().enumerate() {
            let finished = process.finish();
            assert_eq!(finished.code, Some(0), "process {index}: {finished:?}");
            let said = if index == 0 { expected.stdout.as_str() } else { "" };
            assert_eq!(finished.stdout, said, "process {index} of {processes}, {workers} workers each");
        }
    }
}

#[test]
fn a_lost_process_ends_the_others_with_one_line() {
    let site = carparks::site(100, 1, None);
    let script = site.script(carparks::SCRIPT);
    for lost in [2, 0] {
        let hosts = hostfile(&site, 3);
        let more = ["-w", "1", "--listen", "127.0.0.1:0"];
        let mut all: Vec<Process> = (0..3).map(|index| start(&script, &hosts, 3, index, &more)).collect();
        let line = all[0].line().unwrap_or_default();
        assert!(line.starts_with("listening on"), "{line}");
        all[lost].signal(libc::SIGKILL);
        for (index, process) in all.into_iter().enumerate().filter(|(index, _)| *index != lost) {
            let finished = process.finish();
            assert_eq!(finished.code, Some(1), "process {index}: {finished:?}");
            let errors = finished.stderr.lines().filter(|line| line.starts_with("error: "));
            assert_eq!(errors.count(), 1, "process {index}: {finished:?}");
            let told = |line: &str| line.starts_with("error: ") || line.contains(" INFO started ");
            assert!(finished.stderr.lines().all(told), "process {index}: {finished:?}");
        }
    }
}

/// Those that are whole.
fn checkpoints(site: &Site) -> BTreeSet<PathBuf> {
    let found = std::fs::read_dir(site.path("data/checkpoints")).into_iter().flatten().flatten();
    found.map(|entry| entry.path()).filter(|dir| dir.join("manifest").exists()).collect()
}

#[test]
fn a_cluster_goes_on_where_one_of_it_was_killed() {
    let site = carparks::site(120_000, 11, Some(50));
    let script = site.script(carparks::SCRIPT);
    let data = site.path("data");
    let more = |workers| {
        let durable = ["--data-dir", data.to_str().unwrap(), "--checkpoint-interval", "0.02"];
        [&["--once", "--format", "json", "-w", workers][..], &durable, &QUESTIONS[..2]].concat()
    };
    let mut alone = vec!["run", script.to_str().unwrap(), "--once", "--format", "json"];
    alone.extend(&QUESTIONS[..2]);
    let expected = run(&alone).stdout;
    let slow = |process: usize| {
        let mut command = binary(["run", "-n", "2", "-p", &process.to_string()]);
        command.arg("--hostfile").arg(site.path("hosts")).args(more("1")).arg(&script);
        command.env("WHARFE_TICK_BYTES", "20000").env("WHARFE_BATCH_BYTES", "5000");
        Process::start(command)
    };
    let mut killed = 0;
    for lost in [1, 0, 1] {
        hostfile(&site, 2);
        let before = checkpoints(&site);
        let mut all = [slow(0), slow(1)];
        // It has kept something that the one before had not.
        while checkpoints(&site) == before && !all[lost].has_ended() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        if all[lost].has_ended() {
            break;
        }
        all[lost].signal(libc::SIGKILL);
        killed += 1;
        let [first, second] = all;
        let other = if lost == 0 { second } else { first };
        assert_eq!(other.finish().code, Some(1), "it ends when the other is gone");
    }
    assert!(killed > 0, "it was through before it could be killed");
    let hosts = hostfile(&site, 3);
    let all: Vec<Process> = (0..3).map(|index| start(&script, &hosts, 3, index, &more("1"))).collect();
    let mut said = all.into_iter().map(Process::finish);
    let first = said.next().unwrap();
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(first.stdout == expected, "{}", first.stderr);
    assert!(first.stderr.contains("going on from checkpoint"), "{}", first.stderr);
    assert!(said.all(|other| other.code == Some(0)));
}

#[test]
fn an_interrupt_ends_all_of_them() {
    let site = carparks::site(100, 1, None);
    let script = site.script(carparks::SCRIPT);
    let hosts = hostfile(&site, 2);
    let more = ["-w", "1", "--listen", "127.0.0.1:0"];
    let mut all: Vec<Process> = (0..2).map(|index| start(&script, &hosts, 2, index, &more)).collect();
    assert!(all[0].line().is_some());
    all[0].signal(libc::SIGINT);
    let codes: Vec<Option<i32>> = all.into_iter().map(|process| process.finish().code).collect();
    assert_eq!(codes[0], Some(130));
    assert!(codes[1].is_some(), "it ends by itself");
}

/// Whichever is told to: the others are told by it, and nobody is lost.
#[test]
fn a_request_to_terminate_ends_all_of_them_well() {
    let site = carparks::site(100, 1, None);
    let script = site.script(carparks::SCRIPT);
    for told in [&[0][..], &[1], &[0, 1]] {
        let hosts = hostfile(&site, 2);
        let more = ["-w", "1", "--listen", "127.0.0.1:0", "--data-dir"];
        let data = site.path(&format!("data{told:?}"));
        let more = [&more[..], &[data.to_str().unwrap()]].concat();
        let mut all: Vec<Process> = (0..2).map(|index| start(&script, &hosts, 2, index, &more)).collect();
        assert!(all[0].line().is_some());
        told.iter().for_each(|index| all[*index].signal(libc::SIGTERM));
        for (index, process) in all.into_iter().enumerate() {
            let finished = process.finish();
            assert_eq!(finished.code, Some(0), "{told:?} told, process {index}: {finished:?}");
        }
        assert!(data.join("checkpoints/1/manifest").exists(), "{told:?} told");
    }
}

#[test]
fn metrics_of_all_of_them_come_together() {
    let site = carparks::site(100, 1, None);
    let script = site.script(carparks::SCRIPT);
    let hosts = hostfile(&site, 2);
    let more = ["-w", "2", "--listen", "127.0.0.1:0"];
    let mut all: Vec<Process> = (0..2).map(|index| start(&script, &hosts, 2, index, &more)).collect();
    let url = all[0].line().unwrap().replace("listening on ", "");
    let started = Instant::now();
    loop {
        let page = ureq::get(format!("{url}/metrics")).call().unwrap().into_body().read_to_string().unwrap();
        let count = |begin: &str| page.lines().filter(|line| line.starts_with(begin)).count();
        let read = |line: &&str| line.starts_with("wharfe_source_records_total") && line.ends_with(" 100");
        if page.lines().filter(read).count() == 3 && count("wharfe_inflight_bytes{") == 4 {
            assert_eq!(count("wharfe_resident_memory_bytes{"), 2, "{page}");
            break;
        }
        assert!(started.elapsed() < DEADLINE, "{page}");
    }
    all[0].signal(libc::SIGTERM);
}

#[test]
fn processes_that_do_not_fit_are_refused() {
    let site = carparks::site(10, 1, None);
    let script = site.script(carparks::SCRIPT);
    let (few, bad) = (site.write("few", "127.0.0.1:1\n"), site.write("bad", "127.0.0.1:1\nlocalhost\n"));
    let missing = site.path("none");
    for (hosts, index, message) in [
        (&few, 0, "few has 1 addresses for 2 processes"),
        (&bad, 1, "`localhost` is not HOST:PORT"),
        (&missing, 0, "no such file"),
        (&few, 2, "-p 2 is not one of 2 processes"),
    ] {
        let finished = start(&script, hosts, 2, index, &["--once"]).finish();
        assert_eq!(finished.code, Some(2), "{finished:?}");
        assert!(finished.stderr.contains(message), "{finished:?}");
    }
    // Each is started as it thinks right, but they do not agree.
    let hosts = hostfile(&site, 2);
    let one = start(&script, &hosts, 2, 0, &["--once", "-w", "1"]);
    let other = start(&script, &hosts, 2, 1, &["--once", "-w", "2"]);
    let codes = [one, other].map(|process| {
        let finished = process.finish();
        assert_eq!(finished.stderr.lines().count(), 1, "{finished:?}");
        finished.code
    });
    assert!(codes.contains(&Some(2)), "{codes:?}");
    assert!(!codes.contains(&Some(0)), "{codes:?}");
}
