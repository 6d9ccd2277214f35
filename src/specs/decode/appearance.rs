//! What only people see: description and icon. A mistake in an icon is a warning: nobody's app stands still for it.

use super::fields::{Decoder, Fields, TEXT_BYTES_MAX};
use crate::names::shown;
use crate::specs::app_spec::Icon;
use crate::specs::node::{Map, Value};

/// The longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 4096;

impl Decoder<'_> {
    pub(super) fn description(&mut self, fields: &Fields<'_>) -> Option<String> {
        let node = fields.get("description")?;
        let text = self.text(node, &"description")?;
        let text = text.trim_end();
        if text.len() > DESCRIPTION_BYTES_MAX {
            self.bad_value(node, &"description", "it is longer than 4096 bytes", "shorten it");
            None
        } else if text.chars().any(|c| c.is_control() && c != '\n') {
            self.bad_value(
                node,
                &"description",
                "a control character stands in it",
                "remove it",
            );
            None
        } else {
            Some(text.to_owned())
        }
    }

    pub(super) fn icon(&mut self, fields: &Fields<'_>) -> Option<Icon> {
        let node = fields.get("icon")?;
        let icon = match node.as_map() {
            Some(map) => {
                self.check_keys(map, &"`icon`", &["type", "value", "mime_type"]);
                read_icon(map)
            }
            None => Err(format!("`icon` must be a map, found {}", node.kind())),
        };
        if let Err(message) = &icon {
            let help = "the identicon is shown in its place; types are identicon, url and base64";
            self.warn(node.at.first(), message.clone(), help);
        }
        icon.ok()
    }
}

fn read_icon(map: &Map) -> Result<Icon, String> {
    let text = |key: &str| match map.get(key).map(|node| &node.value) {
        None => Ok(None),
        Some(Value::Text(text) | Value::Atom(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text.clone())),
        Some(_) => Err(format!("`icon.{key}` must be a text of at most 64 KiB")),
    };
    let mime_type = text("mime_type")?;
    let value = || text("value")?.ok_or_else(|| "`icon.value` is missing".to_owned());
    match text("type")?.as_deref() {
        None | Some("identicon") => Ok(Icon::Identicon {}),
        Some("url") => match value()? {
            value if is_web_address(&value) => Ok(Icon::Url { value, mime_type }),
            _ => Err("`icon.value` must be an http or https address".to_owned()),
        },
        Some("base64") => match value()? {
            value if is_base64(&value) => Ok(Icon::Base64 { value, mime_type }),
            _ => Err("`icon.value` is not base64".to_owned()),
        },
        Some(other) => Err(format!("the icon type `{}` is unknown", shown(other))),
    }
}

fn is_web_address(text: &str) -> bool {
    (text.starts_with("https://") || text.starts_with("http://"))
        && !text.chars().any(|c| c.is_control() || c.is_whitespace())
}

fn is_base64(text: &str) -> bool {
    text.trim_end_matches('=')
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"+/-_".contains(&b))
}
