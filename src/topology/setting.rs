//! What a setting is set to: as written, or where its secret is.
//!
//! A secret stays where it is until somebody needs it: a topology is shown and compared, so it holds the
//! name of the variable or file, never what is in it.

use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

#[derive(Clone, PartialEq)]
pub enum Setting {
    Given(String),
    /// The name of an environment variable.
    Env(String),
    File(PathBuf),
}

impl Setting {
    /// A string, `{ env = "VAR" }` or `{ file = "path" }`; else what is expected.
    pub fn parse(value: &DeValue, base_dir: &Path) -> Result<Setting, String> {
        let setting = match value {
            DeValue::String(text) => Some(Setting::Given(text.to_string())),
            DeValue::Table(table) => Setting::elsewhere(table, base_dir),
            _ => None,
        };
        setting.ok_or_else(|| "a string, { env = \"VAR\" } or { file = \"path\" }".to_string())
    }

    fn elsewhere(table: &DeTable, base_dir: &Path) -> Option<Setting> {
        let (key, value) = table.iter().next().filter(|_| table.len() == 1)?;
        let value = value.get_ref().as_str()?;
        match key.get_ref().as_ref() {
            "env" => Some(Setting::Env(value.to_string())),
            "file" => Some(Setting::File(base_dir.join(value))),
            _ => None,
        }
    }

    /// What the setting is set to.
    ///
    /// # Errors
    /// Say what is missing, never what was found.
    pub fn value(&self) -> Result<String, String> {
        match self {
            Setting::Given(value) => Ok(value.clone()),
            Setting::Env(name) => {
                std::env::var(name).map_err(|_| format!("the environment has no variable {name}"))
            }
            Setting::File(path) => std::fs::read_to_string(path)
                // Editors end files with a line break that is no part of a password.
                .map(|text| text.trim_end_matches(['\n', '\r']).to_string())
                .map_err(|e| format!("cannot read {}: {}", path.display(), crate::error::reason(&e))),
        }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Setting::Given(_) => f.write_str("(given)"),
            Setting::Env(name) => write!(f, "(environment variable {name})"),
            Setting::File(path) => write!(f, "(file {})", path.display()),
        }
    }
}
