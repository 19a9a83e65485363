//! What the registry refuses, with Confluent's error codes: status × 100 + k, or a bare 409.

use super::model::{Incompatibility, Level};
use crate::error::Error;
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: u32,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, Fault>;

impl Fault {
    pub fn new(code: u32, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    pub fn subject_not_found(subject: &str) -> Fault {
        Fault::new(40401, format!("Subject '{subject}' not found."))
    }

    pub fn version_not_found(version: impl fmt::Display) -> Fault {
        Fault::new(40402, format!("Version {version} not found."))
    }

    pub fn schema_not_found() -> Fault {
        Fault::new(40403, "Schema not found")
    }

    pub fn id_not_found(id: u32) -> Fault {
        Fault::new(40403, format!("Schema {id} not found"))
    }

    pub fn subject_deleted(subject: &str) -> Fault {
        let message =
            format!("Subject '{subject}' was soft deleted. Set permanent=true to delete permanently");
        Fault::new(40404, message)
    }

    pub fn subject_not_deleted(subject: &str) -> Fault {
        let message = format!("Subject '{subject}' was not deleted first before being permanently deleted");
        Fault::new(40405, message)
    }

    pub fn version_deleted(subject: &str, version: u32) -> Fault {
        let message = format!(
            "Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently"
        );
        Fault::new(40406, message)
    }

    pub fn version_not_deleted(subject: &str, version: u32) -> Fault {
        let message = format!(
            "Subject '{subject}' Version {version} was not deleted first before being permanently deleted"
        );
        Fault::new(40407, message)
    }

    pub fn no_level_of_its_own(subject: &str) -> Fault {
        let message = format!("Subject '{subject}' does not have subject-level compatibility configured");
        Fault::new(40408, message)
    }

    pub fn invalid_schema(why: impl fmt::Display) -> Fault {
        Fault::new(42201, format!("Invalid schema: {why}"))
    }

    pub fn invalid_version(version: &str) -> Fault {
        let message = format!(
            "The specified version '{version}' is not a valid version id. Allowed values are between \
             [1, 2^31-1] and the string \"latest\""
        );
        Fault::new(42202, message)
    }

    pub fn invalid_level() -> Fault {
        let names: Vec<_> = Level::ALL.iter().map(|level| level.name()).collect();
        Fault::new(42203, format!("Invalid compatibility level. Valid values are {}", names.join(", ")))
    }

    pub fn is_referenced(subject: &str, version: u32, by: &[u32]) -> Fault {
        let by: Vec<_> = by.iter().map(u32::to_string).collect();
        let by = by.join(", ");
        let message = format!(
            "Subject '{subject}' Version {version} is referenced by the schemas with these ids: {by}"
        );
        Fault::new(42206, message)
    }

    pub fn incompatible(subject: &str, level: Level, found: &[Incompatibility]) -> Fault {
        let details: Vec<_> = found.iter().map(ToString::to_string).collect();
        let message = format!(
            "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", \
             details: [{}; compatibility: {level}]",
            details.join("; ")
        );
        Fault::new(409, message)
    }

    pub fn storage(error: &Error) -> Fault {
        Fault::new(50001, format!("Error in the backend data store: {error}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault.code {
            50000.. => Error::runtime(fault.message),
            _ => Error::statement(fault.message),
        }
    }
}
