//! Malformed and hostile spec files: each is refused with its own words, in bounded time, and shows nothing that a
//! terminal would act upon.

use std::time::{Duration, Instant};

use osier::specs::format::FILE_BYTES_MAX;
use osier::specs::render::{Severity, block};
use osier::specs::{AppFile, NodeFacts, read_app};

/// Generous for a debug build on a busy machine; a release build needs a hundredth of it.
const TIME_MAX: Duration = Duration::from_secs(5);

fn read(file: &str, bytes: &[u8]) -> AppFile {
    let started = Instant::now();
    let read = read_app(&format!("apps/x/{file}"), bytes, "x", &NodeFacts::of_nobody());
    assert!(
        started.elapsed() < TIME_MAX,
        "{file} took {:?}",
        started.elapsed()
    );
    for error in read.errors.iter().chain(&read.warnings) {
        let shown = block(error, Severity::Mistake, false);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
        assert!(shown.len() < 4_000, "{} bytes: {shown:.200}", shown.len());
        serde_json::to_string(error).unwrap();
    }
    read
}

fn laughs() -> String {
    let mut text =
        "a0: &a0 [\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\",\"lol\"]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(",");
        text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    text
}

#[test]
fn each_hostile_yaml_is_refused_with_its_own_words() {
    let huge_keys: String = (0..100_000).map(|key| format!("k{key}: 1\n")).collect();
    let many_aliases = format!("a: &a 1\nb: [{}]\n", ["*a"; 51].join(", "));
    let anchors: String = (0..3_000)
        .map(|n| format!("k{n}: &a{n} [1, 2, 3, 4, 5, 6, 7, 8]\n"))
        .collect();
    let anchors = format!("{anchors}last: *a1\n");
    for (why, text, says) in [
        ("billion laughs", laughs(), "more than 20000 values"),
        ("many aliases", many_aliases, "more than 50 aliases"),
        ("many anchors", anchors, "more than 20000 values"),
        (
            "deep sequences",
            "[".repeat(50_000),
            "nested deeper than 64 levels",
        ),
        (
            "deep maps",
            format!("{}1{}", "{a: ".repeat(20_000), "}".repeat(20_000)),
            "nested deeper than 64 levels",
        ),
        (
            "deep blocks",
            (0..200).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
            "nested deeper than 64 levels",
        ),
        (
            "an anchor inside itself",
            "a: &a [*a]\n".to_owned(),
            "this alias stands inside the value that it names",
        ),
        (
            "a key twice",
            "name: a\nname: b\n".to_owned(),
            "the key `name` stands twice in one map",
        ),
        (
            "a language's tag",
            "!!python/object/apply:os.system ['id']\n".to_owned(),
            "is not supported",
        ),
        (
            "two documents",
            "name: a\n---\nname: b\n".to_owned(),
            "a second document begins here",
        ),
        ("tabs", "name:\n\t- a\n".to_owned(), "not valid YAML"),
        ("a NUL", "name: a\0b\n".to_owned(), "control character U+0000"),
        (
            "an escape",
            "name: a\u{1b}]0;x\u{7}\n".to_owned(),
            "control character U+001B",
        ),
        (
            "an escaped NUL",
            "version: \"1\"\ncommand: [\"a\\0b\"]\n".to_owned(),
            "a NUL character stands in it",
        ),
        ("nothing", String::new(), "the file is empty"),
        ("a comment", "# nothing\n".to_owned(), "the file is empty"),
        (
            "a merge key",
            "base: &b {x: 1}\nname: a\n<<: *b\n".to_owned(),
            "merge keys",
        ),
        ("an unknown alias", "name: *nobody\n".to_owned(), "not valid YAML"),
        (
            "a map as key",
            "? {a: 1}\n: b\n".to_owned(),
            "a key must be a plain text",
        ),
        (
            "a list",
            "- a\n".to_owned(),
            "a spec is a map of keys, found a list",
        ),
        (
            "a text",
            "hello".to_owned(),
            "a spec is a map of keys, found a text",
        ),
        ("100,000 keys", huge_keys, "more than 20000 values"),
    ] {
        let read = read("app.yaml", text.as_bytes());
        assert!(read.spec.is_none() || !read.errors.is_empty(), "{why} was taken");
        assert!(
            read.errors.iter().any(|error| error.message.contains(says)),
            "{why}: {:?}",
            read.errors
        );
    }
}

