//! Parts of URLs, and the escapes of their parameters.

use super::call::*;
use crate::expr::function::{Arg, Binding, Category, Function};

const fn url(
    name: &'static str,
    usage: &'static str,
    summary: &'static str,
    resolve: fn(&[Arg]) -> Resolved,
) -> Function {
    Function { name, category: Category::Url, usage, summary, binding: Binding::Plain, resolve }
}

pub const URL_DECODE_PARAM: Function = url(
    "URL_DECODE_PARAM",
    "URL_DECODE_PARAM(text) → STRING",
    "The text of a parameter, without its escapes.",
    |args| {
        unary::<Text, Text>(args, |s| {
            decode(s).map(Some).map_err(|reason| format!("URL_DECODE_PARAM: {reason}"))
        })
    },
);

pub const URL_ENCODE_PARAM: Function = url(
    "URL_ENCODE_PARAM",
    "URL_ENCODE_PARAM(text) → STRING",
    "The text with escapes, to be a parameter.",
    |args| unary::<Text, Text>(args, |s| text(encode(s))),
);

pub const URL_EXTRACT_FRAGMENT: Function =
    url("URL_EXTRACT_FRAGMENT", "URL_EXTRACT_FRAGMENT(url) → STRING", "What follows '#'.", |args| {
        extract(args, "URL_EXTRACT_FRAGMENT", |url| url.fragment.map(unescaped))
    });

pub const URL_EXTRACT_HOST: Function =
    url("URL_EXTRACT_HOST", "URL_EXTRACT_HOST(url) → STRING", "The host.", |args| {
        extract(args, "URL_EXTRACT_HOST", |url| url.host.map(String::from))
    });

pub const URL_EXTRACT_PARAMETER: Function = url(
    "URL_EXTRACT_PARAMETER",
    "URL_EXTRACT_PARAMETER(url, name) → STRING",
    "The value of a parameter, without its escapes.",
    |args| {
        binary::<Text, Text, Text>(args, |s, wanted| {
            let note = |reason| format!("URL_EXTRACT_PARAMETER: {reason}");
            let parts = Url::parse(s).map_err(note)?;
            let parameters = parts.query.into_iter().flat_map(|query| query.split('&'));
            let mut named = parameters.map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")));
            let found =
                named.find(|(name, _)| *name == wanted || decode(name).is_ok_and(|name| name == wanted));
            found.map(|(_, value)| decode(value)).transpose().map_err(note)
        })
    },
);

pub const URL_EXTRACT_PATH: Function =
    url("URL_EXTRACT_PATH", "URL_EXTRACT_PATH(url) → STRING", "The path.", |args| {
        extract(args, "URL_EXTRACT_PATH", |url| Some(unescaped(url.path)))
    });

pub const URL_EXTRACT_PORT: Function = url(
    "URL_EXTRACT_PORT",
    "URL_EXTRACT_PORT(url) → INTEGER",
    "The port, NULL where the URL has none.",
    |args| {
        unary::<Text, Int>(args, |s| {
            let parts = Url::parse(s).map_err(|reason| format!("URL_EXTRACT_PORT: {reason}"))?;
            Ok(parts.port.and_then(|port| port.parse().ok()))
        })
    },
);

pub const URL_EXTRACT_PROTOCOL: Function = url(
    "URL_EXTRACT_PROTOCOL",
    "URL_EXTRACT_PROTOCOL(url) → STRING",
    "What stands before the first colon.",
    |args| extract(args, "URL_EXTRACT_PROTOCOL", |url| url.scheme.map(String::from)),
);

pub const URL_EXTRACT_QUERY: Function =
    url("URL_EXTRACT_QUERY", "URL_EXTRACT_QUERY(url) → STRING", "What follows '?'.", |args| {
        extract(args, "URL_EXTRACT_QUERY", |url| url.query.map(unescaped))
    });

fn extract(args: &[Arg], name: &'static str, part: fn(&Url) -> Option<String>) -> Resolved {
    unary::<Text, Text>(args, move |s| {
        Url::parse(s).map(|url| part(&url)).map_err(|reason| format!("{name}: {reason}"))
    })
}

