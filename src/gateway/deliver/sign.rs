//! Signatures of call-backs, as Standard Webhooks 1.0.0 has them: HMAC-SHA256 over id, time and body, with
//! every secret that is valid now, so that secrets can be changed without a gap.

use crate::error::{Error, Result};
use crate::gateway::ids::random;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

const PREFIX: &str = "whsec_";

/// A new secret: 24 bytes that nobody can guess.
pub fn new_secret() -> Result<String> {
    Ok(format!("{PREFIX}{}", STANDARD.encode(random::<24>()?)))
}

/// A secret as a receiver was told it.
pub fn key(secret: &str) -> Result<hmac::Key> {
    let bytes = secret.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok());
    let bytes = bytes.filter(|bytes| (16..=128).contains(&bytes.len()));
    let bytes = bytes.ok_or_else(|| {
        Error::statement("a secret is whsec_ and 16 to 128 bytes in base64")
            .hint("leave it out, and one is made")
    })?;
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

/// The header `webhook-signature`: one signature a secret.
pub fn signature(keys: &[hmac::Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut header = String::new();
    for key in keys {
        let mut context = hmac::Context::with_key(key);
        context.update(format!("{id}.{timestamp}.").as_bytes());
        context.update(body);
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        STANDARD.encode_string(context.sign(), &mut header);
    }
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_standard_webhooks_has_it() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let got = signature(std::slice::from_ref(&key), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(got, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let two = signature(&[key.clone(), key], "a", 1, b"");
        assert_eq!(two.split(' ').count(), 2);
        assert!(super::key("whsec_AA==").is_err() && super::key("x").is_err());
        assert!(super::key(&new_secret().unwrap()).is_ok());
    }
}
