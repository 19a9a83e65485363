//! Results as JUnit's XML: what build servers show.

use super::Done;
use std::fmt::Write;
use std::time::Duration;

pub fn report(done: &[Done], took: Duration) -> String {
    let failures = done.iter().filter(|done| done.outcome.is_err()).count();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let (tests, seconds) = (done.len(), took.as_secs_f64());
    let counts = format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"{seconds:.3}\"");
    let _ = writeln!(out, "<testsuites {counts}>\n  <testsuite name=\"wharfe\" {counts}>");
    for Done { test, outcome, took } in done {
        let (class, name, seconds) = (escaped(&test.file), escaped(&test.name), took.as_secs_f64());
        let _ = write!(out, "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\"");
        let _ = match outcome {
            Ok(()) => writeln!(out, "/>"),
            Err(why) => {
                let first = escaped(why.lines().next().unwrap_or_default());
                let why = escaped(why);
                writeln!(out, ">\n      <failure message=\"{first}\">{why}</failure>\n    </testcase>")
            }
        };
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

/// Text without mark-up and without control characters, many of which XML has no place for.
fn escaped(text: &str) -> String {
    let is_shown = |c: char| !c.is_control() || matches!(c, '\n' | '\t');
    let shown: String = text.chars().map(|c| if is_shown(c) { c } else { '\u{fffd}' }).collect();
    crate::flow::escaped(&shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_escaped() {
        assert_eq!(escaped("a<b> & \"c\"\n\u{1}"), "a&lt;b&gt; &amp; &quot;c&quot;\n\u{fffd}");
    }
}
