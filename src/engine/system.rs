//! What the engine declares by itself: the rejects as a stream, the books as a table.

use super::world::World;
use super::{BOOKS_HUB, BOOKS_QUERY, BOOKS_TABLE};
use crate::aggregate;
use crate::catalog::{Origin, Source};
use crate::connector::Layout;
use crate::expr::{Expr, ExprKind};
use crate::format::{Format, Serialization};
use crate::plan::{
    Aggregation, Call, DataflowPlan, Emission, Input, QueryInput, QueryPlan, Relation, SelectPlan, Shape,
    Sink, Strategy,
};
use crate::render::{books, rejects};
use crate::sql::ast::SourceKind;
use crate::types::{ColumnDef, Part, SqlType};
use std::sync::Arc;

const BOOKS: &str = "WHARFE_BOOKS";

impl World {
    /// Before any statement.
    pub fn declare_system(&mut self) {
        let json =
            Serialization { key: Format::None, value: Format::Json { wrap_single: true }, changelog: false };
        let ordinal = self.catalog.next_ordinal(rejects::STREAM);
        let system = |kind, name: &str, schema, topic: &str| Source {
            kind,
            name: name.into(),
            schema,
            topic: topic.into(),
            serialization: json,
            timestamp: None,
            times: Default::default(),
            layout: Layout::default(),
            ordinal,
            statement: String::new(),
            origin: Origin::System,
            read_only: false,
            schemas: Default::default(),
            events: Vec::new(),
            part: None,
        };
        self.catalog.insert(system(SourceKind::Stream, rejects::STREAM, rejects::schema(), rejects::TOPIC));
        let plan = books_query();
        self.catalog.insert(system(SourceKind::Table, BOOKS, plan.select.schema(), books::TOPIC));
        self.catalog.tables.insert(BOOKS.into(), BOOKS_TABLE);
        self.waiting.push(Arc::new(DataflowPlan::Query(plan)));
    }
}

pub fn books_query() -> QueryPlan {
    let schema = books::schema();
    let column = |i: usize| Expr { kind: ExprKind::Column(i), ty: schema.columns[i].ty.clone() };
    let sum = aggregate::find("SUM").expect("SUM is an aggregate");
    let calls = (4..9)
        .map(|i| {
            let arg = crate::expr::function::Arg { ty: Some(&SqlType::Bigint), literal: None };
            let overload = (sum.resolve)(&[arg]).expect("SUM takes BIGINT");
            Call { text: "SUM".into(), spec: overload.spec, args: vec![column(i)], returns: overload.returns }
        })
        .collect();
    let column_of = |(i, c): (usize, &ColumnDef)| ColumnDef { part: Part::key_if(i < 4), ..c.clone() };
    let columns = schema.columns.iter().enumerate().map(column_of).collect();
    let post = (0..9).map(column).collect();
    let keys = (0..4).map(column).collect();
    let aggregation = Aggregation { keys, window: None, calls, having: None, post, keeps_nulls: false };
    QueryPlan {
        id: BOOKS_QUERY,
        query: BOOKS.into(),
        inputs: vec![QueryInput {
            source: "WHARFE_BOOK_ENTRIES".into(),
            topic: books::TOPIC.into(),
            from: Input::Hub(BOOKS_HUB),
            columns: 9,
            feeds: Vec::new(),
        }],
        select: SelectPlan::of(Relation::Scan(0), columns, Shape::Aggregate(aggregation)),
        sink: Sink::Table { table: BOOKS_TABLE, strategy: Strategy::Monoid },
        restore: Default::default(),
        durable: false,
        emission: Emission::default(),
        closes_at_end: false,
        goes_on: false,
    }
}