#[test]
fn the_other_formats_hold_the_same_limits() {
    let deep = 10_000;
    for (file, text, says) in [
        ("app.json", "[".repeat(deep), "nested deeper than 64 levels"),
        (
            "app.json",
            format!("{{\"a\": {}", "{\"a\": ".repeat(100)),
            "not valid JSON",
        ),
        (
            "app.json",
            format!("{}1{}", "{\"a\": ".repeat(100), "}".repeat(100)),
            "nested deeper than 64 levels",
        ),
        (
            "app.json",
            "{\"name\": \"a\", \"name\": \"b\"}".to_owned(),
            "stands twice",
        ),
        ("app.json", "{\"name\": \"a\"} {}".to_owned(), "not valid JSON"),
        ("app.json", "{\"name\": \"a\",}".to_owned(), "not valid JSON"),
        ("app.json", "{// no\n\"name\": 'a'}".to_owned(), "not valid JSON"),
        (
            "app.json",
            "[1, 2, 3]".to_owned(),
            "a spec is a map of keys, found a list",
        ),
        (
            "app.json",
            format!("{{\"a\": [{}1]}}", "1,".repeat(30_000)),
            "more than 20000 values",
        ),
        (
            "app.toml",
            format!("a = {}1{}", "[".repeat(deep), "]".repeat(deep)),
            "nested deeper than 64 levels",
        ),
        (
            "app.toml",
            format!("a = {}1{}", "[".repeat(70), "]".repeat(70)),
            "nested deeper than 64 levels",
        ),
        (
            "app.toml",
            "name = 'a'\nname = 'b'\n".to_owned(),
            "not valid TOML: duplicate key",
        ),
        (
            "app.toml",
            format!("a = [{}1]", "1,".repeat(30_000)),
            "more than 20000 values",
        ),
        ("app.toml", "name 'a'".to_owned(), "not valid TOML"),
        ("app.config", "[".repeat(deep), "nested deeper than 64 levels"),
        (
            "app.config",
            "os:cmd(\"id\").".to_owned(),
            "expected `.` after the term",
        ),
        (
            "app.config",
            "{name,a}.".to_owned(),
            "a spec is a map of keys, found a list",
        ),
    ] {
        let read = read(file, text.as_bytes());
        assert!(
            read.errors.iter().any(|error| error.message.contains(says)),
            "{file} {text:.40}: {:?}",
            read.errors
        );
    }
}

#[test]
fn what_a_parser_itself_finds_too_deep_is_told_as_such_in_every_format() {
    for (file, head) in [
        ("app.yaml", "a: "),
        ("app.toml", "a = "),
        ("app.json", "{\"a\": "),
        ("app.config", "#{a => "),
    ] {
        let read = read(file, (head.to_owned() + &"[".repeat(50_000)).as_bytes());
        let error = &read.errors[0];
        assert_eq!(
            (error.message.as_str(), error.help.as_str(), error.line),
            ("nested deeper than 64 levels", "flatten it", 1),
            "{file}"
        );
    }
}

#[test]
fn bytes_that_are_no_text_name_the_byte() {
    for file in ["app.yaml", "app.toml", "app.json", "app.config"] {
        let read = read(file, b"name: \xff\xfe\n");
        assert_eq!(read.errors[0].message, "not UTF-8: byte 6 does not belong");
        assert_eq!(
            (
                read.errors[0].line,
                read.errors[0].column,
                read.errors[0].source_line.as_str()
            ),
            (1, 7, "name: \u{fffd}\u{fffd}")
        );
    }
    let large = read("app.yaml", &vec![b'a'; FILE_BYTES_MAX + 1]);
    assert!(
        large.errors[0].message.contains("the file has 1048577 bytes"),
        "{:?}",
        large.errors
    );
    let full = read("app.yaml", &vec![b'a'; FILE_BYTES_MAX]);
    assert!(
        full.errors[0].message.contains("found a text"),
        "{:?}",
        full.errors
    );
}

