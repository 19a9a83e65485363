//! Tests of scripts, in the forms of ksqlDB's own: what `wharfe test` runs.
//!
//! ```text
//!  suite     files of cases, or statements with inputs and outputs ─┐
//!  script    .sql with directives, INSERT VALUES and ASSERT ────────┼─► Test ─► stage    an engine, topics in memory
//!                                                                   │            ├─► record   spec ↔ bytes by format
//!                                                                   │            └─► compare  expected ↔ got
//!                                                                   └─► Outcome
//! ```
//! Nothing of a test is simulated: statements go through the coordinator, records through the formats, one a
//! tick in the order of the file, and tables tell of each record that touches a row.

mod compare;
mod json;
mod record;
mod schemas;
mod script;
mod shape;
mod stage;
mod suite;

pub use record::{Bounds, Spec};
pub use suite::Case;

use crate::error::{Error, Result};
use std::path::Path;

/// One test, with the name of the file that it is of.
#[derive(Clone, Debug)]
pub struct Test {
    pub file: String,
    pub name: String,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    /// Statements, records that go in, and records that are to come out.
    Records(Box<Case>),
    /// Statements and assertions in their order.
    Script(script::Script),
}

/// How a test ended. `Err`: what is wrong, in lines.
pub type Outcome = std::result::Result<(), String>;

impl Test {
    pub fn run(&self) -> Outcome {
        match &self.what {
            What::Records(case) => suite::run(case),
            What::Script(script) => script::run(script),
        }
    }
}

/// The tests of a file: `.sql` with directives, or `.json` with cases.
///
/// # Errors
/// The file cannot be read, or has no tests.
pub fn of_file(path: &Path) -> Result<Vec<Test>> {
    let (name, text) = read(path)?;
    let tests = match path.extension().and_then(|extension| extension.to_str()) {
        Some("sql") => script::tests(&name, &text, path.parent())?,
        _ => suite::tests(&name, &text)?,
    };
    if tests.is_empty() {
        let hint = "a .sql file needs a line --@test: name before each test, a .json file a list \"tests\"";
        return Err(Error::usage(format!("{name} has no tests")).hint(hint));
    }
    Ok(tests)
}

/// Whether a file in a folder looks like one of tests.
pub fn has_tests(path: &Path) -> bool {
    let looks_so = |text: &str| match path.extension().and_then(|extension| extension.to_str()) {
        Some("sql") => text.lines().any(script::begins_test),
        Some("json") => suite::is_suite(text),
        _ => false,
    };
    std::fs::read_to_string(path).is_ok_and(|text| looks_so(&text))
}

/// The test that statements, inputs and outputs in three files make.
pub fn of_files(statements: &Path, input: Option<&Path>, output: &Path) -> Result<Test> {
    let (name, text) = read(statements)?;
    let inputs = input.map(read).transpose()?;
    let outputs = read(output)?;
    let case = suite::of_parts(
        (&name, &text),
        inputs.as_ref().map(|(n, t)| (n.as_str(), t.as_str())),
        (&outputs.0, &outputs.1),
    )?;
    Ok(Test { file: name.clone(), name, what: What::Records(Box::new(case)) })
}

fn read(path: &Path) -> Result<(String, String)> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::usage(format!("cannot read {name}: {}", crate::error::reason(&e))))?;
    Ok((name, text))
}
