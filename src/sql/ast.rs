//! The syntax tree. Names are already case-folded as the dialect has it (unquoted → upper case).

mod query;

pub use query::*;

use crate::error::Span;
use crate::types::{Part, SqlType};

/// A name with its place, for error messages.
#[derive(Clone, Debug, PartialEq)]
pub struct Ident {
    pub name: String,
    pub span: Span,
}

/// Properties of a WITH clause, in written order; names upper-cased.
pub type Properties = Vec<Property>;

#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    pub name: Ident,
    pub value: Literal,
    pub value_span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    Stream,
    Table,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// CREATE [OR REPLACE] [SOURCE] STREAM | TABLE [IF NOT EXISTS] name (columns) WITH (…)
    CreateSource {
        kind: SourceKind,
        /// SOURCE: no statement may write to it.
        read_only: bool,
        or_replace: bool,
        if_not_exists: bool,
        name: Ident,
        columns: Vec<ColumnSpec>,
        with: Properties,
    },
    /// CREATE [OR REPLACE] STREAM | TABLE [IF NOT EXISTS] name [WITH (…)] AS SELECT …
    CreateAs {
        kind: SourceKind,
        or_replace: bool,
        if_not_exists: bool,
        name: Ident,
        with: Properties,
        query: Query,
    },
    /// INSERT INTO target [WITH (QUERY_ID = '…')] SELECT …
    InsertSelect {
        target: Ident,
        with: Properties,
        query: Query,
    },
    /// INSERT INTO target [(columns)] VALUES (…)
    InsertValues {
        target: Ident,
        columns: Option<Vec<Ident>>,
        values: Vec<Expr>,
    },
    /// A transient query: a pull query unless `query.emit` is given.
    Select(Query),
    Set {
        property: String,
        value: String,
    },
    Unset {
        property: String,
    },
    /// CREATE TYPE [IF NOT EXISTS] name AS type
    CreateType {
        if_not_exists: bool,
        name: Ident,
        ty: SqlType,
    },
    /// DROP TYPE [IF EXISTS] name
    DropType {
        if_exists: bool,
        name: Ident,
    },
    /// DEFINE name = 'value'; the name in lower case.
    Define {
        name: Ident,
        value: String,
    },
    Undefine {
        name: Ident,
    },
    /// ALTER STREAM | TABLE name ADD [COLUMN] column type, …
    Alter {
        kind: SourceKind,
        name: Ident,
        columns: Vec<ColumnSpec>,
    },
    /// ASSERT [NOT EXISTS] TOPIC | SCHEMA … [TIMEOUT n unit]
    Assert {
        exists: bool,
        what: Assertion,
        timeout_ms: Option<i64>,
    },
    /// RUN SCRIPT 'file'
    RunScript {
        file: Ident,
    },
    /// CREATE SINK CONNECTOR [IF NOT EXISTS] name WITH ('setting' = '…', …); names keep their case
    CreateConnector {
        if_not_exists: bool,
        name: Ident,
        with: Properties,
    },
    /// DROP CONNECTOR [IF EXISTS] name
    DropConnector {
        if_exists: bool,
        name: Ident,
    },
    /// DESCRIBE CONNECTOR name
    DescribeConnector {
        name: Ident,
    },
    Show(Show),
    /// DESCRIBE STREAMS | TABLES [EXTENDED]
    DescribeAll {
        kind: SourceKind,
        extended: bool,
    },
    /// DESCRIBE source [EXTENDED]
    Describe {
        name: Ident,
        extended: bool,
    },
    /// DESCRIBE FUNCTION name
    DescribeFunction {
        name: Ident,
    },
    ExplainStatement(Box<Parsed>),
    /// EXPLAIN id [FORMAT SVG]
    ExplainQuery {
        id: Ident,
        /// FORMAT SVG: what feeds it and what it feeds, as a picture.
        picture: bool,
    },
    Print {
        topic: Ident,
        from_beginning: bool,
        interval: Option<u64>,
        limit: Option<u64>,
    },
    /// `None`: TERMINATE ALL
    Terminate {
        id: Option<Ident>,
    },
    /// `None`: PAUSE ALL
    Pause {
        id: Option<Ident>,
    },
    /// `None`: RESUME ALL
    Resume {
        id: Option<Ident>,
    },
    Drop {
        kind: SourceKind,
        if_exists: bool,
        name: Ident,
        delete_topic: bool,
    },
}

/// What ASSERT asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Assertion {
    /// TOPIC name [WITH (PARTITIONS=…, REPLICAS=…)]
    Topic { name: Ident, with: Properties },
    /// SCHEMA [SUBJECT name] [ID number]: one of the two at least.
    Schema { subject: Option<Ident>, id: Option<u32> },
}

