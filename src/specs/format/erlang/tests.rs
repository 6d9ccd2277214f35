use crate::specs::node::{Node, Value};

/// A value in a short notation, for tables.
fn shape(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Number(number) => number.clone(),
        Value::Text(text) => format!("{text:?}"),
        Value::Atom(text) => format!("'{text}'"),
        Value::List(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(",")),
        Value::Map(map) => {
            let entries: Vec<String> = map
                .0
                .iter()
                .map(|(key, entry)| format!("{key}:{}", shape(&entry.node)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
    }
}

fn read(text: &str) -> Result<String, String> {
    super::read(text, 0)
        .map(|node| shape(&node))
        .map_err(|mistake| mistake.message)
}

#[test]
fn terms_are_read_as_file_consult_reads_them() {
    for (text, expected) in [
        ("a.", "'a'"),
        ("'Elixir.Foo Bar'.", "'Elixir.Foo Bar'"),
        ("a_b@C1.", "'a_b@C1'"),
        ("true. % yes", "true"),
        ("undefined.", "null"),
        ("\"a\" \"b\"\n  \"c\".", "\"abc\""),
        (r#""\t\s\\\"\x41\x{20AC}\101"."#, "\"\\t \\\\\\\"A€A\""),
        ("<<\"é\">>.", "\"é\""),
        ("<<\"é\"/utf8>>.", "\"é\""),
        ("<<104,105>>.", "\"hi\""),
        ("<<$h, \"i\", 8364/utf8>>.", "\"hi€\""),
        ("<< >>.", "\"\""),
        ("[].", "{}"),
        (
            "[1,-2, 16#FF, 1_000, 1.5e3, 1.50, $a, $\\n, 2#101, 0, 007].",
            "[1,-2,255,1000,1.5e3,1.50,97,10,5,0,7]",
        ),
        ("{a, b, {}}.", "['a','b',[]]"),
        ("#{a => 1, <<\"b\">> => #{}, \"c\" => [x]}.", "{a:1,b:{},c:['x']}"),
        ("[{a, 1}, {b, [{c, 2}]}].", "{a:1,b:{c:2}}"),
        ("[{a, 1}, b].", "[['a',1],'b']"),
        ("[{1, 2}].", "[[1,2]]"),
        ("%% only\n#{ % here\n a => %x\n 1 }.\n% end", "{a:1}"),
        ("", "null"),
        ("% nothing\n", "null"),
    ] {
        assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_term_says_what_was_expected_and_where() {
    for (text, offset, says) in [
        (
            "#{name=>a,version=><<\"1\">>}",
            27,
            "expected `.` after the term, found the end of the file",
        ),
        ("#{name=>a,,}.", 10, "expected a term, found `,`"),
        (
            "#{a=>1}. #{b=>2}.",
            9,
            "a second term begins here; one file is one spec",
        ),
        ("#{a := 1}.", 4, "expected `=>`, found `:`"),
        ("[a|b].", 2, "a list's tail is not supported"),
        ("[a b].", 3, "expected `,` or `]`, found `b`"),
        ("#{a => Name}.", 7, "a variable cannot stand in a term"),
        ("#{if => 1}.", 2, "`if` is a word of the language"),
        ("\"abc.", 0, "this string is never closed"),
        ("'abc.", 0, "this atom is never closed"),
        ("<<255>>.", 0, "this binary is not UTF-8"),
        ("<<\"a\":8>>.", 5, "expected `,` or `>`, found `:`"),
        ("#{a => 1, a => 2}.", 10, "the key `a` stands twice in one map"),
        ("#{#{} => 2}.", 2, "a key must be an atom or a text"),
        (
            "fun() -> os:cmd(\"id\") end.",
            0,
            "`fun` is a word of the language",
        ),
        ("os:cmd(\"id\").", 2, "expected `.` after the term, found `:`"),
        ("1.5.5.", 3, "expected `.` after the term, found `.`"),
        ("12abc.", 2, "expected the end of the number, found `a`"),
        ("\"\\x{110000}\".", 1, "this escape is no character"),
        ("a.b.", 1, "expected `.` after the term, found `.`"),
    ] {
        let mistake = super::read(text, 0).expect_err(text);
        assert_eq!(
            (mistake.at.start, mistake.message.as_str()),
            (offset, says),
            "{text}"
        );
    }
}

#[test]
fn depth_and_count_are_bounded() {
    for (text, says) in [
        ("[".repeat(100_000), "nested deeper"),
        ("{".repeat(100_000), "nested deeper"),
        ("#{a=>".repeat(100_000), "nested deeper"),
        (format!("[{}1].", "1,".repeat(100_000)), "more than 20000 values"),
    ] {
        let message = read(&text).expect_err("refused");
        assert!(message.contains(says), "{message}");
    }
}
