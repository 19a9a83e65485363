//! Statements → text that parses to the same again: every name that could be read otherwise is quoted, every
//! operand that could bind otherwise is in parentheses.

use super::ast::*;
use super::complete::{CLAUSES, KEYWORDS, RESERVED, STARTERS};
use crate::types::{Part, SqlType};
use std::fmt::{self, Display, Formatter, Write};

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Statement::CreateSource { .. } => create_source(self, f),
            Statement::CreateAs { kind, or_replace, if_not_exists, name, with, query } => {
                write!(f, "CREATE {}{} ", given(*or_replace, "OR REPLACE "), word(*kind))?;
                write!(f, "{}{}", given(*if_not_exists, "IF NOT EXISTS "), Name(&name.name))?;
                properties(with, f)?;
                write!(f, " AS {query}")
            }
            Statement::InsertSelect { target, with, query } => {
                write!(f, "INSERT INTO {}", Name(&target.name))?;
                properties(with, f)?;
                write!(f, " {query}")
            }
            Statement::InsertValues { target, columns, values } => {
                write!(f, "INSERT INTO {}", Name(&target.name))?;
                if let Some(columns) = columns {
                    write!(f, " ({})", List(columns.iter().map(|column| Name(&column.name))))?;
                }
                write!(f, " VALUES ({})", List(values.iter()))
            }
            Statement::Select(query) => query.fmt(f),
            Statement::Set { property, value } => write!(f, "SET {} = {}", Text(property), Text(value)),
            Statement::Unset { property } => write!(f, "UNSET {}", Text(property)),
            Statement::CreateType { if_not_exists, name, ty } => {
                let if_not_exists = given(*if_not_exists, "IF NOT EXISTS ");
                write!(f, "CREATE TYPE {if_not_exists}{} AS {}", Name(&name.name), Type(ty))
            }
            Statement::DropType { if_exists, name } => {
                write!(f, "DROP TYPE {}{}", given(*if_exists, "IF EXISTS "), Name(&name.name))
            }
            Statement::Define { name, value } => write!(f, "DEFINE {} = {}", Name(&name.name), Text(value)),
            Statement::Undefine { name } => write!(f, "UNDEFINE {}", Name(&name.name)),
            Statement::Alter { kind, name, columns } => {
                write!(f, "ALTER {} {} ", word(*kind), Name(&name.name))?;
                List(columns.iter().map(Added)).fmt(f)
            }
            Statement::Assert { exists, what, timeout_ms } => assert(*exists, what, *timeout_ms, f),
            Statement::RunScript { file } => write!(f, "RUN SCRIPT {}", Text(&file.name)),
            Statement::Show(show) => write!(f, "SHOW {show}"),
            Statement::DescribeAll { kind, extended } => {
                write!(f, "DESCRIBE {}S{}", word(*kind), given(*extended, " EXTENDED"))
            }
            Statement::Describe { name, extended } => {
                write!(f, "DESCRIBE {}{}", Name(&name.name), given(*extended, " EXTENDED"))
            }
            Statement::DescribeFunction { name } => write!(f, "DESCRIBE FUNCTION {}", Name(&name.name)),
            Statement::ExplainStatement(inner) => write!(f, "EXPLAIN {}", inner.statement),
            Statement::ExplainQuery { id, picture } => {
                write!(f, "EXPLAIN {}{}", Name(&id.name), given(*picture, " FORMAT SVG"))
            }
            Statement::CreateConnector { if_not_exists, name, with } => {
                let if_not_exists = given(*if_not_exists, "IF NOT EXISTS ");
                write!(f, "CREATE SINK CONNECTOR {if_not_exists}{}", Name(&name.name))?;
                write!(f, " WITH ({})", List(with.iter().map(Setting)))
            }
            Statement::DropConnector { if_exists, name } => {
                write!(f, "DROP CONNECTOR {}{}", given(*if_exists, "IF EXISTS "), Name(&name.name))
            }
            Statement::DescribeConnector { name } => write!(f, "DESCRIBE CONNECTOR {}", Name(&name.name)),
            Statement::Print { topic, from_beginning, interval, limit } => {
                write!(f, "PRINT {}{}", Text(&topic.name), given(*from_beginning, " FROM BEGINNING"))?;
                interval.iter().try_for_each(|n| write!(f, " INTERVAL {n}"))?;
                limit.iter().try_for_each(|n| write!(f, " LIMIT {n}"))
            }
            Statement::Terminate { id } => on_queries(f, "TERMINATE", id.as_ref()),
            Statement::Pause { id } => on_queries(f, "PAUSE", id.as_ref()),
            Statement::Resume { id } => on_queries(f, "RESUME", id.as_ref()),
            Statement::Drop { kind, if_exists, name, delete_topic } => {
                write!(f, "DROP {} {}", word(*kind), given(*if_exists, "IF EXISTS "))?;
                write!(f, "{}{}", Name(&name.name), given(*delete_topic, " DELETE TOPIC"))
            }
        }
    }
}

