//! Who may do what: tokens with namespaces that they may publish to, consume from, or administer.

use crate::error::{Error, Result};
use crate::topology::Token;
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tokens by the digests of their secrets: looking one up tells nothing about the others.
pub struct Rights {
    /// None: everybody may do everything.
    tokens: BTreeMap<Vec<u8>, Who>,
}

/// Who makes a request.
#[derive(Clone)]
pub struct Who(Option<Arc<Named>>);

struct Named {
    name: String,
    publish: Vec<String>,
    consume: Vec<String>,
    admin: Vec<String>,
}

impl Rights {
    pub fn new(tokens: &BTreeMap<String, Token>) -> Result<Rights> {
        let mut known = BTreeMap::new();
        for (name, token) in tokens {
            let secret =
                token.secret.value().map_err(|why| Error::topology(format!("token {name}: {why}")))?;
            let Token { publish, consume, admin, .. } = token.clone();
            let who = Who(Some(Arc::new(Named { name: name.clone(), publish, consume, admin })));
            if known.insert(digest_of(&secret), who).is_some() {
                return Err(Error::topology(format!("token {name} has the secret of another token")));
            }
        }
        Ok(Rights { tokens: known })
    }

    /// Whose secret it is.
    pub fn known(&self, secret: &str) -> Option<Who> {
        self.tokens.get(&digest_of(secret)).cloned()
    }

    /// Nobody is told from anybody else.
    pub fn are_open(&self) -> bool {
        self.tokens.is_empty()
    }
}

fn digest_of(secret: &str) -> Vec<u8> {
    digest(&SHA256, secret.as_bytes()).as_ref().to_vec()
}

impl Who {
    /// Whoever the gateway itself acts for.
    pub fn anybody() -> Who {
        Who(None)
    }

    /// Who consumes from all namespaces, and perhaps publishes to and administers them.
    pub fn everywhere(name: String, publishes: bool, administers: bool) -> Who {
        let all = |may: bool| if may { vec!["*".to_string()] } else { Vec::new() };
        let (publish, consume, admin) = (all(publishes), all(true), all(administers));
        Who(Some(Arc::new(Named { name, publish, consume, admin })))
    }

    pub fn name(&self) -> &str {
        self.0.as_ref().map_or("anybody", |named| &named.name)
    }

    pub fn may_publish(&self, namespace: &str) -> bool {
        self.may(namespace, |named| &named.publish)
    }

    pub fn may_consume(&self, namespace: &str) -> bool {
        self.may(namespace, |named| &named.consume)
    }

    pub fn may_administer(&self, namespace: &str) -> bool {
        self.may(namespace, |named| &named.admin)
    }

    /// Who administers a namespace may do everything in it.
    fn may(&self, namespace: &str, which: impl Fn(&Named) -> &Vec<String>) -> bool {
        let Some(named) = &self.0 else { return true };
        let names = |list: &Vec<String>| list.iter().any(|name| name == namespace || name == "*");
        names(which(named)) || names(&named.admin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Setting;

    #[test]
    fn tokens_open_their_namespaces_only() {
        let names = |list: &[&str]| list.iter().map(|name| name.to_string()).collect::<Vec<_>>();
        let token = |secret: &str, publish: &[&str], consume: &[&str], admin: &[&str]| Token {
            secret: Setting::Given(secret.into()),
            publish: names(publish),
            consume: names(consume),
            admin: names(admin),
        };
        let tokens = BTreeMap::from([
            ("diary".to_string(), token("secret-one", &["mfp"], &["*"], &[])),
            ("ops".to_string(), token("secret-two", &[], &[], &["mmf"])),
        ]);
        let rights = Rights::new(&tokens).unwrap();
        assert!(rights.known("secret").is_none());
        let diary = rights.known("secret-one").unwrap();
        assert_eq!(diary.name(), "diary");
        assert!(diary.may_publish("mfp") && !diary.may_publish("mmf"));
        assert!(diary.may_consume("mmf") && !diary.may_administer("mfp"));
        let ops = rights.known("secret-two").unwrap();
        assert!(ops.may_publish("mmf") && ops.may_administer("mmf") && !ops.may_consume("mfp"));
        assert!(Rights::new(&BTreeMap::new()).unwrap().are_open() && !rights.are_open());
        let looker = Who::everywhere("ann".into(), false, false);
        assert!(looker.may_consume("mfp") && !looker.may_publish("mfp") && !looker.may_administer("mfp"));
    }
}
