//! Fingerprints: what tells whether a query is the one that a checkpoint knows.
//!
//! They are taken of a canonical text: JSON with the names of all properties in their order, without those
//! that are `null`, `false`, `0` or empty. So a property that is new in a later version changes no fingerprint
//! where it has such a default, and data directories stay good.

use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

pub fn fingerprint(what: &impl Serialize) -> u128 {
    xxh3_128(canonical(what).as_bytes())
}

fn canonical(what: &impl Serialize) -> String {
    let text = serde_json::to_string(what).expect("plans are plain data");
    let mut out = String::with_capacity(text.len());
    write(&text, &mut out);
    out
}

/// Numbers are copied as they are written: they may be longer than any type of JSON's readers.
fn write(text: &str, out: &mut String) {
    const JSON: &str = "it was just written";
    match text.as_bytes().first() {
        Some(b'{') => {
            let properties: BTreeMap<String, &RawValue> = serde_json::from_str(text).expect(JSON);
            out.push('{');
            for (name, value) in properties.iter().filter(|(_, value)| !is_default(value.get())) {
                out.push_str(&serde_json::to_string(name).expect(JSON));
                out.push(':');
                write(value.get(), out);
                out.push(',');
            }
            out.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).expect(JSON);
            out.push('[');
            for item in items {
                write(item.get(), out);
                out.push(',');
            }
            out.push(']');
        }
        _ => out.push_str(text),
    }
}

fn is_default(text: &str) -> bool {
    matches!(text, "null" | "false" | "0" | "\"\"" | "[]" | "{}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    enum Kind {
        Plain,
        Of { n: i128, more: Option<u8> },
    }

    #[test]
    fn defaults_are_left_out_and_nothing_else() {
        #[derive(Serialize)]
        struct Before {
            name: &'static str,
            kinds: Vec<Option<Kind>>,
            at: (i64, bool),
        }
        #[derive(Serialize)]
        struct After {
            limit: Option<u64>,
            name: &'static str,
            is_new: bool,
            at: (i64, bool),
            kinds: Vec<Option<Kind>>,
            keys: Vec<u8>,
        }
        let kinds = || vec![None, Some(Kind::Plain), Some(Kind::Of { n: i128::MAX, more: None })];
        let before = Before { name: "a\"b", kinds: kinds(), at: (0, false) };
        let after =
            After { limit: None, name: "a\"b", is_new: false, at: (0, false), kinds: kinds(), keys: vec![] };
        let text = format!(
            r#"{{"at":[0,false,],"kinds":[null,"Plain",{{"Of":{{"n":{},}},}},],"name":"a\"b",}}"#,
            i128::MAX
        );
        assert_eq!(canonical(&before), text);
        assert_eq!(canonical(&after), text);
        assert_ne!(fingerprint(&before), fingerprint(&After { is_new: true, ..after }));
    }
}