fn create_source(statement: &Statement, f: &mut Formatter<'_>) -> fmt::Result {
    let Statement::CreateSource { kind, read_only, or_replace, if_not_exists, name, columns, with } =
        statement
    else {
        unreachable!("the caller matched it")
    };
    let (or_replace, source) = (given(*or_replace, "OR REPLACE "), given(*read_only, "SOURCE "));
    write!(f, "CREATE {or_replace}{source}{} ", word(*kind))?;
    write!(f, "{}{}", given(*if_not_exists, "IF NOT EXISTS "), Name(&name.name))?;
    if !columns.is_empty() {
        write!(f, " ({})", List(columns.iter().map(|column| Declared { column, kind: *kind })))?;
    }
    properties(with, f)
}

fn assert(exists: bool, what: &Assertion, timeout_ms: Option<i64>, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, "ASSERT {}", given(!exists, "NOT EXISTS "))?;
    match what {
        Assertion::Topic { name, with } => {
            write!(f, "TOPIC {}", Text(&name.name))?;
            properties(with, f)?;
        }
        Assertion::Schema { subject, id } => {
            f.write_str("SCHEMA")?;
            subject.iter().try_for_each(|subject| write!(f, " SUBJECT {}", Text(&subject.name)))?;
            id.iter().try_for_each(|id| write!(f, " ID {id}"))?;
        }
    }
    timeout_ms.iter().try_for_each(|ms| write!(f, " TIMEOUT {}", Milliseconds(*ms)))
}

/// A connector's setting: its name is a string, since it has dots in it.
struct Setting<'a>(&'a super::ast::Property);

impl Display for Setting<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", Text(&self.0.name.name), self.0.value)
    }
}

impl Display for Show {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (what, extended) = match self {
            Show::Streams { all: true, extended } => ("ALL STREAMS", *extended),
            Show::Streams { all: false, extended } => ("STREAMS", *extended),
            Show::Tables { all: true, extended } => ("ALL TABLES", *extended),
            Show::Tables { all: false, extended } => ("TABLES", *extended),
            Show::Topics { all: true, extended } => ("ALL TOPICS", *extended),
            Show::Topics { all: false, extended } => ("TOPICS", *extended),
            Show::Queries { extended } => ("QUERIES", *extended),
            Show::Functions => ("FUNCTIONS", false),
            Show::Properties => ("PROPERTIES", false),
            Show::Connectors => ("CONNECTORS", false),
            Show::Types => ("TYPES", false),
            Show::Variables => ("VARIABLES", false),
        };
        write!(f, "{what}{}", given(extended, " EXTENDED"))
    }
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if !self.with.is_empty() {
            write!(f, "WITH {} ", List(self.with.iter()))?;
        }
        write!(f, "SELECT {}{}", given(self.distinct, "DISTINCT "), List(self.select.iter()))?;
        write!(f, " FROM {}", self.from)?;
        self.joins.iter().try_for_each(|join| write!(f, " {join}"))?;
        self.window.iter().try_for_each(|window| write!(f, " {window}"))?;
        self.filter.iter().try_for_each(|filter| write!(f, " WHERE {filter}"))?;
        for (clause, exprs) in [("GROUP", &self.group_by), ("PARTITION", &self.partition_by)] {
            if !exprs.is_empty() {
                write!(f, " {clause} BY {}", List(exprs.iter()))?;
            }
        }
        self.having.iter().try_for_each(|having| write!(f, " HAVING {having}"))?;
        if !self.order_by.is_empty() {
            write!(f, " ORDER BY {}", List(self.order_by.iter()))?;
        }
        match self.emit {
            None => {}
            Some(Emit::Changes) => f.write_str(" EMIT CHANGES")?,
            Some(Emit::Final) => f.write_str(" EMIT FINAL")?,
        }
        self.limit.iter().try_for_each(|limit| write!(f, " LIMIT {limit}"))?;
        self.offset.iter().try_for_each(|offset| write!(f, " OFFSET {offset}"))
    }
}

