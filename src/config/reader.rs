//! Takes settings one by one out of the layers, into their types, and collects every mistake on the way.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Serialize;
use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, IntoDeserializer};
use toml::Spanned;
use toml::de::{DeValue, ValueDeserializer};

use super::codes;
use super::layers::{Origin, SourceText};
use super::surroundings::Surroundings;
use super::values::AbsolutePath;
use crate::repo_url::RepoUrl;
use crate::specs::SpecError;

/// What a layer says about one setting.
#[derive(Debug, Clone)]
pub(super) enum Given<'a> {
    /// A value of the file.
    Toml(Spanned<DeValue<'a>>),
    /// A variable's or a flag's text.
    Text(String),
}

/// A setting as the last layer that has it gives it.
#[derive(Debug, Clone)]
pub(super) struct Found<'a> {
    pub given: Given<'a>,
    pub origin: Origin,
}

/// The settings that were found, and the mistakes in them.
pub(super) struct Reader<'a> {
    surroundings: &'a Surroundings,
    source: SourceText<'a>,
    found: BTreeMap<String, Found<'a>>,
    mistakes: Vec<SpecError>,
}

impl<'a> Reader<'a> {
    pub fn new(
        surroundings: &'a Surroundings,
        source: SourceText<'a>,
        found: BTreeMap<String, Found<'a>>,
    ) -> Self {
        Self {
            surroundings,
            source,
            found,
            mistakes: Vec::new(),
        }
    }

    /// One without layers: every optional setting has its default.
    pub fn blank(surroundings: &'a Surroundings) -> Self {
        Self::new(surroundings, SourceText::NONE, BTreeMap::new())
    }

    /// Gives the one setting that has no default.
    pub fn assume_repo_url(&mut self, url: &RepoUrl) {
        let given = Given::Text(url.reveal());
        self.found.insert(
            "repo.url".to_owned(),
            Found {
                given,
                origin: Origin::Default,
            },
        );
    }

    pub fn surroundings(&self) -> &Surroundings {
        self.surroundings
    }

    /// The data directory where nothing says otherwise.
    pub fn default_data_dir(&self) -> AbsolutePath {
        #[expect(
            clippy::expect_used,
            reason = "the surroundings ignore relative folders and fall back on a literal"
        )]
        AbsolutePath::new(self.surroundings.data_dir())
            .or_else(|_| "/var/lib/osier".parse())
            .expect("an absolute path")
    }

    /// The data directory that is in force, for defaults that lie in it.
    pub fn data_dir(&self) -> AbsolutePath {
        match self.given("node.data_dir") {
            Some(Ok(path)) => path,
            Some(Err(_)) | None => self.default_data_dir(),
        }
    }

    /// What some layer gives, for checks of several settings; its own mistake is told by whoever takes it.
    pub fn given<T: DeserializeOwned>(&self, key: &str) -> Option<Result<T, Wrong>> {
        self.found.get(key).map(|found| decode(&found.given))
    }

    /// Does some layer give it, be it wrong? An optional setting can be given as nothing.
    pub fn is_given<T: DeserializeOwned>(&self, key: &str) -> bool {
        !matches!(self.given::<Option<T>>(key), None | Some(Ok(None)))
    }

    /// A setting that has a default.
    pub fn optional<T: DeserializeOwned + Serialize>(
        &mut self,
        key: &str,
        default: impl Fn(&Self) -> T,
    ) -> T {
        let value = self.take(key, |reader| match toml_text(&default(reader)) {
            Some(usual) => format!("write for example `{usual}`, the default"),
            None => "correct it, or leave it out: it need not be set".to_owned(),
        });
        value.unwrap_or_else(|| default(self))
    }

    /// A setting that must be there. Its absence is a mistake.
    pub fn required<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        if !self.found.contains_key(key) {
            let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
            let variable = format!("OSIER_{}", key.to_uppercase().replace('.', "__"));
            self.mistakes.push(SpecError {
                message: format!("`{key}` is not set"),
                help: format!("add `{name} = …` to [{section}], or set {variable}"),
                ..self.source.mistake(None, codes::MISSING_KEY)
            });
        }
        self.take(key, |_| "correct it: nothing else can stand in for it".to_owned())
    }

    /// The value of a setting, if some layer gives it and it is right.
    fn take<T: DeserializeOwned>(&mut self, key: &str, fix: impl FnOnce(&Self) -> String) -> Option<T> {
        let found = self.found.get(key)?;
        match decode(&found.given) {
            Ok(value) => Some(value),
            Err(wrong) => {
                let mistake = self.mistake_at(found, wrong.span, codes::BAD_VALUE);
                let help = fix(self);
                self.mistakes.push(SpecError {
                    message: format!("{key}: {}", wrong.message),
                    help,
                    ..mistake
                });
                None
            }
        }
    }

    /// A mistake of several settings together, shown at `key`.
    pub fn combination(&mut self, key: &str, message: String, help: String) {
        let mistake = match self.found.get(key) {
            Some(found) => self.mistake_at(found, None, codes::COMBINATION),
            None => self.source.mistake(None, codes::COMBINATION),
        };
        self.mistakes.push(SpecError {
            message,
            help,
            ..mistake
        });
    }

    fn mistake_at(&self, found: &Found<'_>, span: Option<Range<usize>>, code: &str) -> SpecError {
        match &found.given {
            Given::Toml(value) => self
                .source
                .mistake(Some(span.unwrap_or_else(|| value.span())), code),
            Given::Text(_) => SourceText::named(&found.origin.to_string()).mistake(None, code),
        }
    }

    /// Where each setting came from that some layer gives.
    pub fn origins(&self) -> BTreeMap<String, Origin> {
        self.found
            .iter()
            .map(|(key, found)| (key.clone(), found.origin.clone()))
            .collect()
    }

    /// The mistakes so far.
    pub fn into_mistakes(self) -> Vec<SpecError> {
        self.mistakes
    }
}

