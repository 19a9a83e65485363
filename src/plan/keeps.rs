//! What a query keeps of its rows, by what that expires, and what grows without bound, in words.

use super::{Aggregation, Join, Method, SelectPlan, Shape, Window};
use crate::aggregate::{Spec, keeps_elements};

/// A line for each thing. `of_table`: what it reads are rows of a table; `is_sent`: what it makes goes to a client.
pub fn keeps(select: &SelectPlan, of_table: bool, is_sent: bool) -> Vec<String> {
    let mut all = Vec::new();
    select.from.each_join(&mut |join| all.extend(of_join(join)));
    let is_joined_by_keys = !select.from.is_scan() && of_table && all.is_empty();
    match &select.shape {
        Shape::Aggregate(aggregation) => all.push(of_groups(aggregation, of_table)),
        Shape::Project(_) if of_table && !is_joined_by_keys && !is_sent => {
            all.push("each of its rows, which goes with those that it is made of".into());
        }
        Shape::Project(_) => {}
    }
    if all.is_empty() {
        all.push("nothing".into());
    }
    all
}

fn of_join(join: &Join) -> Option<String> {
    let (left, right) = (&join.left.name, &join.right.name);
    match join.method {
        Method::Within(within) => {
            let [of_left, of_right] =
                [within.after_ms, within.before_ms].map(|ms| ms.saturating_add(within.grace()));
            Some(format!(
                "each row of {left} until the join's time is {of_left} ms further, of {right} {of_right} ms: \
                 until no row can find it that is not late"
            ))
        }
        Method::Lookup => Some(format!("the present row of each key of {right}: as many as it has")),
        Method::Keys => None,
        Method::ForeignKey => {
            Some(format!("the rows of {left} by the keys that they name: as many as it has"))
        }
    }
}

fn of_groups(aggregation: &Aggregation, of_table: bool) -> String {
    let groups = match (&aggregation.window, of_table) {
        (Some(window), _) => {
            let since = if window.size_ms().is_some() { "start" } else { "end" };
            let Window { retention_ms, .. } = window;
            format!("each window of each key until the stream's time is {retention_ms} ms behind its {since}")
        }
        (None, true) => {
            "a group for each key with what its rows have, which goes with the last of them".into()
        }
        (None, false) if aggregation.calls.iter().any(|call| matches!(call.spec, Spec::LatestRow { .. })) => {
            "the latest row of each key, until a message without a value takes it away: grows with the keys"
                .into()
        }
        (None, false) if aggregation.keeps_nulls => {
            "each combination of values, for ever: grows without bound where they do".into()
        }
        (None, false) if aggregation.keys.is_empty() => "one group".into(),
        (None, false) => "a group for each key, for ever: grows without bound where the keys do".into(),
    };
    let grows = |spec: &Spec| !of_table && keeps_elements(std::slice::from_ref(spec));
    let calls = aggregation.calls.iter().filter(|call| grows(&call.spec));
    let names: Vec<&str> = calls.map(|call| call.text.as_str()).collect();
    match names.is_empty() {
        true => groups,
        false => format!("{groups}; {} grow with the rows of a group", names.join(" and ")),
    }
}
