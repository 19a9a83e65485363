//! Which measurements `wharfe bench` makes, one after the other.

use super::super::grouped;
use super::Bench;
use super::child::{Child, Figures, best};
use super::input::Inputs;
use super::report::{Measurement, round};
use crate::error::Result;

/// Rows of a feed that the measure `dataflow` holds, at most.
const ROWS_IN_MEMORY: u64 = 1_000_000;

/// Distinct car parks of the measure `keys`, where there are rows enough, and those of its yardstick.
const KEYS_MANY: u64 = 1_000_000;
const KEYS_FEW: u64 = 1_000;

impl Bench {
    pub fn measure(&mut self) -> Result<()> {
        let inputs = Inputs::make(&self.feeds, self.rows, None, &self.progress)?;
        self.report.note(format!("Input: {}.", inputs.describe()));
        self.decode(&inputs)?;
        self.dataflow(&inputs)?;
        self.end_to_end("end_to_end", &inputs, &[])?;
        self.start_up(&inputs)?;
        self.latency(&inputs)?;
        drop(inputs);
        self.stored()?;
        self.keys()
    }

    fn decode(&mut self, inputs: &Inputs) -> Result<()> {
        for feed in self.feeds.clone() {
            let topology = inputs.topology(&[feed], &[])?;
            let args = vec![format!("--feed={feed}={}", inputs.rows(&[feed]))];
            let figures = self.best(&format!("decode {feed}"), |child| {
                child.part(inputs.dir(), "decode", &topology, &args)
            })?;
            self.report.add(Measurement::new("decode", feed, 1, &figures));
        }
        Ok(())
    }

    /// Over at most so many rows in memory, so often that it makes as many as the input has.
    fn dataflow(&mut self, inputs: &Inputs) -> Result<()> {
        let rounds = self.rows.div_ceil(ROWS_IN_MEMORY);
        for topics in self.groups() {
            let topology = inputs.topology(&topics, &[])?;
            let mut args = vec![format!("--rounds={rounds}")];
            args.extend(inputs.of(&topics).iter().map(|f| format!("--feed={}={}", f.topic, f.rows / rounds)));
            let figures = self.best(&format!("dataflow {}", name(&topics)), |child| {
                child.part(inputs.dir(), "dataflow", &topology, &args)
            })?;
            self.report.add(Measurement::new("dataflow", name(&topics), 1, &figures));
        }
        Ok(())
    }

    fn end_to_end(&mut self, measure: &'static str, inputs: &Inputs, logs: &[String]) -> Result<()> {
        for topics in self.groups() {
            let topology = inputs.topology(&topics, logs)?;
            for workers in self.args.workers.clone() {
                let what = format!("{measure} {}, workers: {workers}", name(&topics));
                let figures = self
                    .best(&what, |child| child.run(inputs.dir(), &topology, workers, &inputs.of(&topics)))?;
                self.report.add(Measurement::new(measure, name(&topics), workers, &figures));
            }
        }
        Ok(())
    }

    fn stored(&mut self) -> Result<()> {
        if self.stored.is_empty() {
            return Ok(());
        }
        let inputs = Inputs::make(&self.feeds, self.rows / 10, None, &self.progress)?;
        let logs = self.stored.clone();
        self.end_to_end("end_to_end_stored", &inputs, &logs)
    }

