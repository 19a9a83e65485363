//! Without the feature `s3`.

use super::Files;
use crate::error::{Error, Result};

pub fn check() -> std::result::Result<(), String> {
    Err("this build has no S3: build with --features s3".into())
}

pub fn open(bucket: &str, _: &str) -> Result<Box<dyn Files>> {
    Err(Error::runtime(format!("this build has no S3 for bucket {bucket}")).hint("build with --features s3"))
}
