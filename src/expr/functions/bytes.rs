//! Bytes and the texts and numbers they stand for.

use super::call::*;
use crate::expr::function::{Arg, Binding, Category, Function};
use crate::value::Value;
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use md5::{Digest, Md5};

const fn of_bytes(
    name: &'static str,
    category: Category,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category, usage, summary, binding: Binding::Plain, resolve }
}

pub const ENCODE: Function = of_bytes(
    "ENCODE",
    Category::String,
    "ENCODE(text, from, to) → STRING",
    "The text in another encoding; encodings are 'hex', 'utf8', 'ascii' and 'base64'.",
    |args| {
        ternary_with::<Text, Text, Text, Text, _>(
            args,
            |literals| {
                Ok([Made::new(Encoding::of, literals.get(1))?, Made::new(Encoding::of, literals.get(2))?])
            },
            |[from, to], s, from_name, to_name| {
                let note = |reason| format!("ENCODE: {reason}");
                let bytes = from.get(from_name).and_then(|encoding| encoding.bytes(s)).map_err(note)?;
                to.get(to_name).and_then(|encoding| encoding.text(&bytes)).map(Some).map_err(note)
            },
        )
    },
);

pub const FROM_BYTES: Function = of_bytes(
    "FROM_BYTES",
    Category::String,
    "FROM_BYTES(bytes, encoding) → STRING",
    "Bytes as a text in 'hex', 'utf8', 'ascii' or 'base64'.",
    |args| {
        binary_with::<Bytes, Text, Text, _>(
            args,
            |literals| Made::new(Encoding::of, literals.get(1)),
            |made, bytes, name| {
                let text = made.get(name).and_then(|encoding| encoding.text(bytes));
                text.map(Some).map_err(|reason| format!("FROM_BYTES: {reason}"))
            },
        )
    },
);

pub const TO_BYTES: Function = of_bytes(
    "TO_BYTES",
    Category::String,
    "TO_BYTES(text, encoding) → BYTES",
    "The bytes of a text in 'hex', 'utf8', 'ascii' or 'base64'.",
    |args| {
        binary_with::<Text, Text, Bytes, _>(
            args,
            |literals| Made::new(Encoding::of, literals.get(1)),
            |made, s, name| {
                let bytes = made.get(name).and_then(|encoding| encoding.bytes(s));
                bytes.map(Some).map_err(|reason| format!("TO_BYTES: {reason}"))
            },
        )
    },
);

pub const MD5: Function = of_bytes(
    "MD5",
    Category::String,
    "MD5(text) → STRING",
    "The MD5 digest of the text in UTF-8, in hexadecimal.",
    |args| unary::<Text, Text>(args, |s| some(hex(&Md5::digest(s)))),
);

pub const INT_FROM_BYTES: Function = of_bytes(
    "INT_FROM_BYTES",
    Category::Numeric,
    "INT_FROM_BYTES(bytes[, order]) → INTEGER",
    "The number of 4 bytes; the order is 'BIG_ENDIAN', unless 'LITTLE_ENDIAN' is given.",
    |args| number::<4, Int>(args, "INT_FROM_BYTES", i32::from_be_bytes),
);

pub const BIGINT_FROM_BYTES: Function = of_bytes(
    "BIGINT_FROM_BYTES",
    Category::Numeric,
    "BIGINT_FROM_BYTES(bytes[, order]) → BIGINT",
    "The number of 8 bytes; the order is 'BIG_ENDIAN', unless 'LITTLE_ENDIAN' is given.",
    |args| number::<8, Bigint>(args, "BIGINT_FROM_BYTES", i64::from_be_bytes),
);

pub const DOUBLE_FROM_BYTES: Function = of_bytes(
    "DOUBLE_FROM_BYTES",
    Category::Numeric,
    "DOUBLE_FROM_BYTES(bytes[, order]) → DOUBLE",
    "The number of 8 bytes; the order is 'BIG_ENDIAN', unless 'LITTLE_ENDIAN' is given.",
    |args| number::<8, Double>(args, "DOUBLE_FROM_BYTES", f64::from_be_bytes),
);

