//! Warnings of queries that do what their statements say, which may not be what was meant.

use super::draft::Draft;
use crate::catalog::Source;
use crate::connector::Place;
use crate::plan::{Join, Method, QueryPlan, Relation};
use crate::sql::ast::SourceKind;

impl Draft<'_> {
    /// `sources`: what the query reads; `changelog`: what stores its table, if something does.
    pub(super) fn warn_of(
        &self,
        plan: &QueryPlan,
        changelog: Option<&QueryPlan>,
        sources: &[Source],
        target: &Source,
    ) {
        let stores = [Some(plan), changelog].into_iter().flatten().find_map(|plan| plan.sink.store());
        if let Some(store) = stores {
            self.tell_blurred(target, store);
        }
        let from = &plan.select.from;
        let mut warnings = Vec::new();
        from.each_join(&mut |join| warnings.extend(padded_at_once(join)));
        warnings.extend(self.table_without_times(from, sources));
        self.effects.warnings.borrow_mut().extend(warnings);
    }

    /// A table whose rows are as late as their file, looked up by a stream that says when its rows were.
    fn table_without_times(&self, from: &Relation, sources: &[Source]) -> Option<String> {
        let looked_up = from.looked_up();
        let has_times = |source: &&Source| self.roots(&source.name).any(|root| root.timestamp.is_some());
        let is_late = |root: &Source| {
            let place = self.place(root);
            root.timestamp.is_none() && matches!(place, Ok(Place::File { .. } | Place::Stdin { .. }))
        };
        let mut tables = looked_up.iter().filter_map(|input| sources.get(*input));
        let table = tables.find(|table| self.roots(&table.name).any(is_late))?.shown();
        let streams = sources.iter().enumerate().filter(|(input, _)| !looked_up.contains(input));
        let stream = streams.map(|(_, stream)| stream).find(has_times)?.shown();
        Some(format!(
            "rows of {table} have no times of their own: they count from when they are read, and rows of {stream} \
             that are older find none of them; hint: TIMESTAMP='column' in the WITH of {table}"
        ))
    }

    /// What is declared that a stream or table is made of.
    fn roots(&self, name: &str) -> impl Iterator<Item = &Source> {
        let catalog = &self.world.catalog;
        let feeds = catalog.feeds_of(name);
        let all = [SourceKind::Stream, SourceKind::Table].into_iter().flat_map(|kind| catalog.sources(kind));
        all.filter(move |source| feeds.contains(&source.ordinal))
    }
}

fn padded_at_once(join: &Join) -> Option<String> {
    let Method::Within(within) = join.method else { return None };
    let pads = join.kind.keeps_left() || join.kind.keeps_right();
    (pads && within.grace_ms.is_none()).then(|| {
        format!(
            "without a GRACE PERIOD the join of {} with {} tells of a row at once as one without a partner, and again \
             when a partner comes; hint: WITHIN … GRACE PERIOD 5 MINUTES",
            join.left.name, join.right.name
        )
    })
}
