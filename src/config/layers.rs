//! The layers of a configuration, and where in them each value stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::reader::{Found, Given, Reader};
use super::surroundings::Surroundings;
use super::values::AbsolutePath;
use super::{CONFIG_BYTES_MAX, Config, ConfigError, NodeConfig, codes, sections};
use crate::specs::SpecError;
use crate::specs::mistake::nearest;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: u32,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) => write!(f, "${name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A configuration file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it lies, as messages show it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// A flag of the command line that sets a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// `--data-dir`.
    pub name: String,
    /// `node.data_dir`.
    pub key: String,
    /// As it was given. Relative paths are made absolute by whoever knows the current folder.
    pub value: String,
}

/// Everything that a configuration is made of; later layers win: file, environment, flags.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The file, if there is one.
    pub file: Option<ConfigFile>,
    /// The environment, the machine's name, and who runs the node.
    pub surroundings: Surroundings,
    /// The flags.
    pub flags: Vec<Flag>,
}

impl Layers {
    /// The configuration that they amount to.
    ///
    /// # Errors
    /// Every mistake of every layer.
    pub fn read(&self) -> Result<Config, ConfigError> {
        let (mut reader, mut mistakes) = self.gather();
        let config = sections::read(&mut reader);
        mistakes.extend(reader.into_mistakes());
        mistakes.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            _ => Err(ConfigError { mistakes }),
        }
    }

    /// The control socket alone, for somebody who looks for the daemon: mistakes elsewhere are the daemon's concern.
    #[must_use]
    pub fn socket(&self) -> AbsolutePath {
        let (mut reader, _) = self.gather();
        reader.optional("node.socket", |reader| reader.data_dir().join("osier.sock"))
    }

    /// Does any layer say anything about a node?
    #[must_use]
    pub fn say_something(&self) -> bool {
        let (reader, mistakes) = self.gather();
        self.file.is_some() || !reader.origins().is_empty() || !mistakes.is_empty()
    }

    /// The section `node` alone, for somebody who looks at this machine; none: it has a mistake of its own.
    #[must_use]
    pub fn node(&self) -> Option<NodeConfig> {
        let (mut reader, found) = self.gather();
        let node = NodeConfig::read(&mut reader)?;
        // What cannot be told apart from a setting of this section might have been one.
        let is_right = reader.into_mistakes().is_empty()
            && found.iter().all(|mistake| !mistake.message.starts_with("`node`"));
        is_right.then_some(node)
    }

    /// Each setting as the last layer gives it, and the mistakes in finding them.
    fn gather(&self) -> (Reader<'_>, Vec<SpecError>) {
        let known = Known::new(&self.surroundings);
        let mut found = BTreeMap::new();
        let mut mistakes = Vec::new();
        let source = self
            .file
            .as_ref()
            .map_or(SourceText::NONE, |file| SourceText::of(&file.path, &file.text));
        if let Some(file) = &self.file {
            read_file(file, source, &known, &mut found, &mut mistakes);
        }
        read_variables(&self.surroundings, &known, &mut found, &mut mistakes);
        read_flags(&self.flags, &known, &mut found, &mut mistakes);
        (Reader::new(&self.surroundings, source, found), mistakes)
    }
}

fn read_file<'a>(
    file: &'a ConfigFile,
    source: SourceText<'a>,
    known: &Known,
    found: &mut BTreeMap<String, Found<'a>>,
    mistakes: &mut Vec<SpecError>,
) {
    if file.text.len() > CONFIG_BYTES_MAX {
        mistakes.push(SpecError {
            message: format!(
                "a configuration has at most {CONFIG_BYTES_MAX} bytes, this has {}",
                file.text.len()
            ),
            help: "is it the right file?".to_owned(),
            ..source.mistake(None, codes::LIMIT)
        });
        return;
    }
    // What precedes a syntax error is still read: its mistakes are told at once.
    let (table, errors) = DeTable::parse_recoverable(&file.text);
    for error in errors {
        mistakes.push(SpecError {
            message: error.message().split_whitespace().collect::<Vec<_>>().join(" "),
            help: "check quotes, `=` and brackets on this line".to_owned(),
            ..source.mistake(Some(error.span().unwrap_or(0..0)), codes::SYNTAX)
        });
    }
    let mut walk = Walk {
        path: &file.path,
        source,
        known,
        found,
        mistakes,
    };
    walk.table("", table.into_inner());
}

