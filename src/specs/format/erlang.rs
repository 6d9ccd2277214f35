//! Erlang terms as `file:consult` reads them: comments, atoms, strings, binaries, numbers, lists, tuples, maps, and the
//! final dot. They are data here and never evaluated.
//!
//! Read more kindly than Erlang does: a list of pairs is a map at any depth (bc_gitops took a nested one for nothing), and
//! a binary's string is UTF-8 with or without `/utf8`. Read more strictly: a key must not stand twice.

mod scan;

use std::collections::BTreeMap;

use self::scan::Scanner;
use super::fault;
use crate::specs::mistake::Mistake;
use crate::specs::node::{Budget, DEPTH_MAX, Entry, Map, Node, Place, Value};

pub(super) fn read(text: &str, source: u16) -> Result<Node, Mistake> {
    let mut reader = Reader {
        scan: Scanner::new(text, source),
        budget: Budget::new(),
    };
    reader.scan.skip_blank();
    if reader.scan.is_at_end() {
        return Ok(Node {
            value: Value::Null,
            at: Place::whole(source),
        });
    }
    let term = reader.term(0)?;
    reader.scan.skip_blank();
    reader.scan.final_dot()?;
    reader.scan.skip_blank();
    if !reader.scan.is_at_end() {
        let at = reader.scan.here();
        return Err(fault::syntax(
            at,
            "a second term begins here; one file is one spec",
            "remove one of them",
        ));
    }
    Ok(match term.node.value {
        // An empty proplist.
        Value::List(items) if items.is_empty() => Node {
            value: Value::Map(Map::default()),
            at: term.node.at,
        },
        value => Node {
            value,
            at: term.node.at,
        },
    })
}

/// A term; a pair may become a map's entry.
struct Term {
    node: Node,
    is_pair: bool,
}

struct Reader<'t> {
    scan: Scanner<'t>,
    budget: Budget,
}

impl Reader<'_> {
    fn term(&mut self, depth: usize) -> Result<Term, Mistake> {
        self.scan.skip_blank();
        let start = self.scan.offset();
        if depth > DEPTH_MAX {
            return Err(fault::depth(self.scan.here()));
        }
        if !self.budget.spend(1) {
            return Err(fault::nodes(self.scan.here()));
        }
        let inner = depth.saturating_add(1);
        let value = match self.scan.peek() {
            Some('[') => self.list(inner)?,
            Some('{') => {
                let items = self.items('{', '}', inner)?;
                let is_pair = is_pair(&items);
                let value = Value::List(items.into_iter().map(|term| term.node).collect());
                return Ok(Term {
                    node: Node {
                        value,
                        at: self.scan.since(start),
                    },
                    is_pair,
                });
            }
            Some('#') => self.map(inner)?,
            Some('<') => Value::Text(self.scan.binary()?),
            Some('"') => Value::Text(self.scan.strings()?),
            Some('$') => Value::Number(self.scan.character()?),
            Some('\'') => Value::Atom(self.scan.quoted_atom()?),
            Some(c) if c.is_ascii_digit() || c == '-' || c == '+' => Value::Number(self.scan.number()?),
            Some(c) if c.is_lowercase() => self.scan.atom()?,
            _ => return Err(self.scan.unexpected()),
        };
        Ok(Term {
            node: Node {
                value,
                at: self.scan.since(start),
            },
            is_pair: false,
        })
    }

    /// A list; if it holds pairs alone, the map that it stands for.
    fn list(&mut self, depth: usize) -> Result<Value, Mistake> {
        let items = self.items('[', ']', depth)?;
        if items.is_empty() || !items.iter().all(|item| item.is_pair) {
            return Ok(Value::List(items.into_iter().map(|term| term.node).collect()));
        }
        let mut map = BTreeMap::new();
        for item in items {
            let Value::List(pair) = item.node.value else {
                continue;
            };
            let [key, node] = <[Node; 2]>::try_from(pair).map_err(|_| self.scan.unexpected())?;
            insert(&mut map, key, node)?;
        }
        Ok(Value::Map(Map(map)))
    }

    /// The terms between `open` and `close`.
    fn items(&mut self, open: char, close: char, depth: usize) -> Result<Vec<Term>, Mistake> {
        self.scan.expect(open)?;
        let mut items = Vec::new();
        self.scan.skip_blank();
        if self.scan.take(close) {
            return Ok(items);
        }
        loop {
            items.push(self.term(depth)?);
            self.scan.skip_blank();
            if self.scan.take(close) {
                return Ok(items);
            }
            if self.scan.peek() == Some('|') {
                return Err(fault::syntax(
                    self.scan.here(),
                    "a list's tail is not supported",
                    "write the items out",
                ));
            }
            self.scan.expect_either(',', close)?;
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Mistake> {
        self.scan.expect('#')?;
        self.scan.skip_blank();
        self.scan.expect('{')?;
        let mut map = BTreeMap::new();
        self.scan.skip_blank();
        if self.scan.take('}') {
            return Ok(Value::Map(Map(map)));
        }
        loop {
            let key = self.term(depth)?.node;
            self.scan.skip_blank();
            self.scan.arrow()?;
            let node = self.term(depth)?.node;
            insert(&mut map, key, node)?;
            self.scan.skip_blank();
            if self.scan.take('}') {
                return Ok(Value::Map(Map(map)));
            }
            self.scan.expect_either(',', '}')?;
        }
    }
}

fn is_pair(items: &[Term]) -> bool {
    matches!(items, [key, _] if matches!(key.node.value, Value::Atom(_) | Value::Text(_) | Value::Bool(_)))
}

fn insert(map: &mut BTreeMap<String, Entry>, key: Node, node: Node) -> Result<(), Mistake> {
    let text = match key.value {
        Value::Atom(text) | Value::Text(text) | Value::Number(text) => text,
        Value::Bool(boolean) => boolean.to_string(),
        Value::Null | Value::List(_) | Value::Map(_) => {
            return Err(fault::syntax(
                key.at,
                "a key must be an atom or a text",
                "write it as an atom",
            ));
        }
    };
    if map.contains_key(&text) {
        return Err(fault::duplicate(key.at, &text));
    }
    map.insert(text, Entry { key_at: key.at, node });
    Ok(())
}

#[cfg(test)]
mod tests;
