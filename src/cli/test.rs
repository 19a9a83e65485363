//! `wharfe test`: tests of scripts, many at once, told as `cargo test` tells of them.

mod junit;

use super::output_failed;
use crate::error::{Error, Result, reason};
use crate::testing::{self, Outcome, Test};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Run tests of scripts: ksqlDB's own forms, no broker
///
/// A test has an engine of its own, and topics in memory. Its records go in one after the other, in the
/// order of the file, and tables tell of each record that touches a row. What is written is compared with
/// what is expected, in order; docs/testing.md has the forms and the rules.
///
/// PATH is a .sql file with directives (--@test: name), a .json file with cases ("tests": [...]), or a
/// folder with such files. With -s and -o a test is in three files, as ksql-test-runner takes them.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Files of tests, and folders that hold some
    #[arg(value_name = "PATH", required_unless_present = "sql_file", conflicts_with = "sql_file")]
    paths: Vec<PathBuf>,

    /// The statements of a single test
    #[arg(
        short,
        long,
        value_name = "FILE.sql",
        requires = "output_file",
        help_heading = "One test in three files"
    )]
    sql_file: Option<PathBuf>,

    /// The records that go in: {"inputs": [...]}
    #[arg(
        short,
        long,
        value_name = "FILE.json",
        requires = "sql_file",
        help_heading = "One test in three files"
    )]
    input_file: Option<PathBuf>,

    /// The records that are to come out: {"outputs": [...]}
    #[arg(
        short,
        long,
        value_name = "FILE.json",
        requires = "sql_file",
        help_heading = "One test in three files"
    )]
    output_file: Option<PathBuf>,

    /// Only tests whose name, behind that of their file, has this in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,

    /// How many tests run at once [default: the number of cores]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Write the results to a file, too, as JUnit has them
    #[arg(long, value_name = "FILE.xml")]
    junit: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  wharfe test tests/                        every test in a folder, and in the folders in it
  wharfe test bays.sql --filter totals      of one file those with totals in their names
  wharfe test -s bays.sql -i in.json -o out.json
  wharfe test tests/ --junit results.xml

It exits with 1 when a test fails, and with 2 when one cannot be read.";

const FAILED: u8 = 1;

/// A test that has run.
struct Done {
    test: Test,
    outcome: Outcome,
    took: Duration,
}

pub fn run(args: Args) -> Result<u8> {
    let tests = tests(&args)?;
    let jobs =
        args.jobs.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let started = Instant::now();
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nrunning {}", counted(tests.len())).map_err(output_failed)?;
    let done = run_all(tests, jobs, &mut out)?;
    tell(&done, started.elapsed(), &mut out).and_then(|()| out.flush()).map_err(output_failed)?;
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::report(&done, started.elapsed()))
            .map_err(|e| Error::runtime(format!("cannot write {}: {}", path.display(), reason(&e))))?;
    }
    Ok(if done.iter().any(|done| done.outcome.is_err()) { FAILED } else { 0 })
}

fn counted(tests: usize) -> String {
    if tests == 1 { "1 test".into() } else { format!("{tests} tests") }
}

fn tests(args: &Args) -> Result<Vec<Test>> {
    let mut tests = Vec::new();
    if let (Some(statements), Some(output)) = (&args.sql_file, &args.output_file) {
        tests.push(testing::of_files(statements, args.input_file.as_deref(), output)?);
    }
    for path in &args.paths {
        if !path.is_dir() {
            tests.extend(testing::of_file(path)?);
            continue;
        }
        let mut files = Vec::new();
        files_in(path, &mut files)?;
        let before = tests.len();
        for file in files.iter().filter(|file| testing::has_tests(file)) {
            tests.extend(testing::of_file(file)?);
        }
        if tests.len() == before {
            let hint = "a .sql file needs a line --@test: name, a .json file a list \"tests\"";
            return Err(Error::usage(format!("{} has no tests", path.display())).hint(hint));
        }
    }
    if let Some(filter) = &args.filter {
        tests.retain(|test| full_name(test).contains(filter.as_str()));
    }
    Ok(tests)
}

/// Behind the file's name, unless that is the test's.
fn full_name(test: &Test) -> String {
    if test.file == test.name { test.name.clone() } else { format!("{}: {}", test.file, test.name) }
}

/// All files below a folder, in the order of their names.
fn files_in(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let failed = |e: std::io::Error| Error::usage(format!("cannot read {}: {}", dir.display(), reason(&e)));
    let entries = std::fs::read_dir(dir).map_err(failed)?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    paths.sort();
    for path in paths {
        // A link could lead in a circle.
        match path.is_dir() && !path.is_symlink() {
            true => files_in(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}

/// Runs the tests on so many threads; each is told of when it is done. In the order of the tests.
fn run_all(tests: Vec<Test>, jobs: usize, out: &mut impl Write) -> Result<Vec<Done>> {
    let next = AtomicUsize::new(0);
    let (sender, results) = sync_channel(jobs);
    let mut done: Vec<Option<(Outcome, Duration)>> = Vec::new();
    done.resize_with(tests.len(), || None);
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(tests.len()) {
            let (sender, next, tests) = (sender.clone(), &next, &tests);
            scope.spawn(move || {
                while let Some((i, test)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|i| Some((i, tests.get(i)?)))
                {
                    let started = Instant::now();
                    let outcome = test.run();
                    if sender.send((i, outcome, started.elapsed())).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (i, outcome, took) in results {
            let word = if outcome.is_ok() { "ok" } else { "FAILED" };
            writeln!(out, "test {} ... {word}", full_name(&tests[i])).map_err(output_failed)?;
            done[i] = Some((outcome, took));
        }
        Ok::<(), Error>(())
    })?;
    let run = tests.into_iter().zip(done);
    Ok(run.filter_map(|(test, done)| done.map(|(outcome, took)| Done { test, outcome, took })).collect())
}

fn tell(done: &[Done], took: Duration, out: &mut impl Write) -> std::io::Result<()> {
    let failed: Vec<(&Test, &String)> =
        done.iter().filter_map(|done| Some((&done.test, done.outcome.as_ref().err()?))).collect();
    if !failed.is_empty() {
        writeln!(out, "\nfailures:")?;
        for (test, why) in &failed {
            writeln!(out, "\n---- {} ----\n{why}", full_name(test))?;
        }
        writeln!(out, "\nfailures:")?;
        failed.iter().try_for_each(|(test, _)| writeln!(out, "    {}", full_name(test)))?;
    }
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    writeln!(
        out,
        "\ntest result: {result}. {} passed; {} failed; finished in {:.2}s",
        done.len() - failed.len(),
        failed.len(),
        took.as_secs_f64()
    )
}
