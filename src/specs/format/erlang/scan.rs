//! The words of Erlang terms: atoms, texts, numbers, and the marks between them.

use super::fault;
use crate::specs::mistake::Mistake;
use crate::specs::node::{Place, Value};

/// Words that Erlang keeps for itself: as atoms they need quotes.
const RESERVED: &[&str] = &[
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond",
    "div", "else", "end", "fun", "if", "let", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try",
    "when", "xor",
];

/// Walks over the text of a file.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    source: u16,
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str, source: u16) -> Self {
        Self { text, at: 0, source }
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.text.len()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// The character that comes next.
    pub(super) fn here(&self) -> Place {
        let width = self.peek().map_or(1, char::len_utf8);
        Place::new(self.source, self.at, self.at.saturating_add(width))
    }

    /// From `start` up to here.
    pub(super) fn since(&self, start: usize) -> Place {
        Place::new(self.source, start, self.at)
    }

    /// Passes white space and comments.
    pub(super) fn skip_blank(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at = self.at.saturating_add(rest.len().saturating_sub(trimmed.len()));
            if !trimmed.starts_with('%') {
                return;
            }
            self.at = self
                .at
                .saturating_add(trimmed.find('\n').unwrap_or(trimmed.len()));
        }
    }

    pub(super) fn take(&mut self, c: char) -> bool {
        let is_next = self.peek() == Some(c);
        if is_next {
            self.at = self.at.saturating_add(c.len_utf8());
        }
        is_next
    }

    pub(super) fn expect(&mut self, c: char) -> Result<(), Mistake> {
        if self.take(c) {
            Ok(())
        } else {
            Err(self.wanted(&format!("`{c}`")))
        }
    }

    /// Takes the comma between two items; `close` would have been right as well.
    pub(super) fn expect_either(&mut self, comma: char, close: char) -> Result<(), Mistake> {
        if self.take(comma) {
            Ok(())
        } else {
            Err(self.wanted(&format!("`{comma}` or `{close}`")))
        }
    }

    pub(super) fn arrow(&mut self) -> Result<(), Mistake> {
        if self.rest().starts_with("=>") {
            self.at = self.at.saturating_add(2);
            Ok(())
        } else {
            Err(self.wanted("`=>`"))
        }
    }

    /// The dot that ends a term: white space, a comment or the end follows it.
    pub(super) fn final_dot(&mut self) -> Result<(), Mistake> {
        let after = self.rest().strip_prefix('.');
        match after.map(|after| after.chars().next()) {
            Some(None) => {}
            Some(Some(c)) if c.is_whitespace() || c == '%' => {}
            _ => return Err(self.wanted("`.` after the term")),
        }
        self.at = self.at.saturating_add(1);
        Ok(())
    }

    /// What stands here belongs nowhere.
    pub(super) fn unexpected(&self) -> Mistake {
        match self.peek() {
            Some(c) if c.is_uppercase() || c == '_' => fault::syntax(
                self.here(),
                "a variable cannot stand in a term",
                "write an atom, in single quotes if it begins with a capital letter",
            ),
            _ => self.wanted("a term"),
        }
    }

    fn wanted(&self, what: &str) -> Mistake {
        let found = match self.peek() {
            Some(c) => format!("`{}`", crate::names::shown(c.encode_utf8(&mut [0; 4]))),
            None => "the end of the file".to_owned(),
        };
        let help = "check commas, quotes and brackets from the line before on";
        fault::syntax(self.here(), format!("expected {what}, found {found}"), help)
    }

    /// An atom without quotes. `true` and `false` are booleans, `undefined` and `null` nothing.
    pub(super) fn atom(&mut self) -> Result<Value, Mistake> {
        let start = self.at;
        let rest = self.rest();
        let length = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '@'))
            .unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or(rest);
        self.at = self.at.saturating_add(length);
        match word {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "undefined" | "null" => Ok(Value::Null),
            word if RESERVED.contains(&word) => {
                let help = format!("as an atom write '{word}'");
                Err(fault::syntax(
                    self.since(start),
                    format!("`{word}` is a word of the language"),
                    help,
                ))
            }
            word => Ok(Value::Atom(word.to_owned())),
        }
    }

    pub(super) fn quoted_atom(&mut self) -> Result<String, Mistake> {
        self.quoted('\'', "atom")
    }

    /// One string or several beside each other.
    pub(super) fn strings(&mut self) -> Result<String, Mistake> {
        let mut text = self.string()?;
        loop {
            let before = self.at;
            self.skip_blank();
            if self.peek() != Some('"') {
                self.at = before;
                return Ok(text);
            }
            text.push_str(&self.string()?);
        }
    }

    fn string(&mut self) -> Result<String, Mistake> {
        let is_triple = self.rest().strip_prefix("\"\"\"");
        if is_triple.is_some_and(|after| after.trim_start_matches([' ', '\t']).starts_with(['\n', '\r'])) {
            let message = "triple-quoted strings are not supported";
            return Err(fault::syntax(
                self.here(),
                message,
                "write \"one line\\n\" \"after the other\"",
            ));
        }
        self.quoted('"', "string")
    }

    fn quoted(&mut self, quote: char, what: &str) -> Result<String, Mistake> {
        let start = self.here();
        self.expect(quote)?;
        let mut text = String::new();
        loop {
            let Some(c) = self.peek() else {
                return Err(fault::syntax(
                    start,
                    format!("this {what} is never closed"),
                    format!("add the final {quote}"),
                ));
            };
            self.at = self.at.saturating_add(c.len_utf8());
            match c {
                '\\' => text.push(self.escaped()?),
                c if c == quote => return Ok(text),
                c => text.push(c),
            }
        }
    }

    /// What follows a backslash.
    fn escaped(&mut self) -> Result<char, Mistake> {
        let start = self.at.saturating_sub(1);
        let Some(c) = self.peek() else {
            return Err(self.wanted("an escaped character"));
        };
        self.at = self.at.saturating_add(c.len_utf8());
        let code = match c {
            'b' => Some(8),
            'd' => Some(127),
            'e' => Some(27),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            's' => Some(32),
            't' => Some(9),
            'v' => Some(11),
            '0'..='7' => {
                self.at = self.at.saturating_sub(1);
                self.digits(8, 3)
            }
            'x' if self.take('{') => {
                let code = self.digits(16, 6);
                self.expect('}')?;
                code
            }
            'x' => self.digits(16, 2),
            '^' => self.control(),
            other => Some(u32::from(other)),
        };
        code.and_then(char::from_u32).ok_or_else(|| {
            fault::syntax(
                self.since(start),
                "this escape is no character",
                "correct or remove it",
            )
        })
    }

    /// The number made of up to `count_max` digits.
    fn digits(&mut self, radix: u32, count_max: usize) -> Option<u32> {
        let count = self
            .rest()
            .chars()
            .take(count_max)
            .take_while(|c| c.is_digit(radix))
            .count();
        let digits = self.rest().get(..count)?;
        self.at = self.at.saturating_add(count);
        u32::from_str_radix(digits, radix).ok()
    }

    fn control(&mut self) -> Option<u32> {
        let c = self.peek().filter(char::is_ascii)?;
        self.at = self.at.saturating_add(1);
        Some(u32::from(c) & 31)
    }

    /// `$a`, `$\n`: a character's code.
    pub(super) fn character(&mut self) -> Result<String, Mistake> {
        self.expect('$')?;
        let Some(c) = self.peek() else {
            return Err(self.wanted("a character"));
        };
        self.at = self.at.saturating_add(c.len_utf8());
        let c = if c == '\\' { self.escaped()? } else { c };
        Ok(u32::from(c).to_string())
    }

    /// `1`, `-1`, `1_000`, `16#FF`, `1.5`, `1.5e-3`: in decimal notation, without underscores.
    pub(super) fn number(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        let is_negative = self.take('-');
        if !is_negative {
            self.take('+');
        }
        self.skip_blank();
        let whole = self.digits_with_underscores(10);
        if whole.is_empty() {
            return Err(self.wanted("a digit"));
        }
        let mut number = if self.take('#') {
            self.based(&whole, start)?
        } else {
            self.decimal(&whole)
        };
        if self
            .peek()
            .is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '#')
        {
            return Err(self.wanted("the end of the number"));
        }
        if is_negative {
            number.insert(0, '-');
        }
        Ok(number)
    }

    fn based(&mut self, base: &str, start: usize) -> Result<String, Mistake> {
        let radix = base.parse().ok().filter(|radix| (2..=36).contains(radix));
        let value = radix.and_then(|radix| {
            let digits = self.digits_with_underscores(radix);
            i128::from_str_radix(&digits, radix).ok()
        });
        value.map(|value| value.to_string()).ok_or_else(|| {
            fault::syntax(
                self.since(start),
                "this is not a number",
                "write it in decimal notation",
            )
        })
    }

    /// The fraction and exponent after `whole`, where there are any. A dot without a digit after it ends the term.
    fn decimal(&mut self, whole: &str) -> String {
        let trimmed = whole.trim_start_matches('0');
        let mut number = if trimmed.is_empty() {
            "0".to_owned()
        } else {
            trimmed.to_owned()
        };
        let fraction = self
            .rest()
            .strip_prefix('.')
            .filter(|after| after.starts_with(|c: char| c.is_ascii_digit()));
        if fraction.is_none() {
            return number;
        }
        self.take('.');
        number.push('.');
        number.push_str(&self.digits_with_underscores(10));
        let exponent = self.rest().strip_prefix(['e', 'E']);
        let has_exponent = exponent.is_some_and(|after| {
            after
                .strip_prefix(['+', '-'])
                .unwrap_or(after)
                .starts_with(|c: char| c.is_ascii_digit())
        });
        if has_exponent {
            number.push('e');
            self.at = self.at.saturating_add(1);
            if self.take('-') {
                number.push('-');
            } else {
                self.take('+');
            }
            number.push_str(&self.digits_with_underscores(10));
        }
        number
    }

    /// Digits, single underscores between them left out.
    fn digits_with_underscores(&mut self, radix: u32) -> String {
        let mut digits = String::new();
        loop {
            let mut ahead = self.rest().chars();
            match (ahead.next(), ahead.next()) {
                (Some(c), _) if c.is_digit(radix) => {
                    digits.push(c);
                    self.at = self.at.saturating_add(1);
                }
                (Some('_'), Some(c)) if c.is_digit(radix) && !digits.is_empty() => {
                    self.at = self.at.saturating_add(1);
                }
                _ => return digits,
            }
        }
    }

    /// `<<"text">>`, `<<"text"/utf8>>`, `<<1, 2, 3>>` and mixtures, as UTF-8.
    pub(super) fn binary(&mut self) -> Result<String, Mistake> {
        let start = self.at;
        self.expect('<')?;
        self.expect('<')?;
        let mut bytes = Vec::new();
        self.skip_blank();
        if !self.rest().starts_with(">>") {
            loop {
                self.segment(&mut bytes)?;
                self.skip_blank();
                if self.rest().starts_with(">>") {
                    break;
                }
                self.expect_either(',', '>')?;
                self.skip_blank();
            }
        }
        self.at = self.at.saturating_add(2);
        String::from_utf8(bytes).map_err(|_| {
            fault::syntax(
                self.since(start),
                "this binary is not UTF-8",
                "write it as a text",
            )
        })
    }

    /// One segment of a binary. Of types only `utf8` and `integer` have a use here; sizes have none.
    fn segment(&mut self, bytes: &mut Vec<u8>) -> Result<(), Mistake> {
        let start = self.at;
        let (text, code) = match self.peek() {
            Some('"') => (self.strings()?, None),
            Some('$') => (String::new(), self.character()?.parse::<u32>().ok()),
            _ => (String::new(), self.number()?.parse::<u32>().ok()),
        };
        self.skip_blank();
        let is_utf8 = if self.take('/') {
            let rest = self.rest();
            let length = rest
                .find(|c: char| !c.is_ascii_alphanumeric())
                .unwrap_or(rest.len());
            let kind = rest.get(..length).unwrap_or_default();
            self.at = self.at.saturating_add(length);
            match kind {
                "utf8" => true,
                "integer" => false,
                _ => {
                    return Err(fault::syntax(
                        self.since(start),
                        "this type of segment is not supported",
                        "write /utf8",
                    ));
                }
            }
        } else {
            false
        };
        match code {
            _ if !text.is_empty() => bytes.extend_from_slice(text.as_bytes()),
            Some(code) if is_utf8 => match char::from_u32(code) {
                Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                None => {
                    return Err(fault::syntax(
                        self.since(start),
                        "this is no character",
                        "correct it",
                    ));
                }
            },
            Some(code) => match u8::try_from(code) {
                Ok(byte) => bytes.push(byte),
                Err(_) => {
                    return Err(fault::syntax(
                        self.since(start),
                        "a byte is at most 255",
                        "add /utf8 for a character",
                    ));
                }
            },
            None => {}
        }
        Ok(())
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }
}
