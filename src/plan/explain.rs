//! Plans as text: what EXPLAIN prints is exactly what runs.

use super::*;
use crate::expr::display;
use crate::number_text;
use crate::sql::ast::{JoinKind, WindowKind};
use std::fmt::Write;

/// The plan of one dataflow, indented; `columns` names the input's columns.
pub fn explain(plan: &DataflowPlan, columns: &[String]) -> String {
    let mut out = String::new();
    match plan {
        DataflowPlan::Source(source) => explain_source(source, &mut out),
        DataflowPlan::Query(query) => explain_query(query, columns, &mut out),
    }
    out
}

fn explain_source(plan: &SourcePlan, out: &mut String) {
    let _ = writeln!(out, "source {} (topic {})", plan.source, plan.topic);
    let _ = writeln!(
        out,
        "  read {}, from {:?}{}",
        place(&plan.place),
        plan.start,
        if plan.bounded { ", until its present end" } else { "" }
    );
    let _ = writeln!(
        out,
        "  decode key {}, value {}",
        plan.serialization.key.name(),
        plan.serialization.value.name()
    );
    let names: Vec<String> = plan.schema.columns.iter().map(|c| c.name.clone()).collect();
    if let Some(timestamp) = &plan.timestamp {
        let _ = writeln!(out, "  ROWTIME = {}", display(timestamp, &names));
    }
    if let Some(ms) = plan.times.max_future_ms {
        let _ = writeln!(out, "  reject what lies more than {ms} ms ahead of the clock");
    }
    if let Some(ms) = plan.times.idle_ms {
        let _ = writeln!(out, "  a partition without records for {ms} ms follows the others");
    }
}

fn explain_query(plan: &QueryPlan, columns: &[String], out: &mut String) {
    let _ = writeln!(out, "query {}", plan.query);
    for input in &plan.inputs {
        let kind = if matches!(input.from, Input::Table(_)) { "table" } else { "stream" };
        let _ = writeln!(out, "  read {kind} {}", input.source);
    }
    explain_select(&plan.select, columns, out);
    let is_sent = matches!(plan.sink, Sink::Answer { .. });
    for what in keeps::keeps(&plan.select, plan.select.from.is_table(&plan.inputs), is_sent) {
        let _ = writeln!(out, "  keep {what}");
    }
    let stored = match &plan.sink {
        Sink::Stream { store, .. } => store.as_ref(),
        Sink::Changelog(store) => Some(store),
        Sink::Table { .. } | Sink::Answer { .. } => None,
    };
    if let Some((store, time)) = stored.and_then(|store| Some((store, store.timestamp.as_ref()?))) {
        let names: Vec<String> = store.schema.columns.iter().map(|c| c.name.clone()).collect();
        let _ = writeln!(out, "  time of messages = {}", display(time, &names));
    }
    if plan.emission == Emission::PerRecord {
        out.push_str("  emit once for each record, unchanged rows too\n");
    }
    if plan.closes_at_end {
        out.push_str("  close all windows when the inputs have ended\n");
    }
    match &plan.sink {
        Sink::Stream { store: None, .. } => out.push_str("  publish in memory\n"),
        Sink::Stream { store: Some(store), .. } => {
            out.push_str("  publish in memory\n");
            let _ = writeln!(
                out,
                "  store in {}, {} partitions, value {}",
                place(&store.place),
                store.layout.partitions,
                store.serialization.value.name()
            );
            let _ = writeln!(out, "    {}", guarantee(store));
        }
        Sink::Table { strategy, .. } => {
            let how = match strategy {
                Strategy::Monoid => "monoid (append-only input, pre-aggregated in each batch)",
                Strategy::Project => "row for row",
                Strategy::Retractable => "retractable (what leaves a group is subtracted)",
            };
            let _ = writeln!(out, "  maintain table: {how}");
        }
        Sink::Changelog(store) => {
            let _ = writeln!(
                out,
                "  store changes in {}, {} partitions",
                place(&store.place),
                store.layout.partitions
            );
            let _ = writeln!(out, "    {}", guarantee(store));
        }
        Sink::Answer { .. } => out.push_str("  send to the client\n"),
    }
}

/// How often a record is there after restarts.
fn guarantee(store: &StorePlan) -> &'static str {
    match (&store.outbox, &store.place) {
        (Some(_), Place::Event { .. }) => {
            "published when a checkpoint has made it final; twice only after a crash"
        }
        (Some(_), _) => "exactly once: in transactions, when a checkpoint has made it final",
        (None, Place::Log { .. }) => "exactly once: cut back to the checkpoint, or made anew without one",
        (None, Place::Blackhole) => "never: rows are made and go nowhere",
        (None, Place::Memory { .. }) => "in memory: gone with the engine",
        (None, _) => "at least once: a restart writes again; with --data-dir exactly once",
    }
}

/// The stages of a SELECT.
pub fn explain_select(select: &SelectPlan, columns: &[String], out: &mut String) {
    if let Relation::Join(join) = &select.from {
        explain_join(join, columns, out);
    }
    if let Some(filter) = &select.filter {
        let _ = writeln!(out, "  filter {}", display(filter, columns));
    }
    let mut columns = columns.to_vec();
    for call in &select.expand {
        let made = format!("{}({})", call.name(), display(&call.arg, &columns));
        let _ = writeln!(out, "  expand {made}");
        columns.push(made);
    }
    let columns = columns.as_slice();
    match &select.shape {
        Shape::Project(exprs) => {
            out.push_str("  project\n");
            for (column, expr) in select.columns.iter().zip(exprs) {
                let _ = writeln!(out, "    {column} = {}", display(expr, columns));
            }
        }
        Shape::Aggregate(aggregation) => explain_aggregation(select, aggregation, columns, out),
    }
    for key in &select.order_by {
        let _ = writeln!(
            out,
            "  order by column {}{}",
            key.column + 1,
            if key.descending { " descending" } else { "" }
        );
    }
    if let Some(limit) = select.limit {
        let _ = writeln!(out, "  limit {limit}");
    }
    if let Some(offset) = select.offset {
        let _ = writeln!(out, "  offset {offset}");
    }
}

