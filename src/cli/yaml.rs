//! A JSON value as YAML in block style: what `-o yaml` prints.

use serde_json::Value;

/// `value` as one YAML document.
pub(crate) fn document(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => write_children(&mut text, value, 0),
        Value::Array(list) if !list.is_empty() => write_children(&mut text, value, 0),
        scalar => text = format!("{}\n", inline(scalar)),
    }
    text
}

fn write_children(text: &mut String, value: &Value, depth: usize) {
    let pad = "  ".repeat(depth);
    match value {
        Value::Object(map) => {
            for (key, child) in map {
                text.push_str(&format!("{pad}{}:", scalar(key)));
                write_after(text, child, depth, false);
            }
        }
        Value::Array(list) => {
            for child in list {
                text.push_str(&format!("{pad}-"));
                write_after(text, child, depth, true);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&inline(value)),
    }
}

/// What stands after `key:` or `-`.
fn write_after(text: &mut String, child: &Value, depth: usize, is_item: bool) {
    match child {
        Value::Object(map) if !map.is_empty() && is_item => {
            // The first key stands on the line of the dash.
            let mut children = String::new();
            write_children(&mut children, child, depth + 1);
            text.push(' ');
            text.push_str(children.trim_start());
        }
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            write_children(text, child, depth + 1);
        }
        Value::Array(list) if !list.is_empty() => {
            text.push('\n');
            write_children(text, child, depth + 1);
        }
        leaf => text.push_str(&format!(" {}\n", inline(leaf))),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A plain scalar where nothing can be misread, else JSON's double quotes, which YAML shares.
fn scalar(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_-./ ".contains(c))
        && !text.ends_with(' ')
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if is_plain {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        let value = serde_json::json!({
            "name": "web", "yes": "no", "empty": {}, "none": null, "list": [], "n": 1.5, "at": "2026-01-02T03:04:05Z",
            "apps": [{"a": 1, "b": {"c": ["x", "- y", "\u{1b}[0m\n"]}}, [1, [2, 3]], "1.0", ""],
        });
        let text = document(&value);
        let expected = "\
name: web
\"yes\": \"no\"
empty: {}
none: null
list: []
\"n\": 1.5
at: \"2026-01-02T03:04:05Z\"
apps:
  - a: 1
    b:
      c:
        - x
        - \"- y\"
        - \"\\u001b[0m\\n\"
  -
    - 1
    -
      - 2
      - 3
  - \"1.0\"
  - \"\"
";
        assert_eq!(text, expected);
        let read = crate::specs::format::read(crate::specs::format::Format::Yaml, &text, 0);
        assert!(read.is_ok(), "{text}");
    }
}
