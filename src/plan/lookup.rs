//! Which rows of a table an answer need look at: read off its WHERE.

use crate::aggregate::Key;
use crate::expr::{Expr, ExprKind, coerce};
use crate::sql::ast::BinaryOp;
use crate::types::{Part, Schema};
use crate::value::{Value, encode_row};
use serde::{Deserialize, Serialize};

/// More than so many keys are not looked up one by one.
const KEYS_MAX: usize = 1_000;

/// Which rows of a table are looked at. It leaves out only such as the filter would refuse.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Lookup {
    All,
    /// With the values of all columns that tell rows apart; ascending.
    Keys(Vec<Key>),
    /// Of a table with windows.
    Windows(Windows),
}

/// Windows that start in a range of times, milliseconds, both ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Windows {
    pub from: i64,
    pub to: i64,
    /// Without the windows' bounds, ascending; `None`: all keys.
    pub keys: Option<Vec<Key>>,
}

impl Lookup {
    /// What a filter over a table's rows leaves to be looked at.
    pub fn of(filter: Option<&Expr>, schema: &Schema) -> Lookup {
        let columns = schema.identity_len();
        let mut narrowed = Narrowed::new(columns);
        let mut pending: Vec<&Expr> = filter.into_iter().collect();
        while let Some(expr) = pending.pop() {
            match &expr.kind {
                ExprKind::Binary { op: BinaryOp::And, left, right } => {
                    pending.extend([left.as_ref(), right.as_ref()])
                }
                kind => narrowed.by(kind),
            }
        }
        if let Some(keys) = narrowed.keys(0..columns).filter(|_| columns > 0) {
            return Lookup::Keys(keys);
        }
        let is_bound = |column: usize| matches!(schema.columns[column].part, Part::Window(_));
        let Some(start) = (0..columns).find(|column| is_bound(*column)) else { return Lookup::All };
        match (narrowed.ranges[start], narrowed.keys(0..start)) {
            (EVERYTHING, None) => Lookup::All,
            ([from, to], keys) => Lookup::Windows(Windows { from, to, keys }),
        }
    }
}

const EVERYTHING: [i64; 2] = [i64::MIN, i64::MAX];

/// What is known of the columns that tell rows apart.
struct Narrowed {
    values: Vec<Option<Vec<Value>>>,
    ranges: Vec<[i64; 2]>,
}

impl Narrowed {
    fn new(columns: usize) -> Narrowed {
        Narrowed { values: vec![None; columns], ranges: vec![EVERYTHING; columns] }
    }

    fn by(&mut self, condition: &ExprKind) {
        match condition {
            ExprKind::Binary { op, left, right } => match (&left.kind, &right.kind) {
                (ExprKind::Column(_), _) => self.compared(*op, left, right),
                (_, ExprKind::Column(_)) => {
                    op.mirrored().into_iter().for_each(|op| self.compared(op, right, left))
                }
                _ => {}
            },
            ExprKind::In { operand, list, negated: false } => self.is_one_of(operand, list),
            _ => {}
        }
    }

    fn compared(&mut self, op: BinaryOp, column: &Expr, with: &Expr) {
        if op == BinaryOp::Eq {
            self.is_one_of(column, std::slice::from_ref(with));
        }
        let (ExprKind::Column(column), ExprKind::Literal(Value::Bigint(time))) = (&column.kind, &with.kind)
        else {
            return;
        };
        let Some([from, to]) = self.ranges.get_mut(*column) else { return };
        match op {
            BinaryOp::Eq => (*from, *to) = ((*from).max(*time), (*to).min(*time)),
            BinaryOp::GreaterEq => *from = (*from).max(*time),
            BinaryOp::Greater => *from = (*from).max(time.saturating_add(1)),
            BinaryOp::LessEq => *to = (*to).min(*time),
            BinaryOp::Less => *to = (*to).min(time.saturating_sub(1)),
            _ => {}
        }
    }

    fn is_one_of(&mut self, operand: &Expr, list: &[Expr]) {
        let ExprKind::Column(column) = operand.kind else { return };
        // Keys are equal by value, and found by the bytes that their own type has: 1.5 is 1.50.
        let value = |item: &Expr| {
            let literal = Some(item).filter(|item| matches!(item.kind, ExprKind::Literal(_)))?;
            match coerce(literal.clone(), &operand.ty)?.kind {
                ExprKind::Literal(value) if !value.is_null() => Some(value),
                _ => None,
            }
        };
        let values: Option<Vec<Value>> = list.iter().map(value).collect();
        if let (Some(slot), Some(values)) = (self.values.get_mut(column), values) {
            // Of two such conditions the one with fewer values is as good: the filter knows both.
            if slot.as_ref().is_none_or(|known| values.len() < known.len()) {
                *slot = Some(values);
            }
        }
    }

