//! `/metrics`: what was measured, in the text form that Prometheus reads.

use super::App;
use crate::engine::Measures;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use std::fmt::{Display, Write};

const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub async fn metrics(State(app): State<App>) -> Response {
    let mut page = text(&app.engine.measures());
    if let Some(gateway) = &app.gateway {
        page.push_str(&super::gateway::metrics(gateway));
    }
    ([("content-type", MEDIA_TYPE)], page).into_response()
}

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

use Kind::{Counter, Gauge};

fn text(all: &Measures) -> String {
    let mut page = Page::default();
    sources(all, &mut page);
    queries(all, &mut page);
    page.family("wharfe_notes_total", Counter, "Expressions that failed on a row that went on.");
    page.sample(&[], all.notes);
    page.family("wharfe_tick_age_seconds", Gauge, "Since the newest tick that is closed on all workers.");
    all.tick_age.iter().for_each(|age| page.sample(&[], age.as_secs_f64()));
    checkpoint(all, &mut page);
    page.family(
        "wharfe_delivery_waiting_records",
        Gauge,
        "Records for a topic on a cluster that are not delivered.",
    );
    all.undelivered.iter().for_each(|(topic, records)| page.sample(&[("topic", topic)], records));
    page.family("wharfe_inflight_bytes", Gauge, "Read, and not finished with by some query.");
    all.inflight_bytes.iter().for_each(|(n, bytes)| page.sample(&[("worker", &n.to_string())], bytes));
    page.family("wharfe_answers_open", Gauge, "Push queries that workers answer.");
    page.sample(&[], all.answers);
    page.family("wharfe_installed", Gauge, "What workers have installed, by what it is.");
    all.installed.iter().for_each(|(what, count)| page.sample(&[("what", what)], count));
    page.family(
        "wharfe_answer_waiting_bytes",
        Gauge,
        "Bytes of rows of answers that wait for their clients.",
    );
    page.sample(&[], all.answer_bytes);
    page.family("wharfe_answer_waiting_rows", Gauge, "Rows of answers that wait for their clients.");
    page.sample(&[], all.answer_rows);
    page.family("wharfe_resident_memory_bytes", Gauge, "Resident memory of a process.");
    all.memory_bytes.iter().for_each(|(n, bytes)| page.sample(&[("process", &n.to_string())], bytes));
    page.text
}

fn sources(all: &Measures, page: &mut Page) {
    type Pick = fn(&Measures, &str) -> Option<f64>;
    let families: [(&str, Kind, &str, Pick); 6] = [
        ("wharfe_source_records_total", Counter, "Records read since the start.", |all, source| {
            Some(all.read(source).rows_in as f64)
        }),
        (
            "wharfe_source_rejected_records_total",
            Counter,
            "Records that could not be decoded.",
            |all, source| Some(all.read(source).rejected as f64),
        ),
        ("wharfe_source_bytes_total", Counter, "Bytes read since the start.", |all, source| {
            Some(all.sources[source].bytes as f64)
        }),
        ("wharfe_source_lag_records", Gauge, "Records that are there and not read.", |all, source| {
            all.sources[source].lag.records.map(|records| records as f64)
        }),
        ("wharfe_source_lag_bytes", Gauge, "Bytes that are there and not read.", |all, source| {
            all.sources[source].lag.bytes.map(|bytes| bytes as f64)
        }),
        (
            "wharfe_source_lag_seconds",
            Gauge,
            "Age of the last record that was read, while there are more; else 0.",
            |all, source| all.sources[source].lag_ms.map(|ms| ms as f64 / 1000.0),
        ),
    ];
    for (name, kind, help, pick) in families {
        page.family(name, kind, help);
        for (source, level) in &all.sources {
            if let Some(value) = pick(all, source) {
                page.sample(&[("source", source), ("topic", &level.topic)], value);
            }
        }
    }
}

fn queries(all: &Measures, page: &mut Page) {
    let counts = ["in", "out", "filtered", "rejected"];
    for (i, count) in counts.into_iter().enumerate() {
        page.family(
            &format!("wharfe_query_rows_{count}_total"),
            Counter,
            &format!("Rows {count}, of each stage of a query since the start."),
        );
        for (stage, flow) in all.stages.iter().filter(|(stage, _)| !stage.query().is_empty()) {
            let labels = [("query", stage.query()), ("source", stage.source()), ("stage", stage.stage())];
            page.sample(&labels, [flow.rows_in, flow.rows_out, flow.filtered, flow.rejected][i]);
        }
    }
}

fn checkpoint(all: &Measures, page: &mut Page) {
    let Some(taken) = all.checkpoint else { return };
    page.family("wharfe_checkpoint_number", Gauge, "Number of the last checkpoint.");
    page.sample(&[], taken.number);
    page.family("wharfe_checkpoint_bytes", Gauge, "Size of the last checkpoint.");
    page.sample(&[], taken.bytes);
    page.family("wharfe_checkpoint_duration_seconds", Gauge, "How long the last checkpoint took.");
    page.sample(&[], taken.took.as_secs_f64());
    page.family(
        "wharfe_checkpoint_age_seconds",
        Gauge,
        "Since the last checkpoint was taken, or was found to hold all that there is.",
    );
    page.sample(&[], taken.current.elapsed().as_secs_f64());
}

/// Families, each with its samples behind it.
#[derive(Default)]
struct Page {
    text: String,
    /// The family that was begun last.
    name: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Counter => "counter",
            Gauge => "gauge",
        };
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
        self.name = name.into();
    }

    /// One of the family that was begun last.
    fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        let labels = labelled(labels);
        let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
        let line = format!("{}{labels} {value}", self.name);
        self.line(line);
    }

    fn line(&mut self, line: impl Display) {
        writeln!(self.text, "{line}").expect("text takes all");
    }
}

/// The labels of a sample, as the exposition format writes them.
pub(super) fn labelled(labels: &[(&str, impl AsRef<str>)]) -> String {
    let one = |(name, value): &(&str, _)| format!("{name}=\"{}\"", escaped(AsRef::as_ref(value)));
    labels.iter().map(one).collect::<Vec<_>>().join(",")
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_written_so_that_they_can_be_read_back() {
        let mut page = Page::default();
        page.family("a_total", Counter, "What.");
        page.sample(&[("x", "a\"b\\c\nd"), ("y", "")], 1);
        page.family("b", Gauge, "Else.");
        page.sample(&[], 0.5);
        assert_eq!(
            page.text,
            "# HELP a_total What.\n# TYPE a_total counter\na_total{x=\"a\\\"b\\\\c\\nd\",y=\"\"} 1\n\
             # HELP b Else.\n# TYPE b gauge\nb 0.5\n"
        );
    }
}
