//! Binds the FROM of a SELECT: what is read, how it is joined, and which names its columns go by.

use super::relation::{Join, Method, RECORD_COLUMNS, Relation, Side, Within};
use super::select::Source;
use crate::error::{Error, Result, Span};
use crate::expr::bind::common_type;
use crate::expr::{Expr, ExprKind, RowOf, Scope, ScopeSource, bind, coerce, references};
use crate::sql::ast::{self, BinaryOp, JoinKind, Query, SourceKind};
use crate::types::{Bounds, ColumnDef, Part, Schema, SqlType};

/// The rows that a SELECT's own stages read.
pub struct From<'a> {
    pub relation: Relation,
    pub kind: SourceKind,
    /// All columns, those that only the engine names included.
    pub schema: Schema,
    /// Whose columns are which; a join's key has a source of its own where it can be named.
    pub sources: Vec<ScopeSource<'a>>,
    /// The columns that `*` stands for.
    pub starred: Vec<usize>,
    /// What the key of a joined row is known as, none where nothing is joined.
    pub key: Option<JoinKey>,
}

/// The key of a join's rows.
pub struct JoinKey {
    /// The columns that hold it.
    pub columns: Vec<usize>,
    /// For each of them the columns that are as good: the first of these that is selected is the key.
    pub aliases: Vec<Vec<usize>>,
    /// The expressions that stand for them in messages.
    pub text: String,
}

/// The name of a key that no column of a source has.
const SYNTHETIC: &str = "ROWKEY";
const RECORD: [(&str, SqlType); RECORD_COLUMNS] =
    [("ROWTIME", SqlType::Bigint), ("ROWPARTITION", SqlType::Int), ("ROWOFFSET", SqlType::Bigint)];

