//! The syntax tree of queries.

use super::{Expr, Ident};
use crate::error::Span;

#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// WITH … (an extension); each can be read by those behind it.
    pub with: Vec<CommonTable>,
    /// SELECT DISTINCT (an extension)
    pub distinct: bool,
    pub select: Vec<SelectItem>,
    pub from: Read,
    /// In the order of the text: each joins what stands before it.
    pub joins: Vec<Join>,
    pub window: Option<Window>,
    pub filter: Option<Expr>,
    pub group_by: Vec<Expr>,
    pub partition_by: Vec<Expr>,
    pub having: Option<Expr>,
    /// Only in pull queries (an extension).
    pub order_by: Vec<OrderBy>,
    pub emit: Option<Emit>,
    pub limit: Option<u64>,
    /// Rows that an answer leaves out at its beginning (an extension).
    pub offset: Option<u64>,
    pub span: Span,
}

/// name AS (query)
#[derive(Clone, Debug, PartialEq)]
pub struct CommonTable {
    pub name: Ident,
    pub query: Query,
}

/// What FROM or JOIN reads: … [AS] alias
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    pub what: What,
    pub alias: Option<Ident>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// A stream or table, or what WITH names so.
    Named(Ident),
    /// (query [UNION ALL query …]) (an extension)
    Queries(Vec<Query>),
}

impl Read {
    /// What its columns go by.
    pub fn name(&self) -> Option<&str> {
        match (&self.alias, &self.what) {
            (Some(alias), _) => Some(&alias.name),
            (None, What::Named(name)) => Some(&name.name),
            (None, What::Queries(_)) => None,
        }
    }

    pub fn span(&self) -> Span {
        match &self.what {
            What::Named(name) => name.span,
            What::Queries(queries) => {
                let (first, last) = (queries.first(), queries.last());
                let start = first.map_or(0, |query| query.span.start);
                Span { start, end: last.map_or(start, |query| query.span.end) }
            }
        }
    }
}

impl Query {
    /// SELECT * FROM …
    pub fn all_of(from: Read, span: Span) -> Query {
        Query {
            with: Vec::new(),
            distinct: false,
            select: vec![SelectItem::Star { qualifier: None, span }],
            from,
            joins: Vec::new(),
            window: None,
            filter: None,
            group_by: Vec::new(),
            partition_by: Vec::new(),
            having: None,
            order_by: Vec::new(),
            emit: None,
            limit: None,
            offset: None,
            span,
        }
    }

    /// What it reads: that of its FROM, then those of its joins.
    pub fn reads(&self) -> impl Iterator<Item = &Read> {
        [&self.from].into_iter().chain(self.joins.iter().map(|join| &join.read))
    }
}

impl SelectItem {
    /// What is computed for it, where it is not taken as it is.
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            SelectItem::Star { .. } => None,
            SelectItem::StructStar { base: expr, .. } | SelectItem::Expr { expr, .. } => Some(expr),
        }
    }
}

/// [INNER | LEFT | RIGHT | FULL [OUTER]] JOIN source [AS] alias [WITHIN …] ON condition
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub read: Read,
    pub within: Option<Within>,
    pub on: Expr,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

impl JoinKind {
    /// Whether rows of the left side without a partner are kept.
    pub fn keeps_left(self) -> bool {
        matches!(self, JoinKind::Left | JoinKind::Full)
    }

    /// Whether rows of the right side without a partner are kept.
    pub fn keeps_right(self) -> bool {
        matches!(self, JoinKind::Right | JoinKind::Full)
    }
}

/// WITHIN span | (before, after) [GRACE PERIOD span], in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Within {
    /// How much earlier than the left row the right row may be.
    pub before_ms: i64,
    pub after_ms: i64,
    pub grace_ms: Option<i64>,
    pub span: Span,
}

/// WINDOW kind (…), times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    pub kind: WindowKind,
    pub retention_ms: Option<i64>,
    pub grace_ms: Option<i64>,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum WindowKind {
    Tumbling { size_ms: i64 },
    Hopping { size_ms: i64, advance_ms: i64 },
    Session { gap_ms: i64 },
}

impl WindowKind {
    pub fn name(self) -> &'static str {
        match self {
            WindowKind::Tumbling { .. } => "TUMBLING",
            WindowKind::Hopping { .. } => "HOPPING",
            WindowKind::Session { .. } => "SESSION",
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    pub expr: Expr,
    pub descending: bool,
    /// `None`: NULLs first when ascending, last when descending.
    pub nulls_first: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emit {
    Changes,
    /// Each window once, when it has closed.
    Final,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SelectItem {
    /// `*`, `source.*`
    Star {
        qualifier: Option<Ident>,
        span: Span,
    },
    /// `s -> *`: all fields of a struct
    StructStar {
        base: Expr,
        span: Span,
    },
    Expr {
        expr: Expr,
        alias: Option<Ident>,
    },
}