    fn start_up(&mut self, inputs: &Inputs) -> Result<()> {
        let (topology, table) = (self.args.topology.clone(), self.tables.first().cloned());
        let table = table.unwrap_or("WHARFE_BOOKS".into());
        let figures =
            self.best("start_up", |child| child.answer(inputs.dir(), topology.as_deref(), &table))?;
        // As many workers as there are cores, which is what such a command takes.
        let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u16);
        self.report.add(Measurement::new("start_up", "sample", workers, &figures));
        let (ms, cpu_ms) = (figures.seconds * 1e3, figures.cpu_seconds * 1e3);
        self.report
            .note(format!("Start to first answer on the sample data: {ms:.0} ms (CPU {cpu_ms:.0} ms)."));
        Ok(())
    }

    fn latency(&mut self, inputs: &Inputs) -> Result<()> {
        let (rate, workers) = (self.args.rate, self.args.workers.last().copied().unwrap_or(1));
        if rate == 0 {
            return Ok(());
        }
        let feed = self.lasting_feed();
        self.progress.show(&format!("latency at {} events/s, workers: {workers}", grouped(rate)));
        let topology = inputs.live_topology(feed, rate)?;
        let seconds = self.args.seconds;
        let args = [("rate", rate), ("workers", workers.into()), ("seconds", seconds)];
        let args = args.map(|(name, value)| format!("--{name}={value}"));
        let figures = self.child.part(inputs.dir(), "latency", &topology, &args)?;
        self.report.latency(feed, workers, rate, seconds, "due", &figures);
        Ok(())
    }

    /// What many distinct car parks take more than few do in the same number of rows.
    fn keys(&mut self) -> Result<()> {
        let feed = self.lasting_feed();
        let many = KEYS_MANY.min(self.rows / 10);
        let few = KEYS_FEW.min(many / 10);
        let inputs = Inputs::make(&[feed], 2 * many, Some(few), &self.progress)?;
        let topology = inputs.topology(&[feed], &[])?;
        let yardstick = self.run_keys(feed, few, &inputs)?;
        let told = self.child.part(inputs.dir(), "row-bytes", &topology, &[])?;
        drop(inputs);
        let inputs = Inputs::make(&[feed], 2 * many, Some(many), &self.progress)?;
        let figures = self.run_keys(feed, many, &inputs)?;

        // Car parks have names of one length, so those of the few are as long as those of the many.
        let key_and_row = told.bytes as f64 / few as f64;
        let grown = figures.rss_mib.unwrap_or(0.0) - yardstick.rss_mib.unwrap_or(0.0);
        let more = grown * (1 << 20) as f64 / (many - few) as f64 - key_and_row;
        self.report.note(format!(
            "Memory of {} car parks, each twice in {feed}: {:.0} MiB at most, {:.0} MiB with {} car parks. Key and \
             row are {key_and_row:.0} bytes (the values of its row in each table, as the engine encodes them), \
             so that a car park takes {more:.0} bytes more than these.",
            grouped(many),
            figures.rss_mib.unwrap_or(0.0),
            yardstick.rss_mib.unwrap_or(0.0),
            grouped(few),
        ));
        let measured = Measurement::new("keys", feed, 1, &figures);
        let (key_and_row_bytes, more_bytes_per_key) = (Some(round(key_and_row, 1)), Some(round(more, 1)));
        self.report.add(Measurement { keys: Some(many), key_and_row_bytes, more_bytes_per_key, ..measured });
        Ok(())
    }

    fn run_keys(&self, feed: &'static str, keys: u64, inputs: &Inputs) -> Result<Figures> {
        let topology = inputs.topology(&[feed], &[])?;
        let fed = inputs.of(&[feed]);
        let what = format!("keys: {}", grouped(keys));
        self.best(&what, |child| child.run(inputs.dir(), &topology, 1, &fed))
    }

    /// As [`best`], by this script.
    pub fn best(&self, what: &str, run: impl Fn(&Child) -> Result<Figures>) -> Result<Figures> {
        best(what, self.args.repeats, self.progress, || run(&self.child))
    }

    /// The feed that measures of one feed use.
    pub fn lasting_feed(&self) -> &'static str {
        self.feeds.iter().copied().find(|feed| *feed == "carparks_historic").unwrap_or(self.feeds[0])
    }

    /// Each feed alone, then all of them.
    fn groups(&self) -> Vec<Vec<&'static str>> {
        let mut groups: Vec<Vec<&str>> = self.feeds.iter().map(|feed| vec![*feed]).collect();
        if groups.len() > 1 {
            groups.push(self.feeds.clone());
        }
        groups
    }
}

fn name(topics: &[&'static str]) -> &'static str {
    if let [one] = topics { one } else { "all" }
}
