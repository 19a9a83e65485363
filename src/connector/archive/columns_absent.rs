//! Without the feature `parquet`.

use crate::error::{Error, Result};

pub fn read(name: &str, _: Vec<u8>, _: impl FnMut(&str) -> Result<()>) -> Result<()> {
    Err(Error::runtime(format!("{name} is Parquet, which this build cannot read"))
        .hint("build with --features parquet"))
}