/// A value that its setting does not take.
pub(super) struct Wrong {
    message: String,
    /// The part of the file that is meant, where it is smaller than the value.
    span: Option<Range<usize>>,
}

fn decode<T: DeserializeOwned>(given: &Given<'_>) -> Result<T, Wrong> {
    match given {
        Given::Toml(value) => decode_toml(value.clone()),
        Given::Text(text) => decode_text(text),
    }
}

fn decode_toml<T: DeserializeOwned>(value: Spanned<DeValue<'_>>) -> Result<T, Wrong> {
    T::deserialize(ValueDeserializer::from(value)).map_err(|error| Wrong {
        message: one_line(error.message()),
        span: error.span(),
    })
}

/// A variable or a flag has no types: it is the text itself where the setting takes one, else TOML, else a list that
/// commas divide.
fn decode_text<T: DeserializeOwned>(text: &str) -> Result<T, Wrong> {
    let plain: StringDeserializer<toml::de::Error> = text.to_owned().into_deserializer();
    // An optional setting that is set to nothing is unset: the only way for a variable to say so.
    if text.is_empty()
        && let Ok(unset) = T::deserialize(serde::de::value::UnitDeserializer::<toml::de::Error>::new())
    {
        return Ok(unset);
    }
    let error = match T::deserialize(OptionalText(plain)) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let as_toml = DeValue::parse(text)
        .ok()
        .and_then(|value| T::deserialize(ValueDeserializer::from(value)).ok());
    let as_list = || {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let list: Vec<toml::Value> = parts.map(|part| toml::Value::String(part.to_owned())).collect();
        T::deserialize(toml::Value::Array(list))
    };
    as_toml.or_else(|| as_list().ok()).ok_or_else(|| Wrong {
        message: one_line(error.message()),
        span: None,
    })
}

/// A text for settings that may be unset as well: serde's own deserializers of text know no `Some`.
struct OptionalText(StringDeserializer<toml::de::Error>);

impl<'de> serde::Deserializer<'de> for OptionalText {
    type Error = toml::de::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_some(self.0)
    }

    fn deserialize_enum<V: serde::de::Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The message of a library, fit for one line.
fn one_line(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A value as TOML would write it on one line; none: it is unset.
pub(super) fn toml_text(value: &impl Serialize) -> Option<String> {
    toml::Value::try_from(value).ok().map(|value| value.to_string())
}