/// How a text stands for bytes.
#[derive(Clone, Copy)]
enum Encoding {
    Hex,
    Utf8,
    Ascii,
    Base64,
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Encoding {
    fn of(name: &str) -> Result<Encoding, String> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "hex" => Encoding::Hex,
            "utf8" => Encoding::Utf8,
            "ascii" => Encoding::Ascii,
            "base64" => Encoding::Base64,
            _ => {
                return Err(format!(
                    "unknown encoding {}; hint: 'hex', 'utf8', 'ascii', 'base64'",
                    shown(name)
                ));
            }
        })
    }

    fn bytes(self, text: &str) -> Result<Vec<u8>, String> {
        let wrong = |what: &str| format!("{} is not {what}", shown(text));
        match self {
            Encoding::Hex => unhex(text).ok_or_else(|| wrong("hexadecimal")),
            Encoding::Utf8 => Ok(text.into()),
            Encoding::Ascii if text.is_ascii() => Ok(text.into()),
            Encoding::Ascii => Err(wrong("ASCII")),
            Encoding::Base64 => BASE64.decode(text).map_err(|_| wrong("base64")),
        }
    }

    fn text(self, bytes: &[u8]) -> Result<String, String> {
        let wrong = |what: &str| format!("the bytes {} are not {what}", shown(&hex(bytes)));
        match self {
            Encoding::Hex => Ok(hex(bytes)),
            Encoding::Ascii if !bytes.is_ascii() => Err(wrong("ASCII")),
            Encoding::Utf8 | Encoding::Ascii => String::from_utf8(bytes.into()).map_err(|_| wrong("UTF-8")),
            Encoding::Base64 => Ok(BASE64.encode(bytes)),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |n: u8| char::from_digit(n as u32, 16).unwrap_or('?');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// `4578`, `0x4578` or `X'4578'`; of an odd number of digits the first stands alone.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let quoted = text.strip_prefix("X'").and_then(|rest| rest.strip_suffix('\''));
    let digits = quoted.or(text.strip_prefix("0x")).unwrap_or(text).as_bytes();
    let digit = |byte: u8| (byte as char).to_digit(16).map(|n| n as u8);
    let (first, pairs) = digits.split_at(digits.len() % 2);
    let pair = |pair: &[u8]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    first.iter().map(|&byte| digit(byte)).chain(pairs.chunks_exact(2).map(pair)).collect()
}

/// A function of bytes and, perhaps, their order.
fn number<const N: usize, R: Type>(
    args: &[Arg],
    name: &'static str,
    read: fn([u8; N]) -> R::Out,
) -> Resolved {
    let number = move |bytes: &[u8], little: bool| {
        let wrong = |_| format!("{name}: needs {N} bytes, there are {}", bytes.len());
        let mut bytes = <[u8; N]>::try_from(bytes).map_err(wrong)?;
        if little {
            bytes.reverse();
        }
        some(read(bytes))
    };
    match args.len() {
        1 => unary::<Bytes, R>(args, move |bytes| number(bytes, false)),
        2 => binary_with::<Bytes, Text, R, _>(
            args,
            |literals: &[Option<Value>]| Made::new(is_little, literals.get(1)),
            move |made, bytes, order| {
                let little = *made.get(order).map_err(|reason| format!("{name}: {reason}"))?;
                number(bytes, little)
            },
        ),
        _ => count(args, "1 or 2"),
    }
}

fn is_little(order: &str) -> Result<bool, String> {
    match order {
        "BIG_ENDIAN" => Ok(false),
        "LITTLE_ENDIAN" => Ok(true),
        _ => Err(format!("unknown byte order {}; hint: 'BIG_ENDIAN' or 'LITTLE_ENDIAN'", shown(order))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{b, check, check_errors, s};
    use crate::value::Value::*;

    #[test]
    fn cases() {
        check(&[
            ("ENCODE", &[s("Example!"), s("ascii"), s("hex")], s("4578616d706c6521")),
            ("ENCODE", &[s("0x4578616d706c6521"), s("hex"), s("utf8")], s("Example!")),
            ("ENCODE", &[s("X'f'"), s("hex"), s("base64")], s("Dw==")),
            ("FROM_BYTES", &[b(b"\xc3\xa9"), s("utf8")], s("é")),
            ("TO_BYTES", &[s("4pyF"), s("base64")], b("✅".as_bytes())),
            ("MD5", &[s("")], s("d41d8cd98f00b204e9800998ecf8427e")),
            ("INT_FROM_BYTES", &[b(&[0, 0, 1, 0])], Int(256)),
            ("INT_FROM_BYTES", &[b(&[0, 1, 0, 0]), s("LITTLE_ENDIAN")], Int(256)),
            ("BIGINT_FROM_BYTES", &[b(&[255; 8])], Bigint(-1)),
            ("DOUBLE_FROM_BYTES", &[b(&1.5f64.to_be_bytes())], Double(1.5)),
        ]);
        check_errors(&[
            ("ENCODE", &[s("xy"), s("hex"), s("utf8")], "ENCODE: 'xy' is not hexadecimal"),
            ("FROM_BYTES", &[b(b"\xff"), s("utf8")], "FROM_BYTES: the bytes 'ff' are not UTF-8"),
            ("TO_BYTES", &[s("é"), s("ascii")], "TO_BYTES: 'é' is not ASCII"),
            ("TO_BYTES", &[s("a"), s("latin1")], "unknown encoding 'latin1'"),
            ("INT_FROM_BYTES", &[b(b"abc")], "INT_FROM_BYTES: needs 4 bytes, there are 3"),
            ("INT_FROM_BYTES", &[b(b"abcd"), s("PDP")], "unknown byte order 'PDP'"),
        ]);
    }
}
