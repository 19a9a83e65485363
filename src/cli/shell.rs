//! `wharfe shell`: statements typed one after the other, with history, many lines a statement, and
//! completion of what the server knows.

use super::client::{Client, DEFAULT_SERVER};
use super::output::Format;
use super::query::Conversation;
use super::{interrupt, split};
use crate::engine::Session;
use crate::error::{Code, Error, Result, reason};
use crate::sql::complete::{KEYWORDS, is_complete};
use crate::types::quote;
use rustyline::completion::Completer;
use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, Helper};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;

/// Type statements to a server
///
/// A statement ends with a semicolon and may take many lines. Ctrl-C ends a running query, or drops
/// the line; Ctrl-D leaves. SET and UNSET keep properties for the statements behind them.
#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n  wharfe shell --server http://127.0.0.1:8088")]
pub struct Args {
    /// Which server
    #[arg(long, value_name = "URL", default_value = DEFAULT_SERVER)]
    server: String,

    /// How answers are printed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
A statement ends with a semicolon and may take many lines, for example:
  SHOW STREAMS;  SHOW TABLES;  SHOW QUERIES;  SHOW FUNCTIONS;
  DESCRIBE name;
  SELECT * FROM name;                          what is there now
  SELECT * FROM name EMIT CHANGES;             what changes, until Ctrl-C
  SET 'auto.offset.reset' = 'earliest';        push queries begin with what is there
Tab completes keywords and names. Ctrl-C ends a running query, Ctrl-D or exit leaves.";

pub fn run(args: Args) -> Result<u8> {
    interrupt::install()?;
    let client = Client::new(&args.server);
    let version = client.version()?;
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        println!("wharfe shell · {} (version {version}) · `help` helps", client.url());
    }
    let mut conversation = Conversation::new(client, args.format);
    let mut editor = editor(&conversation.client)?;
    let history = history_file();
    if let Some(file) = &history {
        // There is none the first time.
        let _ = editor.load_history(file);
    }
    let code = converse(&mut conversation, &mut editor, interactive)?;
    if let Some(file) = history.filter(|_| interactive) {
        let saved = file.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(ReadlineError::from);
        if let Err(e) = saved.and_then(|()| editor.save_history(&file)) {
            eprintln!("error: cannot keep the history in {}: {}", file.display(), failure(&e));
        }
    }
    Ok(code)
}

type Line = Editor<Names, FileHistory>;

fn editor(client: &Client) -> Result<Line> {
    let config = Config::builder().completion_type(CompletionType::List).build();
    let mut editor = Editor::with_config(config).map_err(|e| failed(&e))?;
    editor.set_helper(Some(Names { known: known_names(client) }));
    Ok(editor)
}

fn failed(error: &ReadlineError) -> Error {
    Error::runtime(format!("cannot read from the terminal: {}", failure(error)))
}

fn failure(error: &ReadlineError) -> String {
    match error {
        ReadlineError::Io(e) => reason(e),
        other => other.to_string(),
    }
}

/// Reads and says until the end of input. Statements that came through a pipe set the exit code.
fn converse(conversation: &mut Conversation, editor: &mut Line, interactive: bool) -> Result<u8> {
    let mut code = 0;
    loop {
        let text = match entry(editor) {
            Ok(text) => text,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(if interactive { 0 } else { code }),
            Err(e) => return Err(failed(&e)),
        };
        match text.trim().trim_end_matches(';').to_lowercase().as_str() {
            "exit" | "quit" => return Ok(if interactive { 0 } else { code }),
            "help" => println!("{HELP}"),
            _ => {
                if let Some(error) = say_all(conversation, &text) {
                    code = error.exit_code() as u8;
                }
            }
        }
        if changes_names(&text)
            && let Some(names) = editor.helper_mut()
        {
            names.known = known_names(&conversation.client);
        }
    }
}

/// Reads lines until a statement is whole. From the second on their prompt says that it goes on.
fn entry(editor: &mut Line) -> std::result::Result<String, ReadlineError> {
    let mut text = String::new();
    loop {
        let prompt = if text.is_empty() { "wharfe> " } else { "     -> " };
        match editor.readline(prompt) {
            Ok(line) => text += &line,
            // What a pipe ends in needs no semicolon.
            Err(ReadlineError::Eof) if !text.trim().is_empty() => return Ok(text),
            Err(error) => return Err(error),
        }
        if is_whole(&text) {
            // It is kept as it was typed, or not at all.
            let _ = editor.add_history_entry(&text);
            return Ok(text);
        }
        text.push('\n');
    }
}

