//! Without the feature `parquet`.

use crate::error::{Error, Result};
use std::path::Path;

pub fn read(path: &Path, _: impl FnMut(&str) -> Result<()>) -> Result<()> {
    Err(Error::runtime(format!("{} is Parquet, which this build cannot read", path.display()))
        .hint("build with --features parquet"))
}
