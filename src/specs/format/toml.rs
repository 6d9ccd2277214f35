//! TOML by the toml crate's spanned tree. Dates are texts here; hexadecimal and friends become decimal.

use std::collections::BTreeMap;

use ::toml::Spanned;
use ::toml::de::{DeInteger, DeTable, DeValue};

use super::fault;
use crate::specs::mistake::Mistake;
use crate::specs::node::{Budget, DEPTH_MAX, Entry, Map, Node, Place, Value, is_decimal};

pub(super) fn read(text: &str, source: u16) -> Result<Node, Mistake> {
    let table = DeTable::parse(text).map_err(|error| {
        let range = error.span().unwrap_or_default();
        let at = Place::new(source, range.start, range.end);
        let reason = error.message();
        // The parser's own limit is reached before ours can be looked at, and has no kind but its words.
        if reason.contains("recurs") {
            return fault::depth(at);
        }
        fault::syntax(
            at,
            format!("not valid TOML: {reason}"),
            "check quotes, `=` and brackets on this line",
        )
    })?;
    let mut reader = Reader {
        source,
        budget: Budget::new(),
    };
    let at = reader.place(&table);
    let map = reader.table(table.into_inner(), 0)?;
    let value = if map.0.is_empty() {
        Value::Null
    } else {
        Value::Map(map)
    };
    Ok(Node { value, at })
}

struct Reader {
    source: u16,
    budget: Budget,
}

impl Reader {
    fn table(&mut self, table: DeTable<'_>, depth: usize) -> Result<Map, Mistake> {
        let mut map = BTreeMap::new();
        for (key, value) in table {
            let key_at = self.place(&key);
            if !self.budget.spend(1) {
                return Err(fault::nodes(key_at));
            }
            let node = self.node(value, depth.saturating_add(1))?;
            map.insert(key.into_inner().into_owned(), Entry { key_at, node });
        }
        Ok(Map(map))
    }

    fn node(&mut self, value: Spanned<DeValue<'_>>, depth: usize) -> Result<Node, Mistake> {
        let at = self.place(&value);
        if depth > DEPTH_MAX {
            return Err(fault::depth(at));
        }
        if !self.budget.spend(1) {
            return Err(fault::nodes(at));
        }
        let value = match value.into_inner() {
            DeValue::String(text) => Value::Text(text.into_owned()),
            DeValue::Integer(number) => Value::Number(decimal(&number, at)?),
            DeValue::Float(number) if is_decimal(number.as_str()) => {
                Value::Number(number.as_str().to_owned())
            }
            DeValue::Float(number) => Value::Text(number.as_str().to_owned()),
            DeValue::Boolean(boolean) => Value::Bool(boolean),
            DeValue::Datetime(datetime) => Value::Text(datetime.to_string()),
            DeValue::Array(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| self.node(item, depth.saturating_add(1)))
                    .collect::<Result<_, _>>()?,
            ),
            DeValue::Table(table) => Value::Map(self.table(table, depth)?),
        };
        Ok(Node { value, at })
    }

    fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        let range = spanned.span();
        Place::new(self.source, range.start, range.end)
    }
}

fn decimal(number: &DeInteger<'_>, at: Place) -> Result<String, Mistake> {
    if number.radix() == 10 {
        return Ok(number.as_str().to_owned());
    }
    i128::from_str_radix(number.as_str(), number.radix())
        .map(|value| value.to_string())
        .map_err(|_| fault::syntax(at, "this number is too large", "write it as text"))
}
