//! Measurements as people read them, an aligned table with a few sentences below it, or as JSON, one
//! object a line; in an order that does not change from run to run.

use super::super::{grouped, output_failed};
use super::Format;
use super::child::Figures;
use crate::error::Result;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// One measurement; NULL where something does not apply to it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Measurement {
    pub measure: &'static str,
    /// A topic, `all` of them, or `sample`: the data that the script's own topology names.
    pub feed: String,
    pub workers: u16,
    pub rows: Option<u64>,
    pub seconds: Option<f64>,
    pub cpu_seconds: Option<f64>,
    pub rows_per_s: Option<f64>,
    pub rows_per_cpu_s: Option<f64>,
    pub mb_per_s: Option<f64>,
    pub rss_mib: Option<f64>,
    /// The seconds of the least number of workers, divided by these.
    pub speed_up: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub p99_9_ms: Option<f64>,
    pub max_ms: Option<f64>,
    /// Distinct car parks, and the resident bytes of each beyond its key and row.
    pub keys: Option<u64>,
    pub key_and_row_bytes: Option<f64>,
    pub more_bytes_per_key: Option<f64>,
    /// Cores that were busy with other programs meanwhile.
    pub other_cores: Option<f64>,
}

impl Measurement {
    pub fn new(measure: &'static str, feed: &str, workers: u16, figures: &Figures) -> Measurement {
        let rate = |amount: u64, seconds: f64| (amount > 0).then(|| round(amount as f64 / seconds, 0));
        let [p50_ms, p99_ms, p99_9_ms, max_ms] =
            figures.latency_ms.map_or([None; 4], |ms| ms.map(|ms| Some(round(ms, 2))));
        // With an open loop the pace is given: there is nothing to divide by.
        let paced = figures.latency_ms.is_some();
        Measurement {
            measure,
            feed: feed.to_string(),
            workers,
            rows: (figures.rows > 0).then_some(figures.rows),
            seconds: Some(round(figures.seconds, 3)),
            cpu_seconds: Some(round(figures.cpu_seconds, 3)),
            rows_per_s: rate(figures.rows, figures.seconds),
            rows_per_cpu_s: rate(figures.rows, figures.cpu_seconds).filter(|_| !paced),
            mb_per_s: (figures.bytes > 0).then(|| round(figures.bytes as f64 / 1e6 / figures.seconds, 1)),
            rss_mib: figures.rss_mib.map(|mib| round(mib, 1)),
            p50_ms,
            p99_ms,
            p99_9_ms,
            max_ms,
            other_cores: figures.others.map(|cores| round(cores, 2)),
            ..Measurement::default()
        }
    }
}

/// A name such that q2 comes before q10.
fn by_number(name: &str) -> (&str, u64, &str) {
    let text = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (text, name[text.len()..].parse().unwrap_or(0), name)
}

pub fn round(number: f64, digits: i32) -> f64 {
    let unit = 10f64.powi(digits);
    (number * unit).round() / unit
}

pub struct Report {
    measurements: Vec<Measurement>,
    notes: Vec<String>,
}

impl Report {
    pub fn new() -> Report {
        Report { measurements: Vec::new(), notes: Vec::new() }
    }

    pub fn add(&mut self, measurement: Measurement) {
        self.measurements.push(measurement);
    }

    /// A sentence below the table.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds a latency, and says it in a sentence; `from`: the moment that it counts from.
    pub fn latency(
        &mut self,
        feed: &str,
        workers: u16,
        rate: u64,
        seconds: u64,
        from: &str,
        figures: &Figures,
    ) {
        self.add(Measurement::new("latency", feed, workers, figures));
        let [p50, p99, p99_9, max] = figures.latency_ms.unwrap_or_default();
        self.note(format!(
            "Latency from {from} to visible in a pull query, {} events/s of {feed} for {seconds} s, workers: \
             {workers}: p50 {p50:.1} ms, p99 {p99:.1} ms, p99.9 {p99_9:.1} ms, max {max:.1} ms.",
            grouped(rate)
        ));
    }

    pub fn print(mut self, format: Format) -> Result<()> {
        self.measurements.sort_by(|a, b| {
            (a.measure, by_number(&a.feed), a.workers).cmp(&(b.measure, by_number(&b.feed), b.workers))
        });
        self.speed_up();
        let text = match format {
            Format::Json => self.json(),
            Format::Table => self.table(),
        };
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(output_failed)
    }

    fn speed_up(&mut self) {
        let all = self.measurements.clone();
        for one in &mut self.measurements {
            let same = |m: &&Measurement| (m.measure, &m.feed) == (one.measure, &one.feed);
            let least = all.iter().filter(same).min_by_key(|m| m.workers);
            if let Some(least) = least.filter(|least| least.workers < one.workers) {
                one.speed_up = least.seconds.zip(one.seconds).map(|(least, mine)| round(least / mine, 2));
            }
        }
    }

