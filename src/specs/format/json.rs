//! JSON by jsonc-parser's syntax tree, which knows each value's place; everything beyond strict JSON is switched off.

use std::collections::BTreeMap;

use jsonc_parser::ast::{ObjectPropName, Value as Ast};
use jsonc_parser::common::Range;
use jsonc_parser::errors::ParseErrorKind;
use jsonc_parser::{CollectOptions, CommentCollectionStrategy, ParseOptions, parse_to_ast};

use super::fault;
use crate::specs::mistake::Mistake;
use crate::specs::node::{Budget, DEPTH_MAX, Entry, Map, Node, Place, Value};

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn read(text: &str, source: u16) -> Result<Node, Mistake> {
    let collect = CollectOptions {
        comments: CommentCollectionStrategy::Off,
        tokens: false,
    };
    let parsed = parse_to_ast(text, &collect, &STRICT).map_err(|error| {
        let range = error.range();
        let at = Place::new(source, range.start, range.end);
        // The parser's own limit is reached before ours can be looked at.
        if matches!(error.kind(), ParseErrorKind::NestingDepthExceeded) {
            return fault::depth(at);
        }
        fault::syntax(
            at,
            format!("not valid JSON: {}", error.kind()),
            "check quotes, commas and brackets from the line before on",
        )
    })?;
    let mut reader = Reader {
        source,
        budget: Budget::new(),
    };
    match parsed.value {
        Some(ast) => reader.node(ast, 0),
        None => Ok(Node {
            value: Value::Null,
            at: Place::whole(source),
        }),
    }
}

struct Reader {
    source: u16,
    budget: Budget,
}

impl Reader {
    fn node(&mut self, ast: Ast<'_>, depth: usize) -> Result<Node, Mistake> {
        let (value, range) = match ast {
            Ast::NullKeyword(null) => (Value::Null, null.range),
            Ast::BooleanLit(boolean) => (Value::Bool(boolean.value), boolean.range),
            Ast::NumberLit(number) => (Value::Number(number.value.to_owned()), number.range),
            Ast::StringLit(text) => (Value::Text(text.value.into_owned()), text.range),
            Ast::Array(array) => {
                let at = self.check(array.range, depth)?;
                let items = array
                    .elements
                    .into_iter()
                    .map(|item| self.node(item, depth.saturating_add(1)))
                    .collect::<Result<_, _>>()?;
                return Ok(Node {
                    value: Value::List(items),
                    at,
                });
            }
            Ast::Object(object) => {
                let at = self.check(object.range, depth)?;
                let mut map = BTreeMap::new();
                for property in object.properties {
                    let (key, range) = match property.name {
                        ObjectPropName::String(text) => (text.value.into_owned(), text.range),
                        ObjectPropName::Word(word) => (word.value.to_owned(), word.range),
                    };
                    let key_at = self.place(range);
                    if !self.budget.spend(1) {
                        return Err(fault::nodes(key_at));
                    }
                    if map.contains_key(&key) {
                        return Err(fault::duplicate(key_at, &key));
                    }
                    let node = self.node(property.value, depth.saturating_add(1))?;
                    map.insert(key, Entry { key_at, node });
                }
                return Ok(Node {
                    value: Value::Map(Map(map)),
                    at,
                });
            }
        };
        let at = self.check(range, depth)?;
        Ok(Node { value, at })
    }

    fn check(&mut self, range: Range, depth: usize) -> Result<Place, Mistake> {
        let at = self.place(range);
        if depth > DEPTH_MAX {
            Err(fault::depth(at))
        } else if self.budget.spend(1) {
            Ok(at)
        } else {
            Err(fault::nodes(at))
        }
    }

    fn place(&self, range: Range) -> Place {
        Place::new(self.source, range.start, range.end)
    }
}
