//! What `osier init` writes: a specs repository that passes `osier validate` and runs on any node.

/// The path of the JSON Schema within a specs repository.
pub const SCHEMA_PATH: &str = ".osier/app.schema.json";

/// The schema's path as a file in `apps/NAME/` sees it.
pub const SCHEMA_FROM_APP: &str = "../../.osier/app.schema.json";

/// A file to write: its path from the repository's root, and its text.
pub type NewFile = (String, String);

/// The files of a new repository with one app.
#[must_use]
pub fn new_repository() -> Vec<NewFile> {
    let mut files = vec![(
        "apps/hello/app.yaml".to_owned(),
        include_str!("scaffold/app.yaml").to_owned(),
    )];
    files.extend(surroundings());
    files
}

/// Everything but apps: settings, schema, a check for every change, and a page for people.
#[must_use]
pub fn surroundings() -> Vec<NewFile> {
    let schema = serde_json::to_string_pretty(&super::schema::app_schema()).unwrap_or_default();
    [
        ("osier.yaml", include_str!("scaffold/osier.yaml").to_owned()),
        (SCHEMA_PATH, schema + "\n"),
        (
            ".github/workflows/specs.yml",
            include_str!("scaffold/specs.yml").to_owned(),
        ),
        ("README.md", include_str!("scaffold/README.md").to_owned()),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into()
}
