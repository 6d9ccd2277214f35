//! YAML 1.2 on granit-parser's events (the parser under serde-saphyr): values keep their source text and place, which a
//! serde deserializer would lose. Only `true` and `false` are booleans, duplicate keys are refused, one document only.

use std::collections::{BTreeMap, HashMap};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, Span, StrInput, StructureStyle, Tag};

use super::fault;
use crate::specs::mistake::Mistake;
use crate::specs::node::{ALIASES_MAX, Budget, DEPTH_MAX, Entry, Map, Node, Place, Value, is_decimal};

/// Beyond [`DEPTH_MAX`], so that our own message comes first.
const PARSER_NESTING_MAX: usize = DEPTH_MAX + 4;

pub(super) fn read(text: &str, source: u16) -> Result<Node, Mistake> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: PARSER_NESTING_MAX,
        block_nesting_limit: PARSER_NESTING_MAX,
    };
    let reader = Reader {
        parser: Parser::new_from_str_with_options(text, options),
        source,
        text,
        budget: Budget::new(),
        anchors: text.contains('*').then(HashMap::new),
        copies: Budget::new(),
        alias_count: 0,
    };
    reader.document()
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    source: u16,
    text: &'t str,
    budget: Budget,
    /// What anchors stand for, with the count of values. `None`: the text holds no alias, so nothing need be kept.
    anchors: Option<HashMap<usize, (Node, usize)>>,
    /// Bounds the values kept for anchors.
    copies: Budget,
    alias_count: usize,
}

