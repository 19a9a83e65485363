//! Who may ask what: tokens and users with roles, from a file.
//!
//! ```toml
//! [[tokens]]                                  # Authorization: Bearer …
//! name = "grafana"
//! token = { env = "GRAFANA_TOKEN" }           # or { file = "…" }, or the text itself
//! role = "read"                               # read | write | admin
//!
//! [[users]]                                   # basic auth: what a browser asks for
//! name = "ann"
//! password = "$argon2id$v=19$…"               # from `wharfe access hash`
//! role = "admin"
//! ```
//! Reading is SELECT, PRINT, SHOW, DESCRIBE, EXPLAIN, the console and the metrics; writing adds rows and
//! rejects that go back in; everything else is an administrator's.

mod guard;
mod tls;

pub use guard::{Guard, Keeper, REQUESTS_MAX, guard_events, guarded, limit};
pub use tls::{TlsListener, certificates};

use crate::connector::Setting;
use crate::error::{Error, Result, Span, reason};
use crate::sql::ast::{Parsed, Statement};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Read,
    Write,
    Admin,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Read => "read",
            Role::Write => "write",
            Role::Admin => "admin",
        }
    }

    /// What a statement needs.
    pub fn of(parsed: &Parsed) -> Role {
        use Statement::*;
        match &parsed.statement {
            Select(_)
            | Show(_)
            | Describe { .. }
            | DescribeAll { .. }
            | DescribeFunction { .. }
            | DescribeConnector { .. } => Role::Read,
            ExplainStatement(_) | ExplainQuery { .. } | Print { .. } | Assert { .. } => Role::Read,
            // They change nothing but what follows them in the same request.
            Set { .. } | Unset { .. } | Define { .. } | Undefine { .. } => Role::Read,
            InsertValues { .. } => Role::Write,
            _ => Role::Admin,
        }
    }
}

#[derive(Debug)]
struct Token {
    name: String,
    secret: String,
    role: Role,
}

#[derive(Debug)]
struct User {
    name: String,
    /// An argon2 hash in PHC form.
    hash: String,
    role: Role,
}