/// The parts of `scheme://user@host:port/path?query#fragment`, all but the path optional.
struct Url<'a> {
    scheme: Option<&'a str>,
    host: Option<&'a str>,
    port: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
    fragment: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn parse(text: &'a str) -> Result<Url<'a>, String> {
        if text.contains(|c: char| c.is_ascii_control() || " \"<>\\^`{|}".contains(c)) {
            return Err(format!("{} is not a URL", shown(text)));
        }
        let (rest, fragment) = cut(text, '#');
        let (rest, query) = cut(rest, '?');
        let is_scheme = |s: &str| {
            s.starts_with(|c: char| c.is_ascii_alphabetic())
                && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        };
        let (scheme, rest) = match rest.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, rest),
        };
        let (authority, path) = match rest.strip_prefix("//") {
            Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
            None => ("", rest),
        };
        let place = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        // The colons of an address in brackets are not a port's.
        let (host, port) = match place.rfind(':').filter(|at| !place[*at..].contains(']')) {
            Some(at) => (&place[..at], Some(&place[at + 1..])),
            None => (place, None),
        };
        Ok(Url { scheme, host: Some(host).filter(|host| !host.is_empty()), port, path, query, fragment })
    }
}

fn cut(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(head, tail)| (head, Some(tail)))
}

fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => out.push(byte as char),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn decode(text: &str) -> Result<String, String> {
    percent(&text.replace('+', " ")).ok_or_else(|| format!("{} has a broken escape", shown(text)))
}

/// A part other than a parameter: a plus is a plus, and a broken escape stays as it is.
fn unescaped(text: &str) -> String {
    percent(text).unwrap_or_else(|| text.to_string())
}

fn percent(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            out.push(byte);
            rest = tail;
            continue;
        }
        let (digits, tail) = tail.split_at_checked(2)?;
        let digit = |i: usize| (digits[i] as char).to_digit(16);
        out.push((digit(0)? * 16 + digit(1)?) as u8);
        rest = tail;
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check, check_errors, s};
    use crate::value::Value::*;

    #[test]
    fn cases() {
        let url = || s("https://me@example.org:8080/a%20b/c?q=x%26y&empty&z=1+2#top");
        check(&[
            ("URL_EXTRACT_PROTOCOL", &[url()], s("https")),
            ("URL_EXTRACT_HOST", &[url()], s("example.org")),
            ("URL_EXTRACT_PORT", &[url()], Int(8080)),
            ("URL_EXTRACT_PATH", &[url()], s("/a b/c")),
            ("URL_EXTRACT_QUERY", &[url()], s("q=x&y&empty&z=1+2")),
            ("URL_EXTRACT_FRAGMENT", &[url()], s("top")),
            ("URL_EXTRACT_PARAMETER", &[url(), s("q")], s("x&y")),
            ("URL_EXTRACT_PARAMETER", &[url(), s("z")], s("1 2")),
            ("URL_EXTRACT_PARAMETER", &[url(), s("empty")], s("")),
            ("URL_EXTRACT_PARAMETER", &[url(), s("none")], Null),
            ("URL_EXTRACT_PORT", &[s("http://example.org/")], Null),
            ("URL_EXTRACT_HOST", &[s("http://[::1]:80/")], s("[::1]")),
            ("URL_EXTRACT_PORT", &[s("http://[::1]/")], Null),
            ("URL_EXTRACT_FRAGMENT", &[s("/x")], Null),
            ("URL_EXTRACT_HOST", &[s("mailto:a@b")], Null),
            ("URL_ENCODE_PARAM", &[s("a b&é")], s("a+b%26%C3%A9")),
            ("URL_DECODE_PARAM", &[s("a+b%26%C3%A9")], s("a b&é")),
        ]);
        check_errors(&[
            ("URL_EXTRACT_HOST", &[s("http://a b/")], "URL_EXTRACT_HOST: 'http://a b/' is not a URL"),
            ("URL_DECODE_PARAM", &[s("%4")], "URL_DECODE_PARAM: '%4' has a broken escape"),
        ]);
    }
}
