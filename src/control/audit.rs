//! Who changed the node, with what words, and what came of it: one event for each call, on the disk before its answer.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::procedures::NodeContext;
use super::server::Caller;
use crate::rpc::RpcError;
use crate::telemetry::Event;

/// How long an answer waits for the disk. The change is made already; a disk that hangs must not hide that.
const KEEP_MAX: Duration = Duration::from_secs(2);
/// The longest word of a request that is written out; a longer one is named by its digest.
const WORD_BYTES_MAX: usize = 200;
/// Whose call was dropped, by a deadline or because the caller left.
const GIVEN_UP: &str = "nobody waited for the end; what was begun goes on";

/// What is noted of one call. However the call ends, it is told.
pub(super) struct Audit {
    node: Arc<NodeContext>,
    actor: String,
    procedure: String,
    words: Words,
    is_over: bool,
}

/// A request in words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    target: Option<String>,
    arguments: Option<String>,
    reason: Option<String>,
}

impl Audit {
    /// A call comes in.
    pub fn begin(node: &Arc<NodeContext>, caller: &Caller, procedure: &str) -> Self {
        Self {
            node: Arc::clone(node),
            actor: caller.describe(),
            procedure: procedure.to_owned(),
            words: Words::default(),
            is_over: false,
        }
    }

    /// What is asked for.
    pub fn note(&mut self, request: &impl Serialize) {
        self.words = serde_json::to_value(request).map_or_else(|_| Words::default(), words);
    }

    /// It asks for nothing that there is.
    pub fn is_nothing(&mut self) {
        self.is_over = true;
    }

    /// It is done, or the answer is no. Returns when that is on the disk.
    pub async fn end(&mut self, error: Option<&RpcError>) {
        let event = self.event(error.map_or("ok", |error| &error.message));
        self.is_over = true;
        let _ = tokio::time::timeout(KEEP_MAX, self.node.telemetry.keep(event)).await;
    }

    fn event(&mut self, result: &str) -> Event {
        let Words {
            target,
            arguments,
            reason,
        } = std::mem::take(&mut self.words);
        Event::Audit {
            actor: self.actor.clone(),
            procedure: self.procedure.clone(),
            target,
            arguments,
            reason,
            result: result.to_owned(),
        }
    }
}

impl Drop for Audit {
    fn drop(&mut self) {
        if !self.is_over {
            let event = self.event(GIVEN_UP);
            self.node.events.emit(event);
        }
    }
}

/// The target by its usual names, the reason, and every other word that was said.
fn words(request: Value) -> Words {
    let Value::Object(mut fields) = request else {
        return Words::default();
    };
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let reason = take("reason");
    let target = take("app").or_else(|| take("file")).or_else(|| take("path"));
    // What resumes is a suspension of `false`: that is its point.
    let is_said = |name: &str, value: &Value| match value {
        Value::Null => false,
        Value::Bool(false) => name == "suspend",
        _ => true,
    };
    let said = fields.iter().filter(|(name, value)| is_said(name, value));
    let said: Vec<String> = said
        .map(|(name, value)| format!("{name}:{}", word(value)))
        .collect();
    Words {
        target,
        arguments: Some(said.join(" ")).filter(|text| !text.is_empty()),
        reason,
    }
}

fn word(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if text.len() <= WORD_BYTES_MAX && !text.contains(char::is_whitespace) {
        return text;
    }
    format!(
        "blake3:{} ({} bytes)",
        blake3::hash(text.as_bytes()).to_hex(),
        text.len()
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(request: Value) -> (Option<String>, Option<String>, Option<String>) {
        let found = words(request);
        (found.target, found.arguments, found.reason)
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_request_becomes_words_and_what_was_not_said_is_left_out() {
        let request = json!({"operation": "stop", "app": "web"});
        assert_eq!(of(request), (some("web"), some("operation:stop"), None));
        let request =
            json!({"app": null, "prune": true, "accept": null, "wait": false, "reason": "clean up"});
        assert_eq!(of(request), (None, some("prune:true"), some("clean up")));
        assert_eq!(of(json!({})), (None, None, None));
        let resumes = json!({"app": "web", "suspend": false, "for_ms": null, "reason": null});
        assert_eq!(of(resumes), (some("web"), some("suspend:false"), None));
    }

    #[test]
    fn a_whole_spec_is_named_by_its_digest() {
        let text = "version: 1\nenv: { TOKEN: secret }\n";
        let (target, arguments, _) = of(json!({"file": "web.yaml", "text": text, "hold_ms": 5000}));
        let digest = blake3::hash(text.as_bytes()).to_hex();
        assert_eq!(target.as_deref(), Some("web.yaml"));
        let arguments = arguments.unwrap();
        assert_eq!(
            arguments,
            format!("hold_ms:5000 text:blake3:{digest} ({} bytes)", text.len())
        );
        assert!(!arguments.contains("secret"));
    }
}