fn is_whole(text: &str) -> bool {
    let word = matches!(text.trim().to_lowercase().as_str(), "" | "help" | "exit" | "quit");
    word || is_complete(text.trim())
}

/// Says the statements of one entry, up to one that fails.
fn say_all(conversation: &mut Conversation, text: &str) -> Option<Error> {
    interrupt::clear();
    for statement in split::split(text) {
        if let Err(error) = conversation.say(statement) {
            if error.code != Code::Interrupted {
                eprintln!("error: {error}");
            }
            return Some(error);
        }
    }
    None
}

fn changes_names(text: &str) -> bool {
    split::split(text).into_iter().any(|s| matches!(split::first_word(s).as_deref(), Some("CREATE" | "DROP")))
}

/// `$XDG_STATE_HOME/wharfe/history`, by default below `~/.local/state`.
fn history_file() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
    Some(state.join("wharfe/history"))
}

/// Streams, tables and their columns. What cannot be had is not completed.
fn known_names(client: &Client) -> BTreeSet<String> {
    let ask = |sql: &str| client.ksql(sql, &Session::default()).unwrap_or_default();
    let mut names = BTreeSet::new();
    for entity in ask("SHOW ALL STREAMS; SHOW ALL TABLES") {
        names.extend(items(&entity["streams"]).chain(items(&entity["tables"])));
    }
    let describe: Vec<String> = names.iter().map(|name| format!("DESCRIBE {name}")).collect();
    if !describe.is_empty() {
        for entity in ask(&describe.join("; ")) {
            names.extend(items(&entity["sourceDescription"]["fields"]));
        }
    }
    names
}

fn items(list: &Value) -> impl Iterator<Item = String> + '_ {
    list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).map(quote)
}

/// What can be completed.
struct Names {
    known: BTreeSet<String>,
}

impl Helper for Names {}
impl Highlighter for Names {}
impl Hinter for Names {
    type Hint = String;
}

impl Completer for Names {
    type Candidate = String;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..pos];
        let start = typed.rfind(|c: char| !(c.is_alphanumeric() || c == '_' || c == '`')).map_or(0, |i| {
            // The character found may take several bytes.
            i + typed[i..].chars().next().map_or(1, char::len_utf8)
        });
        Ok((start, self.completions(&typed[start..])))
    }
}

impl Names {
    /// Names first, then keywords, in the case that was begun with.
    fn completions(&self, begun: &str) -> Vec<String> {
        if begun.is_empty() {
            return Vec::new();
        }
        let upper = begun.to_uppercase();
        let lower_case = begun.chars().all(|c| !c.is_uppercase());
        let cased = |word: &str| if lower_case { word.to_lowercase() } else { word.to_string() };
        let fits = |word: &&str| word.to_uppercase().starts_with(&upper);
        let names = self.known.iter().map(String::as_str).filter(fits);
        // A quoted name keeps its case: in another it would be another name.
        let names = names.map(|name| if name.starts_with('`') { name.into() } else { cased(name) });
        names.chain(KEYWORDS.iter().copied().filter(fits).map(cased)).collect()
    }
}

impl Validator for Names {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_before_keywords() {
        let known = ["STREAM_A", "SOURCE", "`Strange`"].map(String::from).into();
        let names = Names { known };
        let completed = |begun: &str| names.completions(begun);
        assert_eq!(completed("stream_"), ["stream_a"]);
        assert_eq!(completed("STREAM_"), ["STREAM_A"]);
        assert_eq!(completed("`s"), ["`Strange`"]);
        assert!(completed("sel").contains(&"select".to_string()));
        assert!(completed("").is_empty());
    }

    #[test]
    fn an_entry_goes_on_until_its_statement_is_whole() {
        for (text, whole) in
            [("", true), ("help", true), ("SELECT 1", false), ("SELECT ';'", false), ("SELECT 1;\n", true)]
        {
            assert_eq!(is_whole(text), whole, "{text}");
        }
    }

    #[test]
    fn only_creating_and_dropping_change_names() {
        let cases = [("create stream x;", true), ("show x; DROP TABLE t;", true), ("select create;", false)];
        for (text, expected) in cases {
            assert_eq!(changes_names(text), expected, "{text}");
        }
    }
}