/// A join, below it those that it joins. `columns` names the columns of its rows.
fn explain_join(join: &Join, columns: &[String], out: &mut String) {
    let (left, right) = columns.split_at(join.left.columns.len().min(columns.len()));
    for (side, names) in [(&join.left, left), (&join.right, right)] {
        if let Relation::Join(inner) = &side.relation {
            explain_join(inner, names, out);
        }
    }
    let kind = match join.kind {
        JoinKind::Inner => "inner",
        JoinKind::Left => "left outer",
        JoinKind::Right => "right outer",
        JoinKind::Full => "full outer",
    };
    let _ = writeln!(out, "  {kind} join of {} with {}", join.left.name, join.right.name);
    for (a, b) in join.left.keys.iter().zip(&join.right.keys) {
        let _ = writeln!(out, "    on {} = {}", display(a, left), display(b, right));
    }
    let how = match join.method {
        Method::Within(within) => {
            let waits = match within.grace_ms {
                _ if join.kind == JoinKind::Inner => String::new(),
                Some(grace) => format!("; rows without a partner are told of {grace} ms after that"),
                None => "; rows without a partner are told of at once, and again when one comes".into(),
            };
            format!(
                "the right row at most {} ms before and {} ms after the left one{waits}",
                within.before_ms, within.after_ms
            )
        }
        Method::Lookup => "each row of the stream with the table's row at its time".into(),
        Method::Keys => "row for row by their keys, read from both tables".into(),
        Method::ForeignKey => "by a foreign key".into(),
    };
    let _ = writeln!(out, "    {how}");
}

fn explain_aggregation(select: &SelectPlan, aggregation: &Aggregation, columns: &[String], out: &mut String) {
    let keys: Vec<String> = aggregation.keys.iter().map(|k| display(k, columns)).collect();
    let calls: Vec<String> = aggregation.calls.iter().map(|c| call(c, columns)).collect();
    let by = if keys.is_empty() { "nothing (one group)".into() } else { keys.join(", ") };
    let _ = match aggregation.keeps_nulls {
        true => writeln!(out, "  distinct {by}"),
        false => writeln!(out, "  group by {by}"),
    };
    if let Some(window) = &aggregation.window {
        explain_window(window, out);
    }
    for call in &calls {
        let _ = writeln!(out, "    {call}");
    }
    out.push_str("  exchange by hash of the key\n");
    let bounds = aggregation.window.iter().flat_map(|_| BOUNDS.map(String::from));
    let names: Vec<String> = keys.into_iter().chain(bounds).chain(calls).collect();
    if let Some(having) = &aggregation.having {
        let _ = writeln!(out, "  having {}", display(having, &names));
    }
    out.push_str("  finish\n");
    for (column, expr) in select.columns.iter().zip(&aggregation.post) {
        let _ = writeln!(out, "    {column} = {}", display(expr, &names));
    }
}

fn explain_window(window: &Window, out: &mut String) {
    let kind = match window.kind {
        WindowKind::Tumbling { size_ms } => format!("tumbling windows of {size_ms} ms"),
        WindowKind::Hopping { size_ms, advance_ms } => {
            format!("hopping windows of {size_ms} ms, one each {advance_ms} ms")
        }
        WindowKind::Session { gap_ms } => format!("sessions that end after {gap_ms} ms without a row"),
    };
    let told = if window.is_final { ", told of when closed" } else { "" };
    let Window { grace_ms, retention_ms, .. } = window;
    let _ = writeln!(out, "    in {kind}{told}: grace {grace_ms} ms, kept for {retention_ms} ms");
}

/// A call as it could be written; parameters that are no columns are in its spec.
fn call(call: &Call, columns: &[String]) -> String {
    let mut args: Vec<String> = call.args.iter().map(|a| display(a, columns)).collect();
    match &call.spec {
        Spec::CountRows => args.push("*".into()),
        Spec::TopK { k } | Spec::TopKDistinct { k } => args.push(k.to_string()),
        Spec::Latest { ignore_nulls, n } | Spec::Earliest { ignore_nulls, n } => {
            args.extend(n.map(|n| n.to_string()));
            args.extend((!ignore_nulls).then(|| "FALSE".into()));
        }
        Spec::Percentile { digits, scale, .. } if call.text != "MEDIAN" => {
            args.push(number_text::decimal(*digits as i128, *scale));
        }
        _ => {}
    }
    format!("{}({})", call.text, args.join(", "))
}

fn place(place: &Place) -> String {
    match place {
        Place::File { path, .. } => format!("file {}", path.display()),
        Place::Log { dir, .. } => format!("log {}", dir.display()),
        Place::Memory { .. } => "memory".into(),
        Place::Generator(spec) => format!("generator {}", spec.feed),
        Place::Stdin { .. } => "stdin".into(),
        Place::Kafka { cluster, topic } => format!("topic {topic} on {cluster}"),
        Place::Event { event } => format!("event {event}"),
        Place::Archive { shelf, event } => format!("{event} in the archive {shelf}"),
        Place::Blackhole => "a blackhole".into(),
    }
}