impl Display for CommonTable {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} AS ({})", Name(&self.name.name), self.query)
    }
}

impl Display for Read {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Named(name) => Name(&name.name).fmt(f)?,
            What::Queries(queries) => {
                for (i, query) in queries.iter().enumerate() {
                    write!(f, "{}{query}", if i == 0 { "(" } else { " UNION ALL " })?;
                }
                f.write_str(")")?;
            }
        }
        self.alias.iter().try_for_each(|alias| write!(f, " AS {}", Name(&alias.name)))
    }
}

impl Display for Join {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            JoinKind::Inner => "",
            JoinKind::Left => "LEFT ",
            JoinKind::Right => "RIGHT ",
            JoinKind::Full => "FULL ",
        };
        write!(f, "{kind}JOIN {}", self.read)?;
        if let Some(Within { before_ms, after_ms, grace_ms, .. }) = self.within {
            write!(f, " WITHIN ({}, {})", Milliseconds(before_ms), Milliseconds(after_ms))?;
            grace_ms.iter().try_for_each(|ms| write!(f, " GRACE PERIOD {}", Milliseconds(*ms)))?;
        }
        write!(f, " ON {}", self.on)
    }
}

impl Display for Window {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("WINDOW ")?;
        match self.kind {
            WindowKind::Tumbling { size_ms } => write!(f, "TUMBLING (SIZE {}", Milliseconds(size_ms))?,
            WindowKind::Hopping { size_ms, advance_ms } => {
                let (size, advance) = (Milliseconds(size_ms), Milliseconds(advance_ms));
                write!(f, "HOPPING (SIZE {size}, ADVANCE BY {advance}")?;
            }
            WindowKind::Session { gap_ms } => write!(f, "SESSION ({}", Milliseconds(gap_ms))?,
        }
        self.retention_ms.iter().try_for_each(|ms| write!(f, ", RETENTION {}", Milliseconds(*ms)))?;
        self.grace_ms.iter().try_for_each(|ms| write!(f, ", GRACE PERIOD {}", Milliseconds(*ms)))?;
        f.write_str(")")
    }
}

struct Milliseconds(i64);

impl Display for Milliseconds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} MILLISECONDS", self.0)
    }
}

impl Display for SelectItem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            SelectItem::Star { qualifier: None, .. } => f.write_str("*"),
            SelectItem::Star { qualifier: Some(source), .. } => write!(f, "{}.*", Name(&source.name)),
            SelectItem::StructStar { base, .. } => write!(f, "{}->*", Based(base)),
            SelectItem::Expr { expr, alias } => {
                expr.fmt(f)?;
                alias.iter().try_for_each(|alias| write!(f, " AS {}", Name(&alias.name)))
            }
        }
    }
}

