//! `[registry]`: the schema registry's address.

use super::{Keys, string};
use crate::error::{Error, Result};
use crate::registry::Address;
use crate::topology::cluster::setting;
use std::path::Path;
use toml::de::DeValue;

pub fn address(keys: &Keys, base_dir: &Path) -> Result<Address> {
    keys.allow(&["url", "user", "password", "ca"])?;
    let url = keys.optional("url", url)?.ok_or_else(|| {
        Error::topology("registry has no url")
            .at(super::span(keys.of_span.clone()))
            .hint("url = \"http://127.0.0.1:8081\"; without [registry] there is one in the data directory")
    })?;
    let given = |key| keys.optional(key, |value| setting(value, base_dir));
    let (user, password) = (given("user")?, given("password")?);
    if user.is_some() != password.is_some() {
        let there = if user.is_some() { "user" } else { "password" };
        return Err(
            Error::topology("registry: user and password belong together").at(super::span(keys.span(there)))
        );
    }
    let ca = keys.optional("ca", string)?.map(|path| base_dir.join(path));
    let address = Address { url, login: user.zip(password), ca };
    // Whether its files and variables are there shows now, not when the first schema is needed.
    address
        .check()
        .map_err(|why| Error::topology(format!("registry: {why}")).at(super::span(keys.of_span.clone())))?;
    Ok(address)
}

/// Without a slash at its end.
pub fn url(value: &DeValue) -> Result<String, String> {
    let expected = || "http://HOST:PORT or https://HOST:PORT, with a path if it has one".to_string();
    let text = value.as_str().ok_or_else(expected)?.trim_end_matches('/');
    let url: ureq::http::Uri = text.parse().map_err(|_| expected())?;
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) {
        return Err(expected());
    }
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("without a password in it: give user and password".into());
    }
    if url.query().is_some() {
        return Err(expected());
    }
    Ok(text.to_string())
}
