//! RANDOM and UUID: functions of a record's time and place, so that any number of workers give the same, and
//! so does a replay that gives records their ROWTIME again. A file without WITH (TIMESTAMP = …) does not:
//! its records have the time at which the engine started.
//!
//! The binder adds what the dialect does not write: ROWTIME, the source with its partition, ROWOFFSET, and a
//! text that tells the call sites of all statements apart (`plan/sites.rs`).

use super::call::*;
use crate::expr::function::{Arg, Binding, Category, Function};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

pub const RANDOM: Function = Function {
    name: "RANDOM",
    category: Category::Numeric,
    usage: "RANDOM() → DOUBLE",
    summary: "A number from 0 up to, not including, 1, made of the record's ROWTIME, source, partition and \
              offset: the same whenever these are.",
    binding: Binding::OfRecord,
    resolve: |args| of_record::<Double>(args, |bits| (bits as u64 >> 11) as f64 / (1u64 << 53) as f64),
};

pub const UUID: Function = Function {
    name: "UUID",
    category: Category::String,
    usage: "UUID() → STRING",
    summary: "A text in the form of a random UUID, made of the record's ROWTIME, source, partition and \
              offset: the same whenever these are.",
    binding: Binding::OfRecord,
    resolve: |args| of_record::<Text>(args, uuid),
};

fn of_record<R: Type>(args: &[Arg], make: fn(u128) -> R::Out) -> Resolved {
    quaternary::<Bigint, Bigint, Bigint, Text, R>(args, move |rowtime, origin, offset, site| {
        let mut place = [0; 24];
        place[..8].copy_from_slice(&rowtime.to_le_bytes());
        place[8..16].copy_from_slice(&origin.to_le_bytes());
        place[16..].copy_from_slice(&offset.to_le_bytes());
        some(make(xxh3_128_with_seed(&place, xxh3_64(site.as_bytes()))))
    })
}

/// Version 4, the random one, of the usual variant.
fn uuid(bits: u128) -> String {
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | (4 << 76) | (0b10 << 62);
    let part = |from: u32, digits: u32| (bits >> from) & ((1 << (4 * digits)) - 1);
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        part(96, 8),
        part(80, 4),
        part(64, 4),
        part(48, 4),
        part(0, 12)
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, s};
    use super::uuid;
    use crate::value::Value::*;

    #[test]
    fn values_stay() {
        let record = |offset, site| [Bigint(1_602_451_500_000), Bigint(3), Bigint(offset), s(site)];
        check(&[
            ("RANDOM", &record(0, "S.0"), Double(0.6847660975974004)),
            ("UUID", &record(0, "S.0"), s("1133abc2-aa0b-4c36-af4c-d4ba9723131d")),
        ]);
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
