//! Whether a value is the expected one, by the rules of ksqlDB's own runner: an object has as many fields as
//! expected, each of its name or of that name in upper case, where what is missing counts as NULL; numbers of floating point may differ by a
//! millionth; what is expected as a number may be written as a text.

use super::json::Json;

/// How far apart doubles may be.
const TOLERANCE: f64 = 1e-6;

/// `None`: it is. Else the way to what is not, and what is wrong there.
pub fn differs(expected: &Json, got: &Json) -> Option<String> {
    match (expected, got) {
        (Json::Object(wanted), Json::Object(found)) => {
            for (name, value) in wanted {
                let upper = name.to_uppercase();
                let at = |name: &str| found.iter().find(|(n, _)| n == name).map(|(_, value)| value);
                match at(name).or_else(|| at(&upper)) {
                    Some(other) => {
                        if let Some(why) = differs(value, other) {
                            return Some(format!("{name}: {why}"));
                        }
                    }
                    None if *value == Json::Null => {}
                    None => return Some(format!("there is no field {name}")),
                }
            }
            if wanted.len() == found.len() {
                return None;
            }
            let is_wanted = |name: &str| wanted.iter().any(|(n, _)| n == name || n.to_uppercase() == name);
            let other = found.iter().find(|(name, _)| !is_wanted(name));
            let other = other.map(|(name, _)| format!("field {name} is not expected"));
            other.or_else(|| Some(format!("expected {} fields, got {}", wanted.len(), found.len())))
        }
        (Json::Array(wanted), Json::Array(found)) if wanted.len() == found.len() => {
            let pairs = wanted.iter().zip(found).enumerate();
            pairs.filter_map(|(i, (a, b))| differs(a, b).map(|why| format!("[{i}]: {why}"))).next()
        }
        (Json::Number(a), Json::Number(b)) if are_near(a, b) => None,
        (Json::Number(a), Json::Text(b)) if is_number(a, b) => None,
        (Json::Text(a), Json::Number(b)) if is_number(b, a) => None,
        _ if expected == got => None,
        _ => Some(format!("expected {}, got {}", expected.json(), got.json())),
    }
}

/// Whole numbers are equal; others are close.
fn are_near(a: &str, b: &str) -> bool {
    let is_whole = |text: &str| !text.contains(['.', 'e', 'E']);
    if a == b {
        return true;
    }
    match (a.parse::<f64>(), b.parse::<f64>()) {
        _ if is_whole(a) && is_whole(b) => false,
        (Ok(a), Ok(b)) => (a - b).abs() <= TOLERANCE,
        _ => false,
    }
}

/// Whether a text holds the number.
fn is_number(number: &str, text: &str) -> bool {
    text == number || text.parse::<f64>().is_ok_and(|_| are_near(number, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_equal_by_the_rules() {
        let equal = [
            (r#"{"a":1,"B":[1.5]}"#, r#"{"B":[1.5000001],"A":1}"#),
            ("1", "1.0"),
            ("1.10", r#""1.10""#),
            (r#""10""#, "10"),
            ("null", "null"),
            (r#"{"a":null,"b":1}"#, r#"{"c":2,"b":1}"#),
            (r#""NaN""#, r#""NaN""#),
        ];
        let different = [
            (r#"{"a":1}"#, r#"{"A":1,"B":null}"#, "field B is not expected"),
            (r#"{"a":1,"b":{"c":[1,2]}}"#, r#"{"a":1,"b":{"c":[1,3]}}"#, "b: c: [1]: expected 2, got 3"),
            (r#"{"a":1}"#, r#"{"b":1}"#, "there is no field a"),
            ("1", "2", "expected 1, got 2"),
            ("[1]", "[1,1]", "expected [1], got [1,1]"),
            ("1.5", "1.501", "expected 1.5, got 1.501"),
            ("null", "0", "expected null, got 0"),
            ("9007199254740993", "9007199254740992", "expected 9007199254740993, got 9007199254740992"),
        ];
        let compared = |a: &str, b: &str| differs(&Json::parse(a).unwrap(), &Json::parse(b).unwrap());
        equal.iter().for_each(|(a, b)| assert_eq!(compared(a, b), None, "{a} {b}"));
        different.iter().for_each(|(a, b, why)| assert_eq!(compared(a, b).as_deref(), Some(*why), "{a} {b}"));
    }
}
