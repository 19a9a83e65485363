//! Regular expressions as Java writes them, in the words of the engine that runs them.
//!
//! Most of the syntax is the same. Java's classes `\d`, `\w`, `\s` and `\p{Alpha}` are ASCII, its `.` stops at
//! every line terminator, `\Q…\E` quotes, and some escapes have other names.

use std::iter::Peekable;
use std::str::Chars;

/// The expression for `fancy_regex`, or what is wrong with it.
pub fn translate(java: &str) -> Result<String, String> {
    let mut translator = Translator {
        rest: java.chars().peekable(),
        out: String::with_capacity(java.len()),
        classes: 0,
        dot_is_all: has_flag(java, 's'),
    };
    while let Some(c) = translator.rest.next() {
        translator.one(c)?;
    }
    Ok(translator.out)
}

/// Whether a group such as `(?s)` or `(?is:` turns a flag on.
fn has_flag(java: &str, flag: char) -> bool {
    java.split("(?").skip(1).any(|group| {
        let flags: String = group.chars().take_while(char::is_ascii_lowercase).collect();
        group[flags.len()..].starts_with([')', ':', '-']) && flags.contains(flag)
    })
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    out: String,
    /// How many `[` are open.
    classes: usize,
    dot_is_all: bool,
}

const SPACE: &str = " \\t\\n\\x0B\\f\\r";
const HORIZONTAL: &str = " \\t\\xA0\\u{1680}\\u{180e}\\u{2000}-\\u{200a}\\u{202f}\\u{205f}\\u{3000}";
const VERTICAL: &str = "\\n\\x0B\\f\\r\\x85\\u{2028}\\u{2029}";