    /// The keys of those columns, ascending, if all of them are known and they are not too many.
    fn keys(&self, columns: std::ops::Range<usize>) -> Option<Vec<Key>> {
        let mut rows: Vec<Vec<Value>> = vec![Vec::new()];
        for values in &self.values[columns] {
            let values = values.as_ref()?;
            if rows.len() * values.len() > KEYS_MAX {
                return None;
            }
            let with = |row: &Vec<Value>, value: &Value| row.iter().chain([value]).cloned().collect();
            rows = rows.iter().flat_map(|row| values.iter().map(move |value| with(row, value))).collect();
        }
        let mut keys: Vec<Key> = rows.iter().map(encode_row).collect();
        keys.sort();
        keys.dedup();
        Some(keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{RowOf, Scope, bind};
    use crate::sql::parser::parse_expression;
    use crate::types::{BOUNDS, Bounds, ColumnDef, SqlType};

    const HOUR: i64 = 3_600_000;

    fn lookup(condition: &str) -> Lookup {
        let column = |name: &str, ty, part| ColumnDef { name: name.into(), ty, part };
        let bounds = Part::Window(Bounds::Start { size_ms: HOUR });
        let schema = Schema::new([
            column("K", SqlType::Varchar, Part::Key),
            column("L", SqlType::Int, Part::Key),
            column(BOUNDS[0], SqlType::Bigint, bounds.clone()),
            column(BOUNDS[1], SqlType::Bigint, bounds),
            column("N", SqlType::Bigint, Part::Value),
        ]);
        let parsed = parse_expression(condition).unwrap();
        let bound = bind(&parsed, &Scope::of(&schema, vec![], RowOf::Record)).unwrap();
        Lookup::of(Some(&bound), &schema)
    }

    fn keys(rows: &[&[Value]]) -> Vec<Key> {
        rows.iter().map(|row| encode_row(*row)).collect()
    }

    #[test]
    fn a_condition_says_what_is_looked_at() {
        let (a, b) = (Value::Varchar("a".into()), Value::Varchar("b".into()));
        let [one, two, start, end] = [Value::Int(1), Value::Int(2), Value::Bigint(0), Value::Bigint(HOUR)];
        let both = Some(keys(&[&[a.clone(), one.clone()], &[a.clone(), two]]));
        let windows =
            |from, to, keys: &Option<Vec<Key>>| Lookup::Windows(Windows { from, to, keys: keys.clone() });
        assert_eq!(
            lookup("WINDOWSTART = 0 AND K = 'b' AND 1 = L AND WINDOWEND = 3600000 AND N > 5"),
            Lookup::Keys(keys(&[&[b, one, start, end]]))
        );
        assert_eq!(lookup("K = 'a' AND L IN (2, 1, 2)"), windows(i64::MIN, i64::MAX, &both));
        assert_eq!(lookup("K = 'a' AND L IN (2, 1) AND WINDOWSTART > 7"), windows(8, i64::MAX, &both));
        assert_eq!(lookup("K = 'a' AND WINDOWSTART < 7 AND 3 <= WINDOWSTART"), windows(3, 6, &None));
        assert_eq!(lookup("WINDOWSTART BETWEEN 3 AND 9"), windows(3, 9, &None));
        for all in
            ["K = 'a'", "K = 'a' AND L <> 1", "K = 'a' AND L = 1 OR N = 3", "NOT (WINDOWSTART > 3)", "N = 3"]
        {
            assert_eq!(lookup(all), Lookup::All, "{all}");
        }
    }

    #[test]
    fn too_many_keys_are_not_looked_up_one_by_one() {
        let list = |n: i32| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
        let condition = |n| format!("K IN ('a', 'b') AND L IN ({})", list(n));
        assert!(
            matches!(lookup(&condition(500)), Lookup::Windows(Windows { keys: Some(keys), .. }) if keys.len() == 1_000)
        );
        assert_eq!(lookup(&condition(501)), Lookup::All);
    }
}