impl Display for OrderBy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.expr, given(self.descending, " DESC"))?;
        match self.nulls_first {
            None => Ok(()),
            Some(true) => f.write_str(" NULLS FIRST"),
            Some(false) => f.write_str(" NULLS LAST"),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let not = |negated: bool| given(negated, "NOT ");
        match &self.kind {
            ExprKind::Literal(literal) => literal.fmt(f),
            ExprKind::Column { qualifier, name } => {
                qualifier.iter().try_for_each(|source| write!(f, "{}.", Name(source)))?;
                Name(name).fmt(f)
            }
            ExprKind::Field { base, field } => write!(f, "{}->{}", Based(base), Name(&field.name)),
            ExprKind::Subscript { base, index } => write!(f, "{}[{index}]", Based(base)),
            ExprKind::Unary { op, operand } => {
                let op = match op {
                    UnaryOp::Plus => "+",
                    UnaryOp::Minus => "-",
                    UnaryOp::Not => "NOT ",
                };
                write!(f, "{op}({operand})")
            }
            ExprKind::Binary { op, left, right } => {
                write!(f, "{} {} {}", Operand(left), op.symbol(), Operand(right))
            }
            ExprKind::Between { operand, low, high, negated } => {
                write!(f, "{} {}BETWEEN ", Operand(operand), not(*negated))?;
                write!(f, "{} AND {}", Operand(low), Operand(high))
            }
            ExprKind::In { operand, list, negated } => {
                write!(f, "{} {}IN ({})", Operand(operand), not(*negated), List(list.iter()))
            }
            ExprKind::Like { operand, pattern, escape, negated } => {
                write!(f, "{} {}LIKE {}", Operand(operand), not(*negated), Operand(pattern))?;
                escape.iter().try_for_each(|escape| write!(f, " ESCAPE {}", Text(&escape.to_string())))
            }
            ExprKind::IsNull { operand, negated } => {
                write!(f, "{} IS {}NULL", Operand(operand), not(*negated))
            }
            ExprKind::Case { operand, branches, otherwise } => {
                f.write_str("CASE")?;
                operand.iter().try_for_each(|operand| write!(f, " {}", Operand(operand)))?;
                branches.iter().try_for_each(|(when, then)| write!(f, " WHEN {when} THEN {then}"))?;
                otherwise.iter().try_for_each(|otherwise| write!(f, " ELSE {otherwise}"))?;
                f.write_str(" END")
            }
            ExprKind::Cast { operand, ty } => write!(f, "CAST({operand} AS {})", Type(ty)),
            ExprKind::Call { name, args } => write!(f, "{}({})", Function(&name.name), List(args.iter())),
            ExprKind::CountStar => f.write_str("COUNT(*)"),
            ExprKind::Array(items) => write!(f, "ARRAY[{}]", List(items.iter())),
            ExprKind::Map(entries) => {
                write!(f, "MAP({})", List(entries.iter().map(|(key, value)| Assigned(key, value))))
            }
            ExprKind::Struct(fields) => {
                let fields = fields.iter().map(|(name, value)| Assigned(Name(&name.name), value));
                write!(f, "STRUCT({})", List(fields))
            }
            ExprKind::Lambda { params, body } => {
                write!(f, "({}) => {body}", List(params.iter().map(|param| Name(&param.name))))
            }
        }
    }
}

impl Display for Literal {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Null => f.write_str("NULL"),
            Literal::Boolean(true) => f.write_str("TRUE"),
            Literal::Boolean(false) => f.write_str("FALSE"),
            Literal::Integer(value) => value.fmt(f),
            // Without a point it would be an integer.
            Literal::Decimal(digits) => write!(f, "{digits}{}", given(!digits.contains('.'), ".")),
            Literal::Double(value) => write!(f, "{value:e}"),
            Literal::String(text) => Text(text).fmt(f),
        }
    }
}

fn properties(with: &Properties, f: &mut Formatter<'_>) -> fmt::Result {
    if with.is_empty() {
        return Ok(());
    }
    let written = with.iter().map(|property| Property(&property.name.name, &property.value));
    write!(f, " WITH ({})", List(written))
}

/// TERMINATE, PAUSE or RESUME of a query, or of all.
fn on_queries(f: &mut Formatter<'_>, verb: &str, id: Option<&Ident>) -> fmt::Result {
    match id {
        None => write!(f, "{verb} ALL"),
        Some(id) => write!(f, "{verb} {}", Name(&id.name)),
    }
}

