//! Sums that have left the range of their type: a SUM of INT wraps then, and one of DECIMAL is NULL.
//!
//! Who maintains a table looks into a group only when it may have come so far: no group's sum is greater than what
//! all additions together have added.

use super::State;
use super::spec::Spec;
use super::state::{Entry, Reader};
use crate::types::SqlType;

/// How much all groups together have added to each sum that can leave its range.
pub struct Bounds {
    /// Of each call its type, the least magnitude that is out of its range, and what was added.
    calls: Vec<Option<(SqlType, u128, u128)>>,
}

impl Bounds {
    /// `None` where no sum of these calls can leave its range, or none of which it would be seen: sums of BIGINT
    /// wrap as they are added.
    pub fn of<'s>(specs: impl IntoIterator<Item = &'s Spec>) -> Option<Bounds> {
        let call = |spec: &Spec| match spec {
            Spec::Sum(ty) => least_outside(ty).map(|least| (ty.clone(), least, 0)),
            _ => None,
        };
        let calls: Vec<_> = specs.into_iter().map(call).collect();
        calls.iter().any(Option::is_some).then_some(Bounds { calls })
    }

    /// What was added to some group.
    pub fn add(&mut self, addition: &State) {
        let sums = sums(addition, self.calls.len());
        for (call, sum) in self.calls.iter_mut().zip(sums) {
            if let (Some((.., added)), Some(sum)) = (call, sum) {
                *added = added.saturating_add(sum.map_or(u128::MAX, i128::unsigned_abs));
            }
        }
    }

    /// Whether some group may be outside by now.
    pub fn are_passed(&self) -> bool {
        self.calls.iter().flatten().any(|(_, least, added)| added >= least)
    }

    /// What is outside in a group, in words.
    pub fn outside(&self, state: &State) -> Option<String> {
        let sums = sums(state, self.calls.len());
        self.calls.iter().zip(sums).find_map(|(call, sum)| {
            let (ty, least, _) = call.as_ref()?;
            let sum = sum?;
            if sum.is_some_and(|sum| sum.unsigned_abs() < *least || is_least(ty, sum)) {
                return None;
            }
            let becomes = if *ty == SqlType::Int { "wraps" } else { "is NULL" };
            Some(format!("SUM is out of the range of {ty}, and {becomes}"))
        })
    }
}

fn least_outside(ty: &SqlType) -> Option<u128> {
    match ty {
        SqlType::Int => Some(1 << 31),
        SqlType::Decimal { precision, .. } => 10u128.checked_pow(u32::from(*precision)),
        _ => None,
    }
}

/// INT's least value has no positive counterpart.
fn is_least(ty: &SqlType, sum: i128) -> bool {
    *ty == SqlType::Int && sum == i128::from(i32::MIN)
}

/// The sum of each call, where it is one; `Some(None)` where 128 bits do not hold it.
fn sums(state: &State, calls: usize) -> Vec<Option<Option<i128>>> {
    let (mut reader, mut bytes) = (Reader::default(), &*state.0);
    let begun = reader.begin(&mut bytes);
    let mut next = || match begun.and_then(|_| reader.next(&mut bytes)) {
        Some(Entry::SumWrapping(sum)) => Some(Some(sum.into())),
        Some(Entry::SumWide(sum)) => Some(sum.to_i128()),
        _ => None,
    };
    (0..calls).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::state::Writer;
    use crate::aggregate::wide::Wide;

    fn state(int: i64, decimal: i128) -> State {
        let mut writer = Writer::default();
        writer.begin(1, 0);
        writer.count(1);
        writer.sum_wrapping(int);
        let mut sum = Wide::default();
        sum.add(decimal);
        writer.sum_wide(sum);
        State(writer.out.into())
    }

    #[test]
    fn what_cannot_have_left_its_range_is_not_looked_into() {
        let decimal = SqlType::Decimal { precision: 4, scale: 2 };
        let specs = [Spec::Count, Spec::Sum(SqlType::Int), Spec::Sum(decimal)];
        let mut bounds = Bounds::of(&specs).unwrap();
        bounds.add(&state(i64::from(i32::MAX), 9_999));
        assert!(!bounds.are_passed());
        bounds.add(&state(-1, 0));
        assert!(bounds.are_passed());
        for (int, decimal, outside) in [
            (i64::from(i32::MAX), 9_999, None),
            (i64::from(i32::MIN), -9_999, None),
            (i64::from(i32::MAX) + 1, 0, Some("SUM is out of the range of INTEGER, and wraps")),
            (i64::from(i32::MIN) - 1, 0, Some("SUM is out of the range of INTEGER, and wraps")),
            (0, 10_000, Some("SUM is out of the range of DECIMAL(4, 2), and is NULL")),
            (0, i128::MAX, Some("SUM is out of the range of DECIMAL(4, 2), and is NULL")),
        ] {
            assert_eq!(bounds.outside(&state(int, decimal)).as_deref(), outside, "{int}, {decimal}");
        }
        assert!(Bounds::of(&[Spec::Count, Spec::Sum(SqlType::Bigint)]).is_none());
    }
}