impl<'t> Reader<'t> {
    fn document(mut self) -> Result<Node, Mistake> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            let at = self.place(&span);
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_none() => {
                    let (event, span) = self.next()?;
                    root = Some(self.node(event, &span, 0)?.0);
                }
                Event::DocumentStart(..) => {
                    return Err(fault::syntax(
                        at,
                        "a second document begins here; one file is one spec",
                        "move it to a folder of its own",
                    ));
                }
                _ => return Err(fault::syntax(at, "unexpected content", "remove it")),
            }
        }
        Ok(root.unwrap_or(Node {
            value: Value::Null,
            at: Place::whole(self.source),
        }))
    }

    /// The node that begins with `event`, and how many values it has.
    fn node(&mut self, event: Event<'t>, span: &Span, depth: usize) -> Result<(Node, usize), Mistake> {
        let at = self.place(span);
        if depth > DEPTH_MAX {
            return Err(fault::depth(at));
        }
        if !self.budget.spend(1) {
            return Err(fault::nodes(at));
        }
        let (node, count, anchor) = match event {
            Event::Alias(id) => return self.alias(id, at),
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(text.into_owned(), style, tag.as_deref(), at)?;
                (Node { value, at }, 1, anchor)
            }
            Event::SequenceStart(style, anchor, tag) => {
                check_collection_tag(tag.as_deref(), "seq", at)?;
                let (node, count) = self.sequence(at, style, depth)?;
                (node, count, anchor)
            }
            Event::MappingStart(style, anchor, tag) => {
                check_collection_tag(tag.as_deref(), "map", at)?;
                let (node, count) = self.mapping(at, style, depth)?;
                (node, count, anchor)
            }
            _ => return Err(fault::syntax(at, "a value was expected here", "write one")),
        };
        if let Some(anchors) = self.anchors.as_mut().filter(|_| anchor != 0) {
            if !self.copies.spend(count) {
                return Err(fault::nodes(at));
            }
            anchors.insert(anchor, (node.clone(), count));
        }
        Ok((node, count))
    }

    fn alias(&mut self, id: usize, at: Place) -> Result<(Node, usize), Mistake> {
        self.alias_count = self.alias_count.saturating_add(1);
        if self.alias_count > ALIASES_MAX {
            return Err(fault::aliases(at));
        }
        let Some((node, count)) = self.anchors.as_ref().and_then(|anchors| anchors.get(&id)) else {
            return Err(fault::syntax(
                at,
                "this alias stands inside the value that it names",
                "write the value out",
            ));
        };
        if !self.budget.spend(*count) {
            return Err(fault::nodes(at));
        }
        // A mistake inside is shown where the value is written, not at the alias.
        Ok((node.clone(), *count))
    }

    fn sequence(&mut self, at: Place, style: StructureStyle, depth: usize) -> Result<(Node, usize), Mistake> {
        let mut items = Vec::new();
        let mut count = 1_usize;
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break self.place(&span);
            }
            let (item, item_count) = self.node(event, &span, depth.saturating_add(1))?;
            count = count.saturating_add(item_count);
            items.push(item);
        };
        let last = items.last().map_or(at.end, |item| item.at.end);
        let at = spanning(at, style, last, end);
        Ok((
            Node {
                value: Value::List(items),
                at,
            },
            count,
        ))
    }

    fn mapping(&mut self, at: Place, style: StructureStyle, depth: usize) -> Result<(Node, usize), Mistake> {
        let mut map = BTreeMap::new();
        let mut count = 1_usize;
        let mut last = at.end;
        let end = loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break self.place(&span);
            }
            let (key, key_at) = self.key(event, &span)?;
            let (event, span) = self.next()?;
            let (node, value_count) = self.node(event, &span, depth.saturating_add(1))?;
            count = count.saturating_add(value_count).saturating_add(1);
            last = node.at.end;
            if map.contains_key(&key) {
                return Err(fault::duplicate(key_at, &key));
            }
            map.insert(key, Entry { key_at, node });
        };
        let at = spanning(at, style, last, end);
        Ok((
            Node {
                value: Value::Map(Map(map)),
                at,
            },
            count,
        ))
    }

    fn key(&mut self, event: Event<'t>, span: &Span) -> Result<(String, Place), Mistake> {
        let at = self.place(span);
        if !self.budget.spend(1) {
            return Err(fault::nodes(at));
        }
        match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<" => Err(fault::syntax(
                at,
                "merge keys (`<<`) are not part of YAML 1.2",
                "write the keys out, or use `defaults` in osier.yaml",
            )),
            Event::Scalar(text, _, 0, None) => Ok((text.into_owned(), at)),
            _ => Err(fault::syntax(
                at,
                "a key must be a plain text, without tag, anchor or alias",
                "write it as text",
            )),
        }
    }

    fn next(&mut self) -> Result<(Event<'t>, Span), Mistake> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax(&self, error: &ScanError) -> Mistake {
        let start = error.marker().byte_offset().unwrap_or_default();
        let at = Place::new(self.source, start, start.saturating_add(1));
        // The parser looks ahead, so that its limit may come before ours.
        if *error.kind() == ErrorKind::RecursionLimitExceeded {
            return fault::depth(at);
        }
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        let has_tab = self
            .text
            .get(line_start..)
            .and_then(|rest| rest.lines().next())
            .is_some_and(|line| line.trim_start_matches(' ').starts_with('\t'));
        let help = if has_tab {
            "indent with spaces: YAML does not allow tabs there"
        } else {
            "check indentation, quotes and brackets from the line before on"
        };
        fault::syntax(at, format!("not valid YAML: {}", error.kind()), help)
    }

    fn place(&self, span: &Span) -> Place {
        let range = span.byte_range().unwrap_or_default();
        Place::new(self.source, range.start, range.end)
    }
}

fn scalar(text: String, style: ScalarStyle, tag: Option<&Tag>, at: Place) -> Result<Value, Mistake> {
    match tag {
        None if style == ScalarStyle::Plain => Ok(plain(text)),
        None => Ok(Value::Text(text)),
        Some(tag) => match tag.core_suffix() {
            Some("str") => Ok(Value::Text(text)),
            _ => Err(unknown_tag(tag, at)),
        },
    }
}

/// From the start of a collection to its closing bracket, or where it has none to its last value.
fn spanning(start: Place, style: StructureStyle, last: u32, end: Place) -> Place {
    let end = match style {
        StructureStyle::Flow => end.end,
        StructureStyle::Block => last,
    };
    Place {
        end: start.end.max(end),
        ..start
    }
}

fn check_collection_tag(tag: Option<&Tag>, expected: &str, at: Place) -> Result<(), Mistake> {
    match tag {
        Some(tag) if tag.core_suffix() != Some(expected) => Err(unknown_tag(tag, at)),
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, at: Place) -> Mistake {
    fault::syntax(
        at,
        format!(
            "the tag `{}` is not supported",
            crate::names::shown(&tag.original())
        ),
        "remove it; only `!!str` has a use here",
    )
}

/// A plain scalar by the core schema, with decimal numbers only and in their own spelling.
fn plain(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        number if is_decimal(number) => Value::Number(text),
        _ => Value::Text(text),
    }
}
