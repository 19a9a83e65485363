//! What changed in the gateway, with who made it and when: it is read again at the next start.

use crate::error::Error;
use crate::journal::{self, Words};
use serde::{Deserialize, Serialize};

/// Something that was changed. Stable: these are the bytes in data directories.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change<E> {
    /// The name of a token, `topology file`, or `anybody` where there are no tokens.
    pub who: String,
    /// Milliseconds since 1970.
    pub at_ms: i64,
    #[serde(flatten)]
    pub what: E,
}

pub type Journal<E> = journal::Journal<Change<E>>;

pub const WORDS: &Words = &Words {
    taken: |dir| {
        Error::runtime(format!("a gateway has {} open already", dir.display()))
            .hint("stop that one, or give this one another --data-dir")
    },
    foreign: "no change of this version",
    again: "start the gateway again; it reads what is there",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "change", rename_all = "snake_case")]
    enum Toy {
        Set { value: u32 },
    }

    #[test]
    fn changes_outlive_the_journal_and_one_process_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let change = |value| Change { who: "me".into(), at_ms: 7, what: Toy::Set { value } };
        let mut journal = Journal::open(dir.path(), WORDS, |_: Change<Toy>| panic!("it is new")).unwrap();
        journal.append(7, &change(1)).unwrap();
        journal.append(7, &change(2)).unwrap();
        let again = Journal::<Toy>::open(dir.path(), WORDS, |_| {}).err().unwrap().to_string();
        assert!(again.contains("open already"), "{again}");
        drop(journal);
        let mut found = Vec::new();
        Journal::open(dir.path(), WORDS, |change| found.push(change)).unwrap();
        assert_eq!(found, [change(1), change(2)]);
    }
}