/// Goes through the tables of a file.
struct Walk<'a, 'w> {
    path: &'a Path,
    source: SourceText<'a>,
    known: &'w Known,
    found: &'w mut BTreeMap<String, Found<'a>>,
    mistakes: &'w mut Vec<SpecError>,
}

impl<'a> Walk<'a, '_> {
    fn table(&mut self, prefix: &str, table: DeTable<'a>) {
        for (name, value) in table {
            let key = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            if self.known.settings.contains(&key) {
                let line = self.source.line_of(name.span().start);
                let origin = Origin::File {
                    path: self.path.to_owned(),
                    line,
                };
                self.found.insert(
                    key,
                    Found {
                        given: Given::Toml(value),
                        origin,
                    },
                );
            } else if self.known.sections.contains(&key) {
                self.section(&key, value);
            } else {
                let mistake = self.source.mistake(Some(name.span()), codes::UNKNOWN_KEY);
                let (message, help) = self.known.unknown(prefix, name.get_ref());
                self.mistakes.push(SpecError {
                    message,
                    help,
                    ..mistake
                });
            }
        }
    }

    fn section(&mut self, key: &str, value: Spanned<DeValue<'a>>) {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => self.table(key, table),
            other => self.mistakes.push(SpecError {
                message: format!("`{key}` is a section, not a {}", other.type_str()),
                help: format!("write `[{key}]` and its settings below"),
                ..self.source.mistake(Some(span), codes::BAD_VALUE)
            }),
        }
    }
}

fn read_variables(
    surroundings: &Surroundings,
    known: &Known,
    found: &mut BTreeMap<String, Found<'_>>,
    mistakes: &mut Vec<SpecError>,
) {
    for (name, value) in &surroundings.variables {
        // Without a double underscore it is no setting: `OSIER_SOCKET`, `OSIER_INSTANCE`.
        let Some(rest) = name.strip_prefix("OSIER_").filter(|rest| rest.contains("__")) else {
            continue;
        };
        let origin = Origin::Variable(name.clone());
        take_text(
            rest.to_lowercase().replace("__", "."),
            value,
            origin,
            known,
            found,
            mistakes,
        );
    }
}

fn read_flags(
    flags: &[Flag],
    known: &Known,
    found: &mut BTreeMap<String, Found<'_>>,
    mistakes: &mut Vec<SpecError>,
) {
    for flag in flags {
        let origin = Origin::Flag(flag.name.clone());
        take_text(flag.key.clone(), &flag.value, origin, known, found, mistakes);
    }
}

fn take_text(
    key: String,
    value: &str,
    origin: Origin,
    known: &Known,
    found: &mut BTreeMap<String, Found<'_>>,
    mistakes: &mut Vec<SpecError>,
) {
    if known.settings.contains(&key) {
        found.insert(
            key,
            Found {
                given: Given::Text(value.to_owned()),
                origin,
            },
        );
        return;
    }
    let (prefix, name) = key.rsplit_once('.').unwrap_or(("", &key));
    let (message, help) = known.unknown(prefix, name);
    let place = SourceText::named(&origin.to_string()).mistake(None, codes::UNKNOWN_KEY);
    mistakes.push(SpecError {
        message,
        help,
        ..place
    });
}

/// The names that a configuration may hold.
struct Known {
    settings: BTreeSet<String>,
    sections: BTreeSet<String>,
}

impl Known {
    fn new(surroundings: &Surroundings) -> Self {
        let all = sections::all(surroundings);
        Self {
            sections: all.iter().map(|section| section.path.to_owned()).collect(),
            settings: all
                .into_iter()
                .flat_map(|section| section.settings)
                .map(|setting| setting.key)
                .collect(),
        }
    }

