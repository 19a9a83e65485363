//! Wrong statements and the exact messages about them: `errors.txt` holds pairs of text and message.

use crate::sql::parse_script;

#[test]
fn every_mistake_is_named_pointed_at_and_explained() {
    let mut wrong = Vec::new();
    for case in include_str!("errors.txt").split("\n====\n") {
        let (text, expected) = case.split_once("\n----\n").expect("a case has a text and a message");
        let found = match parse_script(text) {
            Ok(parsed) => format!("no error, but {parsed:?}"),
            Err(error) => error.in_text("t.sql", text).to_string(),
        };
        if found.trim_end() != expected.trim_end() {
            wrong.push(format!("{text}\n----\n{found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n====\n"));
}
