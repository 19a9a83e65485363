//! Small files that are replaced whole: positions, sites. Either the old or the new one is there after a
//! crash, never a part.

use crate::connector::io_error;
use crate::error::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// `None`: there is no such file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("read", path, e)),
    };
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|e| Error::runtime(format!("{} is not the gateway's: {e}", path.display())))
}

/// Returns once the file would outlive a crash of the machine.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(|e| Error::runtime(format!("cannot write: {e}")))?;
    write(path, &text)
}

pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |e| io_error("write", path, e);
    let beside = path.with_extension("new");
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(bytes).and_then(|()| file.sync_data()).map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

pub fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| io_error("sync", dir, e))
}
