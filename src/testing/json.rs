//! JSON as tests write it: with comments, and with numbers whose digits count.

pub use crate::expr::functions::json_tree::Json;

/// The text with blanks in place of its comments, so that places stay.
pub fn without_comments(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let (mut at, mut quoted) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'/' if !quoted && matches!(bytes.get(at + 1), Some(b'/' | b'*')) => {
                let rest = &text[at..];
                let len = match bytes[at + 1] {
                    b'/' => rest.find('\n').unwrap_or(rest.len()),
                    _ => rest.find("*/").map_or(rest.len(), |end| end + 2),
                };
                out[at..at + len].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
                at += len;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    String::from_utf8(out).unwrap_or_else(|_| text.into())
}

/// The whole of a text, which holds one value.
pub fn parse<'a>(name: &str, text: &'a str) -> crate::error::Result<Json<'a>> {
    let checked = serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|e| e.to_string());
    checked
        .and_then(|_| Json::parse(text))
        .map_err(|why| crate::error::Error::usage(format!("{name} is not JSON: {why}")))
}

pub fn text<'j>(json: &'j Json, field: &str) -> Option<&'j str> {
    match json.field(field) {
        Some(Json::Text(text)) => Some(text),
        _ => None,
    }
}

pub fn integer(json: &Json, field: &str) -> Option<i64> {
    match json.field(field) {
        Some(Json::Number(digits)) => digits.parse().ok(),
        _ => None,
    }
}

pub fn items<'j, 'a>(json: &'j Json<'a>, field: &str) -> &'j [Json<'a>] {
    match json.field(field) {
        Some(Json::Array(items)) => items,
        _ => &[],
    }
}

pub fn fields<'j, 'a>(json: Option<&'j Json<'a>>) -> &'j [(std::borrow::Cow<'a, str>, Json<'a>)] {
    match json {
        Some(Json::Object(fields)) => fields,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_blanks_and_texts_stay() {
        let text = "{ // one\n \"a//b\": \"\\\"/*\", /* two\n */ \"c\": 1.10 }";
        let plain = without_comments(text);
        assert_eq!(plain.len(), text.len());
        let json = parse("t", &plain).unwrap();
        assert_eq!(json.json(), r#"{"a//b":"\"/*","c":1.10}"#);
        assert!(
            parse("t", "{} {}").unwrap_err().to_string().starts_with("t is not JSON: trailing characters")
        );
    }
}
