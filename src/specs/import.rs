//! Coming from bc_gitops: its specs as YAML, its `sys.config` as settings. What has no equivalent is said, not dropped.

mod app;
mod sys_config;

pub use app::{ImportedApp, import_app};
pub use sys_config::{ImportedConfig, Setting, import_sys_config};

use super::node::{Node, Value};

/// A value in YAML's flow style, plain where that is safe.
fn flow(node: &Node) -> String {
    match &node.value {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) if map.0.is_empty() => "{}".to_owned(),
        Value::Map(map) => {
            let entries: Vec<String> = map
                .0
                .iter()
                .map(|(key, entry)| format!("{}: {}", quoted(key), flow(&entry.node)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Text(text) | Value::Atom(text) => quoted(text),
        Value::Number(number) => number.clone(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Null => "null".to_owned(),
    }
}

/// A text as a YAML scalar: plain where that is safe, else in double quotes, with all escaped that is not plainly visible.
fn quoted(text: &str) -> String {
    if is_plain(text) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if super::source::printable(c.encode_utf8(&mut [0; 4])).starts_with(c)
                && !is_noncharacter(c) =>
            {
                quoted.push(c);
            }
            c => quoted.push_str(&format!("\\U{:08x}", c as u32)),
        }
    }
    quoted.push('"');
    quoted
}

/// Code points that never stand for a character, and that YAML does not take as they are.
fn is_noncharacter(c: char) -> bool {
    (c as u32) & 0xfffe == 0xfffe || ('\u{fdd0}'..='\u{fdef}').contains(&c)
}

/// Is this text a text in YAML without quotes, in flow style too?
fn is_plain(text: &str) -> bool {
    const WORDS: &[&str] = &["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_/.-".contains(&b))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// A text for a comment: one line, nothing that a terminal acts upon.
fn remark(text: &str) -> String {
    super::source::printable(text).replace('\u{240a}', " ")
}
