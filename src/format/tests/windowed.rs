//! Keys with the bounds of windows behind their columns.

use super::*;
use crate::types::Bounds;

fn windowed(bounds: Bounds) -> Schema {
    let column = |name: &str, ty, part| ColumnDef { name: name.into(), ty, part };
    Schema::new([
        column("K", SqlType::Varchar, Part::Key),
        column("WINDOWSTART", SqlType::Bigint, Part::Window(bounds)),
        column("WINDOWEND", SqlType::Bigint, Part::Window(bounds)),
        column("N", SqlType::Int, Part::Value),
    ])
}

#[test]
fn bounds_follow_the_key() {
    let serialization = Serialization { key: Format::Kafka, value: DELIMITED, changelog: true };
    let suffixes: [(Bounds, &[i64]); 2] =
        [(Bounds::Start { size_ms: 500 }, &[1_000]), (Bounds::Both, &[1_500, 1_000])];
    for (bounds, suffix) in suffixes {
        let schema = windowed(bounds);
        let row = vec![Value::text("a"), Value::Bigint(1_000), Value::Bigint(1_500), Value::Int(7)];
        let batch = batch(&schema, std::slice::from_ref(&row));
        let mut encoded = Encoded::with_capacity(1, 0);
        encoder(&serialization, &schema, &Written::default()).unwrap().encode(&batch, &mut encoded);
        let key = encoded.keys[0].of(&encoded.buffer).unwrap().to_vec();
        let ends: Vec<u8> = suffix.iter().flat_map(|bound| bound.to_be_bytes()).collect();
        assert_eq!(key, [b"a", &*ends].concat());
        assert_eq!(encoded.values[0].of(&encoded.buffer).unwrap(), b"7");
        assert_eq!(encoded.key_suffix, ends.len(), "the bounds do not decide the partition");
        let messages = messages(
            Some(&[Some(key), Some(b"short".to_vec())]),
            &[Some(b"7"), Some(b"8")].map(|v| v.map(|v| v.to_vec())),
        );
        let read = read_messages(&serialization, &schema, &messages);
        let needed = ends.len();
        let reason = format!("the key is no windowed one: it needs {needed} bytes at its end");
        assert_eq!(read, [Ok(row), Err(reason)]);
    }
}