/// A statement with its place in the script.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    pub statement: Statement,
    /// The text without the closing semicolon.
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Show {
    /// ALL: those that the engine has made as well.
    Streams {
        all: bool,
        extended: bool,
    },
    Tables {
        all: bool,
        extended: bool,
    },
    Topics {
        all: bool,
        extended: bool,
    },
    Queries {
        extended: bool,
    },
    Functions,
    Properties,
    Types,
    Variables,
    Connectors,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ColumnSpec {
    pub name: Ident,
    pub ty: SqlType,
    /// `KEY` of a stream or `PRIMARY KEY` of a table, `HEADERS` or `HEADER('name')`; else the value.
    pub part: Part,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    pub kind: ExprKind,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    Literal(Literal),
    /// `name` or `qualifier.name`
    Column {
        qualifier: Option<String>,
        name: String,
    },
    /// `base -> field`
    Field {
        base: Box<Expr>,
        field: Ident,
    },
    /// `base[index]`
    Subscript {
        base: Box<Expr>,
        index: Box<Expr>,
    },
    Unary {
        op: UnaryOp,
        operand: Box<Expr>,
    },
    Binary {
        op: BinaryOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Between {
        operand: Box<Expr>,
        low: Box<Expr>,
        high: Box<Expr>,
        negated: bool,
    },
    In {
        operand: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    Like {
        operand: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<char>,
        negated: bool,
    },
    IsNull {
        operand: Box<Expr>,
        negated: bool,
    },
    /// CASE operand? WHEN … THEN … ELSE … END
    Case {
        operand: Option<Box<Expr>>,
        branches: Vec<(Expr, Expr)>,
        otherwise: Option<Box<Expr>>,
    },
    Cast {
        operand: Box<Expr>,
        ty: SqlType,
    },
    /// A function or aggregate; the name is upper-cased.
    Call {
        name: Ident,
        args: Vec<Expr>,
    },
    /// COUNT(*)
    CountStar,
    /// ARRAY[a, b]
    Array(Vec<Expr>),
    /// MAP(k := v, …)
    Map(Vec<(Expr, Expr)>),
    /// STRUCT(name := value, …)
    Struct(Vec<(Ident, Expr)>),
    /// `x => body`, `(x, y) => body`: only among the arguments of a call. In the body a parameter is a
    /// column without a qualifier.
    Lambda {
        params: Vec<Ident>,
        body: Box<Expr>,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    Null,
    Boolean(bool),
    /// Fits INT when it can, else BIGINT.
    Integer(i64),
    /// `1.5`: a DECIMAL in the dialect; text kept, so that no digit is lost.
    Decimal(String),
    /// `1.5e3`
    Double(f64),
    String(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    Plus,
    Minus,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum BinaryOp {
    Or,
    And,
    Eq,
    NotEq,
    Less,
    LessEq,
    Greater,
    GreaterEq,
    IsDistinctFrom,
    IsNotDistinctFrom,
    Plus,
    Minus,
    Multiply,
    Divide,
    Modulo,
    /// `||`
    Concat,
}

impl BinaryOp {
    /// The comparison that says the same of its operands in the other order.
    pub fn mirrored(self) -> Option<BinaryOp> {
        match self {
            BinaryOp::Eq | BinaryOp::NotEq => Some(self),
            BinaryOp::Less => Some(BinaryOp::Greater),
            BinaryOp::LessEq => Some(BinaryOp::GreaterEq),
            BinaryOp::Greater => Some(BinaryOp::Less),
            BinaryOp::GreaterEq => Some(BinaryOp::LessEq),
            _ => None,
        }
    }

    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "OR",
            BinaryOp::And => "AND",
            BinaryOp::Eq => "=",
            BinaryOp::NotEq => "<>",
            BinaryOp::Less => "<",
            BinaryOp::LessEq => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterEq => ">=",
            BinaryOp::IsDistinctFrom => "IS DISTINCT FROM",
            BinaryOp::IsNotDistinctFrom => "IS NOT DISTINCT FROM",
            BinaryOp::Plus => "+",
            BinaryOp::Minus => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Concat => "||",
        }
    }
}

/// Every expression below and including `expr`, outermost first.
pub fn walk<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Expr)) {
    visit(expr);
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Column { .. } | ExprKind::CountStar => {}
        ExprKind::Field { base, .. } | ExprKind::Lambda { body: base, .. } => walk(base, visit),
        ExprKind::Subscript { base, index } => {
            walk(base, visit);
            walk(index, visit);
        }
        ExprKind::Unary { operand, .. }
        | ExprKind::IsNull { operand, .. }
        | ExprKind::Cast { operand, .. } => walk(operand, visit),
        ExprKind::Binary { left, right, .. } => {
            walk(left, visit);
            walk(right, visit);
        }
        ExprKind::Between { operand, low, high, .. } => {
            walk(operand, visit);
            walk(low, visit);
            walk(high, visit);
        }
        ExprKind::In { operand, list, .. } => {
            walk(operand, visit);
            list.iter().for_each(|e| walk(e, visit));
        }
        ExprKind::Like { operand, pattern, .. } => {
            walk(operand, visit);
            walk(pattern, visit);
        }
        ExprKind::Case { operand, branches, otherwise } => {
            operand.iter().for_each(|e| walk(e, visit));
            for (when, then) in branches {
                walk(when, visit);
                walk(then, visit);
            }
            otherwise.iter().for_each(|e| walk(e, visit));
        }
        ExprKind::Call { args, .. } | ExprKind::Array(args) => args.iter().for_each(|e| walk(e, visit)),
        ExprKind::Map(entries) => {
            for (key, value) in entries {
                walk(key, visit);
                walk(value, visit);
            }
        }
        ExprKind::Struct(fields) => fields.iter().for_each(|(_, e)| walk(e, visit)),
    }
}