    fn json(&self) -> String {
        let line = |m: &Measurement| serde_json::to_string(m).expect("plain data") + "\n";
        self.measurements.iter().map(line).collect()
    }

    fn table(&self) -> String {
        let rows: Vec<[String; 11]> = self.measurements.iter().map(cells).collect();
        let mut text = aligned(&rows);
        for note in &self.notes {
            text.push_str(&format!("\n{note}\n"));
        }
        if let Some(busy) = self.others() {
            text.push_str(&format!(
                "\nOther programs kept {busy:.1} cores busy meanwhile: seconds and latency are worse for it, \
                 CPU seconds hardly.\n"
            ));
        }
        text
    }

    /// The mean of what others used, where it is worth a word.
    fn others(&self) -> Option<f64> {
        let others: Vec<f64> = self.measurements.iter().filter_map(|m| m.other_cores).collect();
        let mean = others.iter().sum::<f64>() / others.len() as f64;
        (mean >= 0.1).then_some(mean)
    }
}

const HEADINGS: [&str; 11] = [
    "measure",
    "feed",
    "workers",
    "rows",
    "seconds",
    "CPU s",
    "M rows/s",
    "M rows/CPU s",
    "MB/s",
    "MiB",
    "speed-up",
];

/// Names to the left, numbers to the right.
const LEFT: usize = 2;

fn cells(m: &Measurement) -> [String; 11] {
    let number = |n: Option<f64>, digits: usize| n.map_or(String::new(), |n| format!("{n:.digits$}"));
    let millions = |n: Option<f64>| number(n.map(|n| n / 1e6), 2);
    [
        m.measure.to_string(),
        m.feed.clone(),
        m.workers.to_string(),
        m.rows.map_or(String::new(), grouped),
        number(m.seconds, 3),
        number(m.cpu_seconds, 3),
        millions(m.rows_per_s),
        millions(m.rows_per_cpu_s),
        number(m.mb_per_s, 0),
        number(m.rss_mib, 0),
        number(m.speed_up, 2),
    ]
}

fn aligned(rows: &[[String; 11]]) -> String {
    let headings = HEADINGS.map(String::from);
    let width = |column: usize| {
        rows.iter().chain([&headings]).map(|row| row[column].chars().count()).max().unwrap_or(0)
    };
    let line = |row: &[String; 11]| {
        let cells = row.iter().enumerate().map(|(i, cell)| match i < LEFT {
            true => format!("{cell:<width$}", width = width(i)),
            false => format!("{cell:>width$}", width = width(i)),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string() + "\n"
    };
    let mut text = line(&headings);
    let mut last = rows.first().map(|row| &row[0]);
    for row in rows {
        if last.is_some_and(|last| *last != row[0]) {
            text.push('\n');
        }
        last = Some(&row[0]);
        text.push_str(&line(row));
    }
    text
}

/// What is going on, as one line of a terminal.
#[derive(Clone, Copy)]
pub struct Progress {
    shown: bool,
}

impl Progress {
    /// Silent unless standard error is a terminal.
    pub fn new() -> Progress {
        Progress { shown: io::stderr().is_terminal() }
    }

    #[cfg(test)]
    pub fn silent() -> Progress {
        Progress { shown: false }
    }

    pub fn show(&self, what: &str) {
        if self.shown {
            eprint!("\r\x1b[K{what} …");
        }
    }

    pub fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new();
        for (workers, seconds) in [(2, 1.0), (1, 1.9)] {
            let figures = Figures {
                rows: 2_000_000,
                bytes: 94_000_000,
                seconds,
                cpu_seconds: 1.6,
                ..Figures::default()
            };
            report.add(Measurement::new("end_to_end", "carparks", workers, &figures));
        }
        let latency_ms = Some([1.0, 2.0, 3.0, 4.004]);
        let figures = Figures { rows: 10, seconds: 1.0, cpu_seconds: 0.5, latency_ms, ..Figures::default() };
        report.add(Measurement::new("latency", "carparks", 2, &figures));
        report.measurements.sort_by_key(|m| (m.measure, m.workers));
        report.speed_up();
        report
    }

    #[test]
    fn the_table_is_aligned() {
        let text = "\
measure     feed      workers       rows  seconds  CPU s  M rows/s  M rows/CPU s  MB/s  MiB  speed-up
end_to_end  carparks        1  2,000,000    1.900  1.600      1.05          1.25    50
end_to_end  carparks        2  2,000,000    1.000  1.600      2.00          1.25    94           1.90

latency     carparks        2         10    1.000  0.500      0.00
";
        assert_eq!(report().table(), text);
    }

    #[test]
    fn json_has_all_keys_in_every_line() {
        let json = report().json();
        let lines: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
        assert_eq!(lines[2]["max_ms"], 4.0);
        assert_eq!(lines[2]["mb_per_s"], serde_json::Value::Null);
        assert_eq!(lines[1]["speed_up"], 1.9);
        assert!(lines.iter().all(|l| l.as_object().map(|o| o.len()) == Some(19)));
    }
}