/// Who is known.
#[derive(Debug, Default)]
pub struct Access {
    tokens: Vec<Token>,
    users: Vec<User>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tokens: Vec<TokenEntry>,
    #[serde(default)]
    users: Vec<UserEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    name: String,
    token: Secret,
    role: Role,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserEntry {
    name: String,
    password: String,
    role: Role,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Secret {
    Given(String),
    Env { env: String },
    File { file: PathBuf },
}

/// Shorter ones are guessed.
const TOKEN_BYTES_MIN: usize = 16;

impl Access {
    pub fn load(path: &Path) -> Result<Access> {
        let shown = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::usage(format!("cannot read {shown}: {}", reason(&e))))?;
        Access::parse(&shown, &text, path.parent().unwrap_or(Path::new("")))
    }

    fn parse(shown: &str, text: &str, base: &Path) -> Result<Access> {
        let file: File = toml::from_str(text).map_err(|e| {
            let error = Error::usage(e.message());
            match e.span() {
                Some(span) => error.at(Span::new(span.start, span.end)).in_text(shown, text),
                None => error,
            }
        })?;
        let wrong = |who: &str, why: &str| Error::usage(format!("{shown}: {who}: {why}"));
        let mut access = Access::default();
        for TokenEntry { name, token, role } in file.tokens {
            let setting = match token {
                Secret::Given(text) => Setting::Given(text),
                Secret::Env { env } => Setting::Env(env),
                Secret::File { file } => Setting::File(base.join(file)),
            };
            let secret = setting.value().map_err(|why| wrong(&name, &why))?;
            if secret.len() < TOKEN_BYTES_MIN {
                let why = format!("a token has at least {TOKEN_BYTES_MIN} characters");
                return Err(wrong(&name, &why));
            }
            access.tokens.push(Token { name, secret, role });
        }
        for UserEntry { name, password, role } in file.users {
            if argon2::PasswordHash::new(&password).is_err() {
                let error = wrong(&name, "the password is no argon2 hash");
                return Err(error.hint("`wharfe access hash` makes one"));
            }
            access.users.push(User { name, hash: password, role });
        }
        if access.tokens.is_empty() && access.users.is_empty() {
            return Err(Error::usage(format!("{shown} has neither [[tokens]] nor [[users]]")));
        }
        Ok(access)
    }

    /// Takes the same time for every token that is not the right one.
    fn by_token(&self, given: &str) -> Option<(&str, Role)> {
        let equal = |token: &&Token| {
            let (a, b) = (token.secret.as_bytes(), given.as_bytes());
            let differing = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
            std::hint::black_box(differing) == 0 && a.len() == b.len()
        };
        self.tokens.iter().filter(equal).map(|token| (token.name.as_str(), token.role)).next_back()
    }

    /// Takes some milliseconds, as it is meant to; also for a name that nobody has.
    fn by_password(&self, name: &str, password: &str) -> Option<Role> {
        use argon2::PasswordVerifier;
        let user = self.users.iter().find(|user| user.name == name).or(self.users.first())?;
        let hash = argon2::PasswordHash::new(&user.hash).ok()?;
        let right = argon2::Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        (right && user.name == name).then_some(user.role)
    }
}

/// What stands for a password in the file.
pub fn hash(password: &str) -> Result<String> {
    use argon2::PasswordHasher;
    use argon2::password_hash::SaltString;
    let mut salt = [0_u8; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| std::io::Read::read_exact(&mut random, &mut salt))
        .map_err(|e| Error::runtime(format!("no random numbers are to be had: {}", reason(&e))))?;
    let failed = |e: argon2::password_hash::Error| Error::runtime(format!("cannot hash it: {e}"));
    let salt = SaltString::encode_b64(&salt).map_err(failed)?;
    Ok(argon2::Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse_statement;

    #[test]
    fn tokens_and_users_have_roles() {
        let text = format!(
            "[[tokens]]\nname = 'g'\ntoken = '0123456789abcdef'\nrole = 'read'\n\
             [[users]]\nname = 'ann'\npassword = '{}'\nrole = 'admin'",
            hash("secret").unwrap()
        );
        let access = Access::parse("a.toml", &text, Path::new("")).unwrap();
        assert_eq!(access.by_token("0123456789abcdef"), Some(("g", Role::Read)));
        assert_eq!(access.by_token("0123456789abcdeF"), None);
        assert_eq!(access.by_token("0123456789abcdef0"), None);
        assert_eq!(access.by_password("ann", "secret"), Some(Role::Admin));
        assert_eq!(access.by_password("ann", "Secret"), None);
        assert_eq!(access.by_password("bob", "secret"), None);
    }

    #[test]
    fn a_file_that_protects_nothing_is_refused() {
        for (text, message) in [
            ("", "a.toml has neither [[tokens]] nor [[users]]"),
            (
                "[[tokens]]\nname='g'\ntoken='short'\nrole='read'",
                "a.toml: g: a token has at least 16 characters",
            ),
            (
                "[[users]]\nname='a'\npassword='plain'\nrole='read'",
                "a.toml: a: the password is no argon2 hash",
            ),
        ] {
            assert_eq!(Access::parse("a.toml", text, Path::new("")).unwrap_err().message, message);
        }
    }

    #[test]
    fn statements_need_roles() {
        for (sql, role) in [
            ("SHOW STREAMS", Role::Read),
            ("DESCRIBE STREAMS", Role::Read),
            ("DEFINE x = '1'", Role::Read),
            ("EXPLAIN SELECT * FROM s", Role::Read),
            ("SELECT * FROM s EMIT CHANGES", Role::Read),
            ("INSERT INTO s VALUES (1)", Role::Write),
            ("TERMINATE q", Role::Admin),
            ("CREATE STREAM t AS SELECT * FROM s", Role::Admin),
            ("DROP STREAM s", Role::Admin),
        ] {
            assert_eq!(Role::of(&parse_statement(sql).unwrap()), role, "{sql}");
        }
    }
}