fn given(condition: bool, text: &str) -> &str {
    if condition { text } else { "" }
}

fn word(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Stream => "STREAM",
        SourceKind::Table => "TABLE",
    }
}

/// A name; in quotes where a bare one is another, or may be a keyword.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_word = [KEYWORDS, RESERVED, STARTERS, CLAUSES].iter().any(|words| words.contains(&self.0));
        match is_word {
            true => write!(f, "`{}`", self.0),
            false => f.write_str(&crate::types::quote(self.0)),
        }
    }
}

/// The name of a function; some are keywords and need no quotes.
struct Function<'a>(&'a str);

impl Display for Function<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        const CONSTRUCTORS: &[&str] = &["CAST", "MAP", "STRUCT"];
        let is_bare = matches!(self.0, "LEFT" | "RIGHT")
            || !(RESERVED.contains(&self.0) || CONSTRUCTORS.contains(&self.0));
        match is_bare {
            true => f.write_str(&crate::types::quote(self.0)),
            false => write!(f, "`{}`", self.0),
        }
    }
}

/// In single quotes.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0.replace('\'', "''"))
    }
}

/// Items with commas between them.
struct List<I>(I);

impl<T: Display, I: Iterator<Item = T> + Clone> Display for List<I> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.clone().enumerate() {
            write!(f, "{}{item}", given(i > 0, ", "))?;
        }
        Ok(())
    }
}

struct Property<'a>(&'a str, &'a Literal);

impl Display for Property<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", Name(self.0), self.1)
    }
}

/// `a := b`
struct Assigned<A, B>(A, B);

impl<A: Display, B: Display> Display for Assigned<A, B> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} := {}", self.0, self.1)
    }
}

/// What stands beside an operator.
struct Operand<'a>(&'a Expr);

impl Display for Operand<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        use ExprKind::*;
        match &self.0.kind {
            Unary { .. } | Binary { .. } | Between { .. } | In { .. } | Like { .. } | IsNull { .. } => {
                write!(f, "({})", self.0)
            }
            _ => self.0.fmt(f),
        }
    }
}

/// What stands before `->` or `[`.
struct Based<'a>(&'a Expr);

impl Display for Based<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.kind {
            // The sign of a number binds looser.
            ExprKind::Literal(_) => write!(f, "({})", self.0),
            _ => Operand(self.0).fmt(f),
        }
    }
}

/// A column of a CREATE.
struct Declared<'a> {
    column: &'a ColumnSpec,
    kind: SourceKind,
}

impl Display for Declared<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Name(&self.column.name.name), Type(&self.column.ty))?;
        match (&self.column.part, self.kind) {
            (Part::Value, _) => Ok(()),
            (Part::Key, SourceKind::Stream) => f.write_str(" KEY"),
            (Part::Key, SourceKind::Table) => f.write_str(" PRIMARY KEY"),
            (Part::Headers, _) => f.write_str(" HEADERS"),
            (Part::EventType(_), _) => Ok(()),
            (Part::Header(name), _) => write!(f, " HEADER({})", Text(name)),
            (Part::Window(_), _) => unreachable!("no statement declares the bounds of windows"),
        }
    }
}

/// A column of an ALTER.
struct Added<'a>(&'a ColumnSpec);

impl Display for Added<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "ADD COLUMN {} {}", Name(&self.0.name.name), Type(&self.0.ty))
    }
}

/// A type, as statements write it.
struct Type<'a>(&'a SqlType);

impl Display for Type<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            SqlType::Array(item) => write!(f, "ARRAY<{}>", Type(item)),
            SqlType::Map(key, value) => write!(f, "MAP<{}, {}>", Type(key), Type(value)),
            SqlType::Struct(fields) => {
                f.write_str("STRUCT<")?;
                for (i, field) in fields.iter().enumerate() {
                    write!(f, "{}{} {}", given(i > 0, ", "), Name(&field.name), Type(&field.ty))?;
                }
                f.write_char('>')
            }
            plain => plain.fmt(f),
        }
    }
}
