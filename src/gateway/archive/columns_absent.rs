//! Without the feature `parquet`: no topology asks for it.

use crate::error::{Error, Result};
use crate::gateway::Gateway;
use crate::gateway::cloudevents::{Attributes, Place};
use crate::topology::EventName;

pub struct Row;

impl Row {
    pub fn new(_: &Place, _: &Attributes, _: Option<&[u8]>, _: &[u8], _: String) -> Row {
        Row
    }

    pub fn bytes(&self) -> usize {
        0
    }
}

pub fn file(_: &Gateway, event: &EventName, _: u32, _: &[Row]) -> Result<Vec<u8>> {
    Err(Error::runtime(format!("this build writes no Parquet of {event}")))
}