    /// What to say about a key that nobody knows: message and help.
    fn unknown(&self, prefix: &str, name: &str) -> (String, String) {
        let shown = crate::names::shown(name);
        if prefix.is_empty() {
            let sections: Vec<&str> = self
                .sections
                .iter()
                .map(String::as_str)
                .filter(|path| !path.contains('.'))
                .collect();
            let message = format!("there is no section `{shown}`");
            return (
                message,
                self.elsewhere(name)
                    .unwrap_or_else(|| suggestion(name, &sections)),
            );
        }
        let below = |path: &String| path.strip_prefix(prefix)?.strip_prefix('.').map(str::to_owned);
        let siblings: Vec<String> = self
            .settings
            .iter()
            .chain(&self.sections)
            .filter_map(below)
            .collect();
        let siblings: Vec<&str> = siblings
            .iter()
            .map(String::as_str)
            .filter(|name| !name.contains('.'))
            .collect();
        let message = format!("`{}` has no setting `{shown}`", crate::names::shown(prefix));
        let help = match nearest(name, siblings.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => self
                .elsewhere(name)
                .unwrap_or_else(|| suggestion(name, &siblings)),
        };
        (message, help)
    }

    /// The section in which a setting of this name stands. The original's names count: there is no `repo_url` but `repo.url`.
    fn elsewhere(&self, name: &str) -> Option<String> {
        let is_it = |key: &&String| {
            key.rsplit_once('.').is_some_and(|(_, last)| last == name) || key.replace('.', "_") == name
        };
        let key = self.settings.iter().find(is_it)?;
        let (section, last) = key.rsplit_once('.')?;
        Some(format!("`{last}` belongs into [{section}]"))
    }
}

fn suggestion(name: &str, known: &[&str]) -> String {
    crate::specs::mistake::did_you_mean(name, known)
}

/// A text that mistakes point into.
#[derive(Debug, Clone, Copy)]
pub(super) struct SourceText<'a> {
    file: &'a str,
    text: &'a str,
}

/// How much of a line of the file a mistake shows.
const SOURCE_LINE_CHARS_MAX: usize = 200;

impl<'a> SourceText<'a> {
    /// Nothing was read.
    pub const NONE: SourceText<'static> = SourceText {
        file: "configuration",
        text: "",
    };

    fn of(path: &'a Path, text: &'a str) -> Self {
        Self {
            file: path.to_str().unwrap_or("configuration"),
            text,
        }
    }

    /// A variable or a flag.
    pub fn named(name: &'a str) -> Self {
        Self { file: name, text: "" }
    }

    /// The line, from 1, of a byte.
    fn line_of(&self, at: usize) -> u32 {
        let before = self.text.get(..at).unwrap_or(self.text);
        u32::try_from(before.matches('\n').count())
            .unwrap_or(u32::MAX)
            .saturating_add(1)
    }

    /// A mistake at a place of the text; without one, of the whole.
    pub fn mistake(&self, span: Option<Range<usize>>, code: &str) -> SpecError {
        let mut mistake = SpecError {
            app: None,
            file: self.file.to_owned(),
            line: 0,
            column: 0,
            width: 1,
            source_line: String::new(),
            code: code.to_owned(),
            message: String::new(),
            help: String::new(),
        };
        let Some(span) = span.filter(|_| !self.text.is_empty()) else {
            return mistake;
        };
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self
            .text
            .get(line_start..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        let meant = self
            .text
            .get(span)
            .and_then(|text| text.lines().next())
            .unwrap_or_default();
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        mistake.line = self.line_of(before.len());
        mistake.column = count(before.get(line_start..).unwrap_or_default()).saturating_add(1);
        mistake.width = count(meant).max(1);
        mistake.source_line = without_credentials(line);
        mistake
    }
}

/// A line of the file, cut and escaped. One that holds the user part of a URL is not shown: it may be a password.
fn without_credentials(line: &str) -> String {
    let has_user = line.split("://").skip(1).any(|rest| {
        rest.split(['/', '"', '\''])
            .next()
            .is_some_and(|host| host.contains('@'))
    });
    if has_user || line.trim_start().starts_with("webhooks") {
        return String::new();
    }
    let escaped = line.chars().take(SOURCE_LINE_CHARS_MAX).flat_map(|c| {
        if c.is_control() && c != '\t' {
            c.escape_default().collect::<Vec<_>>()
        } else {
            vec![c]
        }
    });
    escaped.collect()
}