#[test]
fn a_byte_order_mark_and_foreign_line_breaks_are_fine() {
    let read = read(
        "app.yaml",
        b"\xef\xbb\xbfname: a\r\nversion: \"1\"\r\ncommand: [x]\r\nbad: 1\r\n",
    );
    assert_eq!(read.errors.len(), 1);
    let error = &read.errors[0];
    assert_eq!(
        (error.line, error.column, error.width, error.source_line.as_str()),
        (4, 1, 3, "bad: 1")
    );
}

#[test]
fn plain_yaml_values_keep_what_was_written() {
    let text = "name: no\nversion: 1.10\ncommand: [x]\nenv:\n  MODE: 0755\n  WHEN: 2026-01-01\n  OK: on\n  N: .nan\n  \
                BIG: 123456789012345678901234567890\n  HEX: 0x1F\n  T: true\n  TILDE: ~\n  EXP: 1e3\n";
    let read = read("app.yaml", text.as_bytes());
    assert_eq!(read.errors, []);
    let spec = read.spec.unwrap();
    assert_eq!((spec.name.as_str(), spec.version.as_str()), ("no", "1.10"));
    let env: Vec<(&str, &str)> = spec
        .env
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        env,
        [
            ("BIG", "123456789012345678901234567890"),
            ("EXP", "1e3"),
            ("HEX", "0x1F"),
            ("MODE", "0755"),
            ("N", ".nan"),
            ("OK", "on"),
            ("T", "true"),
            ("WHEN", "2026-01-01"),
        ]
    );
    assert_eq!(read.warnings.len(), 1, "a null variable is worth a word");
}

#[test]
fn no_name_becomes_a_path() {
    for name in [
        "../../x",
        "/x",
        "-rf",
        "a/b",
        "",
        "A",
        "a\\nb",
        "<script>alert(1)</script>",
        "$(id)",
        "ä",
        "a b",
    ] {
        let text = format!("name: \"{name}\"\nversion: \"1\"\ncommand: [x]\n");
        let read = read("app.yaml", text.as_bytes());
        assert_eq!(read.name, None, "{name}");
        assert!(
            read.errors[0].message.contains("is not a valid app name"),
            "{name}: {:?}",
            read.errors
        );
    }
    let long = read(
        "app.yaml",
        format!("name: {}\nversion: \"1\"\ncommand: [x]\n", "x".repeat(300)).as_bytes(),
    );
    assert!(
        long.errors[0].message.contains("longer than 63"),
        "{:?}",
        long.errors
    );
}

#[test]
fn expansion_cannot_be_made_to_grow_without_bound() {
    // Each variable is twice the one before: 2^40 bytes if it were followed.
    let mut text = "version: \"1\"\ncommand: [x]\nenv:\n  V0: xxxxxxxxxxxxxxxx\n".to_owned();
    for n in 1..40 {
        text.push_str(&format!("  V{n}: \"${{env.V{}}}${{env.V{}}}\"\n", n - 1, n - 1));
    }
    let read = read("app.yaml", text.as_bytes());
    assert!(
        read.errors
            .iter()
            .any(|error| error.message.contains("longer than 64 KiB")),
        "{:?}",
        read.errors
    );
    let circle = "version: \"1\"\ncommand: [x]\nenv: {A: \"${env.B}\", B: \"x${env.A}\"}\n";
    let read = self::read("app.yaml", circle.as_bytes());
    assert_eq!(read.errors.len(), 2);
    assert_eq!(
        read.errors[0].message,
        "`env.A`: a variable needs itself: A -> B -> A"
    );
}