impl Translator<'_> {
    fn one(&mut self, c: char) -> Result<(), String> {
        match c {
            '\\' => return self.escape(),
            '.' if self.classes == 0 && !self.dot_is_all => {
                self.out.push_str("[^\\n\\r\\x85\\u{2028}\\u{2029}]");
            }
            '[' => {
                self.classes += 1;
                self.out.push('[');
                if self.rest.next_if_eq(&'^').is_some() {
                    self.out.push('^');
                }
                // Here `]` is a character, as in `[]a]`.
                if self.rest.next_if_eq(&']').is_some() {
                    self.out.push_str("\\]");
                }
            }
            ']' if self.classes > 0 => {
                self.classes -= 1;
                self.out.push(']');
            }
            // Written twice these are operations of the engine's classes, and two characters of Java's.
            '-' | '~' if self.classes > 0 && self.rest.peek() == Some(&c) => {
                self.out.push('\\');
                self.out.push(c);
            }
            _ => self.out.push(c),
        }
        Ok(())
    }

    fn escape(&mut self) -> Result<(), String> {
        let c = self.rest.next().ok_or("nothing behind a backslash")?;
        match c {
            'd' => self.class("0-9", false),
            'D' => self.class("0-9", true),
            'w' => self.class("a-zA-Z_0-9", false),
            'W' => self.class("a-zA-Z_0-9", true),
            's' => self.class(SPACE, false),
            'S' => self.class(SPACE, true),
            'h' => self.class(HORIZONTAL, false),
            'H' => self.class(HORIZONTAL, true),
            'v' => self.class(VERTICAL, false),
            'V' => self.class(VERTICAL, true),
            'R' => self.out.push_str("(?:\\r\\n|[\\n\\x0B\\f\\r\\x85\\u{2028}\\u{2029}])"),
            'e' => self.out.push_str("\\x1B"),
            'Z' => self.out.push_str("(?=\\r?\\n?\\z)"),
            'Q' => self.quoted(),
            'E' => {}
            '0' => self.octal()?,
            'c' => {
                let control = self.rest.next().filter(char::is_ascii).ok_or("nothing behind \\c")?;
                self.code(control as u32 ^ 64);
            }
            'x' | 'u' => self.hexadecimal(c)?,
            'p' | 'P' => self.property(c == 'P')?,
            _ => {
                self.out.push('\\');
                self.out.push(c);
            }
        }
        Ok(())
    }

    /// A set of characters, within a class or as one.
    fn class(&mut self, set: &str, negated: bool) {
        match (self.classes > 0, negated) {
            (true, false) => self.out.push_str(set),
            (_, true) => self.out.push_str(&format!("[^{set}]")),
            (false, false) => self.out.push_str(&format!("[{set}]")),
        }
    }

    fn code(&mut self, code: u32) {
        self.out.push_str(&format!("\\x{{{code:X}}}"));
    }

    /// Up to `\E`, or to the end.
    fn quoted(&mut self) {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return;
            }
            if c.is_ascii_punctuation() {
                self.out.push('\\');
            }
            self.out.push(c);
        }
    }

    fn octal(&mut self) -> Result<(), String> {
        let mut code = None;
        for _ in 0..3 {
            let next = code.unwrap_or(0) * 8;
            match self.rest.next_if(|c| c.is_digit(8) && next < 0o400) {
                Some(digit) => code = Some(next + digit.to_digit(8).unwrap_or(0)),
                None => break,
            }
        }
        self.code(code.ok_or("no octal digits behind \\0")?);
        Ok(())
    }

    /// `\xhh`, `\x{h…}`, `\uhhhh`; two of the last may be one character.
    fn hexadecimal(&mut self, kind: char) -> Result<(), String> {
        if kind == 'x' && self.rest.next_if_eq(&'{').is_some() {
            let digits: String = std::iter::from_fn(|| self.rest.next_if(|c| *c != '}')).collect();
            self.rest.next();
            let code = u32::from_str_radix(&digits, 16).map_err(|_| "no hexadecimal digits in \\x{…}")?;
            self.code(code);
            return Ok(());
        }
        let high = self.digits(if kind == 'x' { 2 } else { 4 }, kind)?;
        let mut ahead = self.rest.clone();
        if (0xD800..0xDC00).contains(&high) && ahead.next() == Some('\\') && ahead.next() == Some('u') {
            self.rest = ahead;
            let low = self.digits(4, kind)?;
            self.code(0x10000 + ((high - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF));
        } else {
            self.code(high);
        }
        Ok(())
    }

    fn digits(&mut self, count: usize, kind: char) -> Result<u32, String> {
        let digits: String = (0..count).map_while(|_| self.rest.next_if(char::is_ascii_hexdigit)).collect();
        match u32::from_str_radix(&digits, 16) {
            Ok(code) if digits.len() == count => Ok(code),
            _ => Err(format!("\\{kind} needs {count} hexadecimal digits")),
        }
    }

    /// `\p{Name}`, `\pL`: POSIX names are ASCII, the others Unicode's.
    fn property(&mut self, negated: bool) -> Result<(), String> {
        let name: String = match self.rest.next() {
            Some('{') => {
                let name = std::iter::from_fn(|| self.rest.next_if(|c| *c != '}')).collect();
                self.rest.next();
                name
            }
            Some(c) => c.to_string(),
            None => return Err("nothing behind \\p".to_string()),
        };
        let ascii = match name.as_str() {
            "Lower" => "a-z",
            "Upper" => "A-Z",
            "ASCII" => "\\x00-\\x7F",
            "Alpha" => "a-zA-Z",
            "Digit" => "0-9",
            "Alnum" => "a-zA-Z0-9",
            "Punct" => "!-/:-@\\[-`{-\\~",
            "Graph" => "!-\\~",
            "Print" => " -\\~",
            "Blank" => " \\t",
            "Cntrl" => "\\x00-\\x1F\\x7F",
            "XDigit" => "0-9a-fA-F",
            "Space" => SPACE,
            _ => {
                let name = match name.as_str() {
                    "javaLowerCase" => "Lowercase",
                    "javaUpperCase" => "Uppercase",
                    "javaWhitespace" => "White_Space",
                    "javaLetter" => "L",
                    "javaDigit" => "Nd",
                    other => other.strip_prefix("Is").unwrap_or(other),
                };
                self.out.push_str(&format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }));
                return Ok(());
            }
        };
        self.class(ascii, negated);
        Ok(())
    }
}