/// `sources`: of the FROM and of each join, in the order of the text.
pub fn bind_from<'a>(query: &'a Query, sources: &[Source<'a>]) -> Result<From<'a>> {
    let is_nameless = |read: &&ast::Read| read.name().is_none() && !query.joins.is_empty();
    if let Some(read) = query.reads().find(is_nameless) {
        return Err(Error::statement("a query that is joined needs a name")
            .at(read.span())
            .hint("(SELECT …) AS name"));
    }
    let first = From::scan(0, &sources[0], query.from.alias.as_ref(), !query.joins.is_empty());
    let mut joined = query.joins.iter().zip(&sources[1..]).enumerate();
    joined.try_fold(first, |left, (n, (join, source))| {
        let right = From::scan(n + 1, source, join.read.alias.as_ref(), true);
        if let Some(name) = right.sources[0].names.last().filter(|name| left.names(name)) {
            return Err(Error::statement(format!("two sources of this query go by the name {name}"))
                .at(join.read.span())
                .hint(format!("{name} AS …, with another name for each")));
        }
        left.join(right, source.ordinal, sources[0].ordinal, join)
    })
}

impl<'a> From<'a> {
    /// `joined`: its rows' ROWTIME and the like are columns, since a joined row has records of its own.
    fn scan(input: usize, source: &Source<'a>, alias: Option<&'a ast::Ident>, joined: bool) -> From<'a> {
        let mut columns = source.schema.columns.clone();
        let starred = source.starred();
        if joined {
            let record = RECORD.iter().map(|(name, ty)| ColumnDef {
                name: name.to_string(),
                ty: ty.clone(),
                part: Part::Value,
            });
            columns.extend(record);
        }
        // By its alias alone, where it has one: then a source can be joined with itself.
        let names = match alias {
            Some(alias) if joined || alias.name == source.name => vec![alias.name.as_str()],
            Some(alias) => vec![source.name, alias.name.as_str()],
            None => vec![source.name],
        };
        From {
            relation: Relation::Scan(input),
            kind: source.kind,
            sources: vec![ScopeSource { names, columns: 0..columns.len() }],
            schema: Schema { columns },
            starred,
            key: None,
        }
    }

    /// As messages and the books name it.
    fn shown(&self) -> String {
        let names = self.sources.iter().filter_map(|s| s.names.last().copied());
        names.filter(|name| *name != SYNTHETIC).collect::<Vec<_>>().join(", ")
    }

    fn names(&self, name: &str) -> bool {
        self.sources.iter().any(|source| source.names.contains(&name))
    }

    pub fn scope(&'a self) -> Scope<'a> {
        Scope {
            schema: &self.schema,
            sources: self.sources.clone(),
            of: match self.kind {
                _ if self.key.is_some() => RowOf::Nothing,
                SourceKind::Stream => RowOf::Record,
                SourceKind::Table => RowOf::Table,
            },
            replace: None,
        }
    }

    fn join(
        mut self,
        right: From<'a>,
        ordinal: u32,
        left_ordinal: u32,
        join: &ast::Join,
    ) -> Result<From<'a>> {
        let mut conditions = self.conditions(&right, join)?;
        let method = self.method(&right, join, &conditions)?;
        if method == Method::Keys {
            self.order_by_key(&mut conditions);
        }
        let width = self.schema.len();
        let (left_keys, right_keys): (Vec<Expr>, Vec<Expr>) =
            conditions.iter().map(|c| (c.left.clone(), c.right.clone())).unzip();
        let key = self.joined_key(&right, join.kind, method, &conditions);
        let side = |from: &From, keys: Vec<Expr>, ordinal: u32| Side {
            relation: from.relation.clone(),
            name: from.shown(),
            columns: from.schema.columns.iter().map(|c| c.ty.clone()).collect(),
            keys,
            ordinal,
        };
        let joined = Join {
            left: side(&self, left_keys.clone(), left_ordinal),
            right: side(&right, right_keys, ordinal),
            kind: join.kind,
            method,
        };
        // What was the key of the left side is a column like any other now, and has no name.
        for source in self.sources.iter().filter(|source| source.names == [SYNTHETIC]) {
            self.starred.retain(|column| !source.columns.contains(column));
        }
        self.sources.retain(|source| source.names != [SYNTHETIC]);
        let shifted = right.sources.into_iter().map(|source| ScopeSource {
            columns: source.columns.start + width..source.columns.end + width,
            ..source
        });
        self.sources.extend(shifted);
        self.schema.columns.extend(right.schema.columns);
        self.starred.extend(right.starred.into_iter().map(|column| column + width));
        let start = self.schema.len();
        let columns = left_keys.iter().enumerate().map(|(i, key)| ColumnDef {
            name: if i == 0 { SYNTHETIC.into() } else { format!("{SYNTHETIC}_{i}") },
            ty: key.ty.clone(),
            part: Part::Value,
        });
        self.schema.columns.extend(columns);
        // A key that a source's column holds goes by that column's name.
        let named = key.aliases.iter().all(|aliases| !aliases.is_empty()) || method == Method::ForeignKey;
        if !named {
            self.starred.extend(start..self.schema.len());
            self.sources.push(ScopeSource { names: vec![SYNTHETIC], columns: start..self.schema.len() });
        }
        self.kind = if joined.is_table() { SourceKind::Table } else { SourceKind::Stream };
        self.relation = Relation::Join(Box::new(joined));
        self.key = Some(key);
        Ok(self)
    }

    /// The comparisons of ON, each with its left side from what stands before the join.
    fn conditions(&self, right: &From<'a>, join: &ast::Join) -> Result<Vec<Condition>> {
        let mut parts = vec![&join.on];
        let mut comparisons = Vec::new();
        while let Some(part) = parts.pop() {
            match &part.kind {
                ast::ExprKind::Binary { op: BinaryOp::And, left, right } => parts.extend([&**right, &**left]),
                ast::ExprKind::Binary { op: BinaryOp::Eq, left, right } => {
                    comparisons.push((part, left, right))
                }
                _ => {
                    return Err(Error::statement("ON compares expressions of both sides with =")
                        .at(part.span)
                        .hint("other conditions go into WHERE"));
                }
            }
        }
        comparisons.into_iter().map(|(whole, a, b)| self.condition(right, whole.span, a, b)).collect()
    }

    fn condition(&self, right: &From<'a>, span: Span, a: &ast::Expr, b: &ast::Expr) -> Result<Condition> {
        let (left_scope, right_scope) = (self.scope_of_join(), right.scope_of_join());
        let both = || {
            let mut sources = left_scope.sources.clone();
            sources.extend(right_scope.sources.iter().cloned());
            sources.iter().filter_map(|s| s.names.last().copied()).collect::<Vec<_>>().join(" and ")
        };
        let on = |x: &ast::Expr, y: &ast::Expr| -> Option<(Expr, Expr)> {
            Some((bind(x, &left_scope).ok()?, bind(y, &right_scope).ok()?))
        };
        let ambiguous = on(a, b).is_some() && on(b, a).is_some();
        let uses = |expr: &Expr| {
            let mut any = false;
            references(expr, &mut |_| any = true);
            any
        };
        let Some((left, right)) = on(a, b).or_else(|| on(b, a)).filter(|(l, r)| uses(l) && uses(r)) else {
            // What is wrong with one of them by itself says most.
            let mut schema = self.schema.clone();
            schema.columns.extend(right.schema.columns.iter().cloned());
            let width = self.schema.len();
            let shift = |s: &ScopeSource<'a>| ScopeSource {
                names: s.names.clone(),
                columns: s.columns.start + width..s.columns.end + width,
            };
            let sources = self.sources.iter().cloned().chain(right.sources.iter().map(shift)).collect();
            let all = Scope { schema: &schema, sources, of: RowOf::Nothing, replace: None };
            bind(a, &all)?;
            bind(b, &all)?;
            return Err(Error::statement("each side of a join's = needs columns of one side of the join")
                .at(span)
                .hint(format!("compare an expression of each of {}", both())));
        };
        if ambiguous {
            return Err(Error::statement("it is ambiguous which columns this compares")
                .at(span)
                .hint(format!("write the source before the column: {}", both())));
        }
        if let SqlType::Map(..) = left.ty {
            return Err(Error::statement("a MAP cannot be a join's key").at(span));
        }
        let (left_ty, right_ty) = (left.ty.clone(), right.ty.clone());
        let mismatch = || {
            Error::statement(format!("the join compares {left_ty} with {right_ty}"))
                .at(span)
                .hint(format!("CAST one of them: CAST(… AS {left_ty})"))
        };
        let ty = common_type(&left_ty, &right_ty).ok_or_else(mismatch)?;
        let condition = Condition {
            plain: [&left, &right].map(|e| if let ExprKind::Column(c) = e.kind { Some(c) } else { None }),
            left: coerce(left, &ty).ok_or_else(mismatch)?,
            right: coerce(right, &ty).ok_or_else(mismatch)?,
            span,
        };
        Ok(condition)
    }

    fn scope_of_join(&self) -> Scope<'_> {
        Scope { schema: &self.schema, sources: self.sources.clone(), of: RowOf::Nothing, replace: None }
    }

    /// Keys with windows in them are equal where their windows are: those of sessions have other bounds than those
    /// of a fixed size, and keys without windows have none.
    fn check_windows(&self, right: &Schema, right_name: String, join: &ast::Join) -> Result<()> {
        let kind = |schema: &Schema| match schema.bounds() {
            None => "no windows",
            Some(Bounds::Start { .. }) => "windows of a fixed size",
            Some(Bounds::Both) => "the windows of sessions",
        };
        let (of_left, of_right) = (kind(&self.schema), kind(right));
        if of_left == of_right {
            return Ok(());
        }
        let left_name = self.shown();
        let what = format!(
            "{left_name} has {of_left} in its keys and {right_name} has {of_right}: they cannot be joined"
        );
        Err(Error::statement(what)
            .at(join.span)
            .hint("WINDOW_TYPE says what is in the keys; both sides need windows of one kind, or none"))
    }

    /// Windows that are in the keys of rows stay there, unless a statement says otherwise.
    fn check_windows_stay(&self, right: &From<'a>, conditions: &[Condition]) -> Result<()> {
        let of_key = |from: &From, column: Option<usize>| {
            column.is_some_and(|column| from.schema.columns[column].part == Part::Key)
        };
        let drops = |c: &&Condition| !(of_key(self, c.plain[0]) && of_key(right, c.plain[1]));
        let Some(condition) = conditions.iter().find(drops).filter(|_| self.schema.bounds().is_some()) else {
            return Ok(());
        };
        let (left, right) = (self.shown(), right.shown());
        Err(Error::statement(format!(
            "{left} and {right} have windows in their keys, which a join by other columns would drop"
        ))
        .at(condition.span)
        .hint("join by their keys, or drop the windows first: CREATE STREAM … AS SELECT … PARTITION BY a column"))
    }

    fn method(&self, right: &From<'a>, join: &ast::Join, conditions: &[Condition]) -> Result<Method> {
        use SourceKind::{Stream, Table};
        let within = join.within.as_ref();
        let refuse = |what: &str, at: Span, hint: &str| Err(Error::statement(what).at(at).hint(hint));
        if let (Some(within), true) = (within, self.kind == Table || right.kind == Table) {
            return refuse("WITHIN is for joins of two streams", within.span, "leave WITHIN out");
        }
        match (self.kind, right.kind) {
            (Stream, Stream) => {
                self.check_windows(&right.schema, right.shown(), join)?;
                self.check_windows_stay(right, conditions)?;
                let Some(within) = within else {
                    return refuse(
                        "a join of two streams needs WITHIN: how far apart rows may be",
                        join.span,
                        "JOIN … WITHIN 1 HOUR GRACE PERIOD 5 MINUTES ON …",
                    );
                };
                let ast::Within { before_ms, after_ms, grace_ms, .. } = *within;
                Ok(Method::Within(Within { before_ms, after_ms, grace_ms }))
            }
            (Table, Stream) => refuse(
                "a table cannot be joined with a stream: each row of the stream looks up the table's",
                join.span,
                "put the stream first: stream JOIN table",
            ),
            (Stream, Table) => {
                if !right.is_key(conditions, |c| c.plain[1]) {
                    return refuse(
                        "a stream finds the rows of a table by the table's whole primary key",
                        conditions[0].span,
                        "compare each column of the key, or make a table that has the other columns as its key",
                    );
                }
                match join.kind {
                    JoinKind::Inner | JoinKind::Left => Ok(Method::Lookup),
                    JoinKind::Right | JoinKind::Full => refuse(
                        "a stream with a table is joined by JOIN or LEFT JOIN: a table's rows come by no time",
                        join.span,
                        "LEFT JOIN keeps rows of the stream that the table has none for",
                    ),
                }
            }
            (Table, Table) if !right.is_key(conditions, |c| c.plain[1]) => refuse(
                "two tables are joined by the right one's whole primary key",
                conditions[0].span,
                "compare each column of the right table's key",
            ),
            (Table, Table) if self.is_key(conditions, |c| c.plain[0]) => Ok(Method::Keys),
            (Table, Table) if join.kind.keeps_right() => refuse(
                "by a foreign key tables are joined by JOIN or LEFT JOIN",
                join.span,
                "the rows of the right table have no key of the left one's",
            ),
            (Table, Table) => Ok(Method::ForeignKey),
        }
    }

    /// Whether the conditions compare just the columns of this side's key.
    fn is_key(&self, conditions: &[Condition], column: impl Fn(&Condition) -> Option<usize>) -> bool {
        let compared: Vec<Option<usize>> = conditions.iter().map(column).collect();
        let keys: Vec<usize> = match &self.key {
            None => (0..self.schema.len()).filter(|&c| self.schema.columns[c].identifies()).collect(),
            // Any of the columns that are as good.
            Some(key) => {
                let as_good = |aliases: &Vec<usize>| compared.iter().flatten().any(|c| aliases.contains(c));
                return compared.len() == key.columns.len()
                    && key
                        .aliases
                        .iter()
                        .zip(&key.columns)
                        .all(|(aliases, column)| as_good(aliases) || compared.contains(&Some(*column)));
            }
        };
        compared.len() == keys.len() && keys.iter().all(|key| compared.contains(&Some(*key)))
    }

    /// Puts the conditions in the order of this side's key, and compares the key itself where the statement
    /// names a column that is as good.
    fn order_by_key(&self, conditions: &mut [Condition]) {
        let keys: Vec<Vec<usize>> = match &self.key {
            Some(key) => key.aliases.clone(),
            None => {
                let own = (0..self.schema.len()).filter(|&c| self.schema.columns[c].identifies());
                own.map(|column| vec![column]).collect()
            }
        };
        let columns = self.key.as_ref().map_or(&[][..], |key| &key.columns);
        let place = |condition: &Condition| {
            let compared = condition.plain[0];
            let named = keys.iter().position(|aliases| compared.is_some_and(|c| aliases.contains(&c)));
            named.or_else(|| columns.iter().position(|column| compared == Some(*column)))
        };
        conditions.sort_by_key(place);
        for condition in conditions.iter_mut() {
            let own = place(condition).and_then(|place| columns.get(place));
            if let (ExprKind::Column(_), Some(&own)) = (&condition.left.kind, own)
                && self.schema.columns[own].ty == condition.left.ty
            {
                condition.left.kind = ExprKind::Column(own);
            }
        }
    }

    /// What the key of the joined rows is known as.
    fn joined_key(
        &self,
        right: &From<'a>,
        kind: JoinKind,
        method: Method,
        conditions: &[Condition],
    ) -> JoinKey {
        let width = self.schema.len();
        let start = width + right.schema.len();
        let names = [self.qualified_names(), right.qualified_names()].concat();
        if method == Method::ForeignKey {
            // The left table's own key stays.
            let keys: Vec<usize> = match &self.key {
                Some(key) => key.columns.clone(),
                None => (0..width).filter(|&c| self.schema.columns[c].identifies()).collect(),
            };
            let of_left = self.key.as_ref().map(|key| key.aliases.clone());
            let aliases = of_left.unwrap_or_else(|| keys.iter().map(|&c| vec![c]).collect());
            let text = keys.iter().map(|&c| names[c].clone()).collect::<Vec<_>>().join(", ");
            return JoinKey { columns: keys, aliases, text };
        }
        let aliases = |c: &Condition| -> Vec<usize> {
            if kind == JoinKind::Full {
                return Vec::new();
            }
            let before = |column: usize| match &self.key {
                Some(key) => key.aliases.iter().find(|all| all.contains(&column)).cloned(),
                None => None,
            };
            let left = c.plain[0].map(|column| before(column).unwrap_or_else(|| vec![column]));
            left.into_iter().flatten().chain(c.plain[1].map(|column| width + column)).collect()
        };
        let aliases: Vec<Vec<usize>> = conditions.iter().map(aliases).collect();
        let text = |all: &Vec<usize>| match &all[..] {
            [] => SYNTHETIC.to_string(),
            all => all.iter().map(|&c| names[c].clone()).collect::<Vec<_>>().join(" or "),
        };
        let text = aliases.iter().map(text).collect::<Vec<_>>().join(", ");
        JoinKey { columns: (start..start + conditions.len()).collect(), aliases, text }
    }

    /// The columns as they can be written wherever several sources are joined.
    fn qualified_names(&self) -> Vec<String> {
        let of = |column: usize| self.sources.iter().find(|source| source.columns.contains(&column));
        let name = |(i, column): (usize, &ColumnDef)| {
            let name = crate::types::quote(&column.name);
            match of(i).and_then(|source| source.names.last()) {
                Some(source) => format!("{}.{name}", crate::types::quote(source)),
                None => name,
            }
        };
        self.schema.columns.iter().enumerate().map(name).collect()
    }

    /// The name that a column gets in a result: that of its source before it, where others have the name.
    pub fn result_name(&self, column: usize, starred: bool) -> String {
        let name = &self.schema.columns[column].name;
        let of = |column: usize| self.sources.iter().find(|source| source.columns.contains(&column));
        let source = of(column).and_then(|source| source.names.last());
        let several =
            self.sources.iter().filter(|s| s.columns.clone().any(|c| &self.schema.columns[c].name == name));
        match source {
            Some(source)
                if self.key.is_some() && *source != SYNTHETIC && (starred || several.count() > 1) =>
            {
                format!("{source}_{name}")
            }
            _ => name.clone(),
        }
    }
}

/// One comparison of ON.
struct Condition {
    left: Expr,
    right: Expr,
    /// The columns that the sides are, if they are no more than that.
    plain: [Option<usize>; 2],
    span: Span,
}
