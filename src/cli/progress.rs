//! How far a run with `--once` is: a bar on a terminal, and the line of totals at the end.

use super::{grouped, interrupt, mib};
use crate::engine::{Engine, Progress};
use crate::error::{Error, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Also how long a run takes at least to get a bar.
const REFRESH: Duration = Duration::from_millis(200);

/// Blocks until every input has been read.
pub fn wait(engine: &Engine) -> Result<()> {
    if !std::io::stderr().is_terminal() {
        return engine.wait_for_inputs(None).map(drop);
    }
    let started = Instant::now();
    let mut bar = None;
    let done = loop {
        match engine.wait_for_inputs(Some(REFRESH)) {
            Ok(false) if !interrupt::hit() => {}
            other => break other.map(drop),
        }
        let progress = engine.progress();
        let shown = match &bar {
            Some(shown) => shown,
            None => bar.insert(new_bar(&progress)?),
        };
        shown.set_length(progress.bytes_expected);
        shown.set_position(progress.bytes_read);
        shown.set_message(message(&progress, started.elapsed()));
    };
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    done
}

fn new_bar(progress: &Progress) -> Result<ProgressBar> {
    let (bar, template) = match progress.bytes_expected {
        0 => (ProgressBar::new_spinner(), "{spinner} {msg}"),
        expected => (ProgressBar::new(expected), "[{bar:30}] {percent:>3} % · {msg} · {eta} left"),
    };
    let style = ProgressStyle::with_template(template)
        .map_err(|e| Error::runtime(format!("cannot show progress: {e}")))?;
    bar.set_style(style.progress_chars("=> "));
    Ok(bar)
}

fn message(progress: &Progress, elapsed: Duration) -> String {
    let rate = progress.rows_in as f64 / elapsed.as_secs_f64().max(0.001);
    let rows = grouped(progress.rows_in);
    format!("{rows} rows · {} · {} rows/s", mib(progress.bytes_read), grouped(rate as u64))
}

/// `read 5,000 rows (0.3 MiB) in 0.05 s; rejected 0, notes 0`
pub fn totals(progress: &Progress, elapsed: Duration) -> String {
    format!(
        "read {} rows ({}) in {:.2} s; rejected {}, notes {}",
        grouped(progress.rows_in),
        mib(progress.bytes_read),
        elapsed.as_secs_f64(),
        grouped(progress.rows_rejected),
        grouped(progress.notes),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_one_line() {
        let progress = Progress {
            bytes_read: 314_572,
            bytes_expected: 0,
            rows_in: 5_000,
            rows_rejected: 1_200,
            notes: 3,
        };
        assert_eq!(
            totals(&progress, Duration::from_millis(50)),
            "read 5,000 rows (0.3 MiB) in 0.05 s; rejected 1,200, notes 3"
        );
        assert_eq!(message(&progress, Duration::from_millis(500)), "5,000 rows · 0.3 MiB · 10,000 rows/s");
    }
}
