//! The server's side of HTTP/1.1, as far as what stands in for a service needs it.

use std::collections::HashMap;
use std::io::{self, BufRead, Write};

/// A request, read whole.
pub struct Asked {
    pub method: String,
    pub path: String,
    /// By their names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

/// The next request of a connection; `None` when it is over.
pub fn read(reader: &mut impl BufRead) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_string()),
        }
    }
    let mut words = lines.first()?.split(' ').map(String::from);
    let (method, path) = (words.next()?, words.next()?);
    let headers: HashMap<String, String> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_string()))
        .collect();
    let mut asked = Asked { method, path, headers, body: Vec::new() };
    asked.body.resize(asked.headers.get("content-length").map_or(0, |length| length.parse().unwrap()), 0);
    reader.read_exact(&mut asked.body).ok()?;
    Some(asked)
}

/// `headers`: more of them, a line each.
pub fn answer(stream: &mut impl Write, status: u16, headers: &str, body: &str) -> io::Result<()> {
    let length = body.len();
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n{headers}\r\n{body}")?;
    stream.flush()
}
