//! Plans as text: what EXPLAIN prints is exactly what runs.

use super::*;
use crate::expr::display;
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
}

fn explain_query(plan: &QueryPlan, columns: &[String], out: &mut String) {
    let _ = writeln!(out, "query {}", plan.query);
    let kind = if matches!(plan.input, Input::Table(_)) { "table" } else { "stream" };
    let _ = writeln!(out, "  read {kind} {}", plan.source);
    explain_select(&plan.select, columns, out);
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
                Strategy::Retractable => "retractable (a group anew from its present rows)",
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
        (Some(_), _) => "exactly once: in transactions, when a checkpoint has made it final",
        (None, Place::Log { .. }) => "exactly once: cut back to the checkpoint, or made anew without one",
        (None, _) => "at least once: a restart writes again; with --data-dir exactly once",
    }
}

/// The stages of a SELECT.
pub fn explain_select(select: &SelectPlan, columns: &[String], out: &mut String) {
    if let Some(filter) = &select.filter {
        let _ = writeln!(out, "  filter {}", display(filter, columns));
    }
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
}

fn explain_aggregation(select: &SelectPlan, aggregation: &Aggregation, columns: &[String], out: &mut String) {
    let keys: Vec<String> = aggregation.keys.iter().map(|k| display(k, columns)).collect();
    let calls: Vec<String> = aggregation.calls.iter().map(|c| call(c, columns)).collect();
    let _ = writeln!(
        out,
        "  group by {}",
        if keys.is_empty() { "nothing (one group)".into() } else { keys.join(", ") }
    );
    for call in &calls {
        let _ = writeln!(out, "    {call}");
    }
    out.push_str("  exchange by hash of the key\n");
    let names: Vec<String> = keys.into_iter().chain(calls).collect();
    if let Some(having) = &aggregation.having {
        let _ = writeln!(out, "  having {}", display(having, &names));
    }
    out.push_str("  finish\n");
    for (column, expr) in select.columns.iter().zip(&aggregation.post) {
        let _ = writeln!(out, "    {column} = {}", display(expr, &names));
    }
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
        _ => {}
    }
    format!("{}({})", call.text, args.join(", "))
}

fn place(place: &Place) -> String {
    match place {
        Place::File { path, .. } => format!("file {}", path.display()),
        Place::Log { dir, .. } => format!("log {}", dir.display()),
        Place::Generator(spec) => format!("generator {}", spec.feed),
        Place::Stdin { .. } => "stdin".into(),
        Place::Kafka { cluster, topic } => format!("topic {topic} on {cluster}"),
    }
}
