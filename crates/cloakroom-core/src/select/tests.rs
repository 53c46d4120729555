use std::io::{self, Cursor, Read};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn pointers(texts: &[&str]) -> Pointers {
    Pointers::new(texts.iter().map(|text| text.parse().unwrap()))
}

fn text(text: &str) -> Option<Scalar> {
    Some(Scalar::Text(text.to_owned()))
}

fn number(digits: &str) -> Option<Scalar> {
    Some(Scalar::Number(digits.to_owned()))
}

/// Both ways of reading give the same.
#[track_caller]
fn check(json: &str, cases: &[(&str, Option<Scalar>)]) {
    let (texts, expected): (Vec<_>, Vec<_>) = cases.iter().cloned().unzip();
    let pointers = pointers(&texts);
    assert_eq!(
        pointers.extract_slice(json.as_bytes()).unwrap(),
        expected,
        "whole: {json}"
    );
    assert_eq!(
        pointers.extract_prefix(json.as_bytes()).unwrap(),
        expected,
        "stream: {json}"
    );
}

#[test]
fn the_examples_of_rfc_6901() {
    let json = r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;
    check(
        json,
        &[
            ("", None),
            ("/foo", None),
            ("/foo/0", text("bar")),
            ("/", number("0")),
            ("/a~1b", number("1")),
            ("/c%d", number("2")),
            ("/e^f", number("3")),
            ("/g|h", number("4")),
            ("/i\\j", number("5")),
            ("/k\"l", number("6")),
            ("/ ", number("7")),
            ("/m~0n", number("8")),
        ],
    );
}

#[test]
fn scalars_and_their_exact_digits() {
    for digits in [
        "0",
        "-0",
        "-7",
        "1.5e3",
        "1.50",
        "1E+2",
        "9007199254740993",
        "18446744073709551615",
        "18446744073709551616",
        "123456789012345678901234567890",
    ] {
        check(
            &format!(r#"{{"a": {digits}, "b": [{digits},{digits}]}}"#),
            &[
                ("/a", number(digits)),
                ("/b/1", number(digits)),
                ("/b/0", number(digits)),
            ],
        );
        check(
            &format!("  {digits} "),
            &[("", number(digits)), ("/a", None)],
        );
    }
    check(
        r#"{"t": true, "f": false, "n": null, "s": "\u00e9\n\ud83d\ude00"}"#,
        &[
            ("/t", Some(Scalar::Bool(true))),
            ("/f", Some(Scalar::Bool(false))),
            ("/n", Some(Scalar::Null)),
            ("/s", text("é\n😀")),
            ("/x", None),
            ("/s/0", None),
            ("/n/x", None),
        ],
    );
}

/// Some providers cut texts within a surrogate pair. That is valid JSON and no text, which matters only where it is selected.
#[test]
fn half_a_surrogate_pair_elsewhere_does_no_harm() {
    check(r#"{"note": "\ud83d", "id": 1}"#, &[("/id", number("1"))]);
}

#[test]
fn objects_and_arrays_are_no_scalars_and_are_still_looked_into() {
    check(
        r#"{"a": {"b": [10, {"c": "x"}]}, "d": {}}"#,
        &[
            ("/a", None),
            ("/a/b", None),
            ("/a/b/1/c", text("x")),
            ("/a/b/0", number("10")),
            ("/a/b/00", None),
            ("/a/b/-", None),
            ("/a/b/2", None),
            ("/a/b/x", None),
            ("/d", None),
            ("/a/b/0", number("10")),
        ],
    );
}

#[test]
fn the_first_of_two_members_counts() {
    check(r#"{"a": 1, "a": 2}"#, &[("/a", number("1"))]);
    check(
        r#"{"a": {"b": 1}, "a": {"c": 2}, "z": 0}"#,
        &[("/a/b", number("1")), ("/a/c", None), ("/z", number("0"))],
    );
    check(r#"{"a": {}, "a": 2}"#, &[("/a", None)]);
}

#[test]
fn a_whole_document_must_be_valid_to_its_end() {
    let wanted = pointers(&["/id"]);
    for json in [
        "",
        "{",
        r#"{"id": 1"#,
        r#"{"id": 1} x"#,
        r#"{"id": 1, }"#,
        r#"{"id": 01}"#,
        r#"{"id": "\ud800"}"#,
        r#"{"id": nul}"#,
        "{\"id\": \"\u{1}\"}",
    ] {
        let error = wanted.extract_slice(json.as_bytes()).unwrap_err();
        assert!(
            matches!(error, ExtractError::Invalid { .. }),
            "{json}: {error}"
        );
    }
    assert!(matches!(
        wanted.extract_slice(b"{\"id\": \"\xff\"}"),
        Err(ExtractError::Invalid { .. })
    ));
    let error = wanted.extract_slice(b"{\n \"secret\": x}").unwrap_err();
    assert_eq!(
        error.to_string(),
        "not valid JSON at line 2, column 12: check the body, or select from a header"
    );
    assert_eq!(pointers(&[]).extract_slice(b"[]").unwrap(), vec![]);
    assert!(pointers(&[]).extract_slice(b"[").is_err());
}

/// Gives each piece in one read, and fails the test when asked for more.
struct Pieces(Vec<&'static [u8]>);

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!self.0.is_empty(), "read beyond what was needed");
        let piece = self.0.remove(0);
        buffer[..piece.len()].copy_from_slice(piece);
        Ok(piece.len())
    }
}

#[test]
fn a_stream_is_read_no_further_than_needed() {
    let stream = |piece: &'static str, texts: &[&str]| {
        pointers(texts)
            .extract_prefix(Pieces(vec![piece.as_bytes()]))
            .unwrap()
    };
    assert_eq!(stream(r#"{"id": "a", "blob": "#, &["/id"]), [text("a")]);
    assert_eq!(stream(r#"{"id": 17, "#, &["/id"]), [number("17")]);
    assert_eq!(
        stream(r#"{"data": {"x": [1, {"id": true"#, &["/data/x/1/id"]),
        [Some(Scalar::Bool(true))]
    );
    assert_eq!(
        stream(r#"{"data": {"id": 3}"#, &["/data/id", "/data/type"]),
        [number("3"), None]
    );
    assert_eq!(stream(r#"{"data": ["#, &["/data"]), [None]);
    assert_eq!(stream(r#"{"data": ["#, &["/data/name"]), [None]);
    assert_eq!(
        stream(r#"{"data": "a", "#, &["/data", "/data/id", "/data/type"]),
        [text("a"), None, None]
    );
    assert_eq!(pointers(&[]).extract_prefix(Pieces(vec![])).unwrap(), []);
}

#[test]
fn a_stream_that_breaks_off_or_fails_is_an_error() {
    let wanted = pointers(&["/id", "/type"]);
    assert!(matches!(
        wanted.extract_prefix(r#"{"id": 1"#.as_bytes()),
        Err(ExtractError::Invalid { .. })
    ));
    assert!(matches!(
        wanted.extract_prefix(r#"{"id": 1, x"#.as_bytes()),
        Err(ExtractError::Invalid { .. })
    ));
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let error = wanted
        .extract_prefix(r#"{"id": 1, "#.as_bytes().chain(Broken))
        .unwrap_err();
    assert!(
        matches!(error, ExtractError::Read(cause) if cause.kind() == io::ErrorKind::ConnectionReset)
    );
}

fn around(before: &'static str, byte: u8, count: u64, after: &'static str) -> impl Read {
    Cursor::new(before)
        .chain(io::repeat(byte).take(count))
        .chain(Cursor::new(after))
}

#[test]
fn long_texts_are_skipped_but_not_extracted() {
    const LONG: u64 = 1 << 20;
    let wanted = pointers(&["/id"]);
    let skipped = around(
        r#"{"blob": ""#,
        b'x',
        LONG,
        r#"", "list": ["", 1], "id": 5}"#,
    );
    assert_eq!(wanted.extract_prefix(skipped).unwrap(), [number("5")]);
    let skipped = around(r#"{"list": [1, "#, b'7', LONG, r#", "x"], "id": 5}"#);
    assert_eq!(wanted.extract_prefix(skipped).unwrap(), [number("5")]);

    for (before, byte, after) in [
        (r#"{"id": ""#, b'x', r#""}"#),
        (r#"{"id": "#, b'7', "}"),
        (r#"{""#, b'x', r#"": 1, "id": 5}"#),
    ] {
        assert!(
            matches!(
                wanted.extract_prefix(around(before, byte, LONG, after)),
                Err(ExtractError::TooLong)
            ),
            "{before}"
        );
    }
    for (length, fits) in [(TEXT_MAX_BYTES, true), (TEXT_MAX_BYTES + 1, false)] {
        let json = format!(r#"{{"id": "{}"}}"#, "x".repeat(length));
        let read = wanted.extract_slice(json.as_bytes());
        assert_eq!(matches!(read, Err(ExtractError::TooLong)), !fits);
        assert_eq!(wanted.extract_prefix(json.as_bytes()).is_ok(), fits);
        let escaped = json.replace('x', "\\u0078");
        assert_eq!(wanted.extract_slice(escaped.as_bytes()).is_ok(), fits);
        assert_eq!(wanted.extract_prefix(escaped.as_bytes()).is_ok(), fits);
    }
    // Where the pointer leads further, a long text is no obstacle to a document in memory.
    let json = format!(r#"{{"id": "{}"}}"#, "x".repeat(TEXT_MAX_BYTES + 1));
    assert_eq!(
        pointers(&["/id/x"]).extract_slice(json.as_bytes()).unwrap(),
        [None]
    );
}

#[test]
fn bombs_end_in_an_answer_or_an_error() {
    let wanted = pointers(&["/id", "/a/a/a/id"]);
    for (before, open) in [(r#"{"x":"#, "["), ("", r#"{"a":"#), ("", r#"{"x":["#)] {
        let bomb = format!("{before}{}", open.repeat(300_000));
        assert!(
            matches!(
                wanted.extract_slice(bomb.as_bytes()),
                Err(ExtractError::Invalid { .. })
            ),
            "{open}"
        );
        assert!(
            matches!(
                wanted.extract_prefix(bomb.as_bytes()),
                Err(ExtractError::TooDeep)
            ),
            "{open}"
        );
    }
    let deep = format!(
        r#"{{"x": {}{}, "id": 1}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    check(&deep, &[("/id", number("1"))]);
    let wide = format!(r#"{{"x": [{}[]], "id": 1}}"#, "{}, ".repeat(100_000));
    check(&wide, &[("/id", number("1"))]);
    for (depth, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let inner = depth - 1;
        let (open, close) = ("[".repeat(inner), "]".repeat(inner));
        let deepest = format!(r#"{{"x": {open}{close}, "id": 1}}"#);
        let read = wanted.extract_prefix(deepest.as_bytes());
        assert_eq!(matches!(read, Err(ExtractError::TooDeep)), !fits);
        assert_eq!(read.is_ok(), fits);
    }
    let steps = "/a".repeat(POINTER_MAX_STEPS);
    let path = format!(
        "{}1{}",
        r#"{"a":"#.repeat(POINTER_MAX_STEPS),
        "}".repeat(POINTER_MAX_STEPS)
    );
    check(&path, &[(&steps, number("1"))]);
    let many: String = (0..50_000)
        .map(|index| format!(r#""m{index}": {index}, "#))
        .collect();
    check(
        &format!(r#"{{{many}"id": 1}}"#),
        &[("/id", number("1")), ("/m49999", number("49999"))],
    );
}

#[test]
fn selectors_read_back_as_they_were_written() {
    for written in [
        "body:/data/id",
        "body:/a~1b/~0/0",
        "body:/",
        "header:X-Shopify-Triggered-At",
        "query:id",
        "const:all",
        "const:a:b /c",
        "query:ä",
    ] {
        let selector: Selector = written.parse().unwrap();
        assert_eq!(selector.to_string(), written);
        assert_eq!(serde_json::to_value(&selector).unwrap(), json!(written));
        assert_eq!(
            serde_json::from_value::<Selector>(json!(written)).unwrap(),
            selector
        );
    }
    assert_eq!(
        "header:a:b".parse::<Selector>().unwrap_err(),
        SelectorError::HeaderName("a:b".into())
    );
    assert_eq!(
        "body:/a~1b/~01"
            .parse::<Selector>()
            .unwrap()
            .pointer()
            .unwrap()
            .steps()
            .collect::<Vec<_>>(),
        ["a/b", "~1"]
    );
}

#[test]
fn a_wrong_selector_says_what_to_write() {
    let cases = [
        (
            "id",
            "`id` does not say where the value is found; write `body:/json/pointer`, `header:name`, `query:name` or `const:text`",
        ),
        (
            "/data/id",
            "`/data/id` does not say where the value is found; did you mean `body:/data/id`?",
        ),
        (
            "$.data.id",
            "`$.data.id` does not say where the value is found; did you mean `body:/data/id`?",
        ),
        (
            "haeder:x",
            "`haeder:x` does not say where the value is found; did you mean `header:x`?",
        ),
        (
            "body:data.id",
            "`data.id` is not a JSON Pointer, which begins with `/`; did you mean `/data/id`?",
        ),
        (
            "body:/a~2",
            "`/a~2` has a `~` that escapes nothing; in a JSON Pointer write `~0` for `~` and `~1` for `/` within a name",
        ),
        (
            "body:/a~",
            "`/a~` has a `~` that escapes nothing; in a JSON Pointer write `~0` for `~` and `~1` for `/` within a name",
        ),
        (
            "body:",
            "`body:` names no member; write a JSON Pointer, e.g. `body:/data/id`",
        ),
        (
            "const:",
            "nothing follows `const:`; write e.g. `query:id` or `const:all`",
        ),
        (
            "query:",
            "nothing follows `query:`; write e.g. `query:id` or `const:all`",
        ),
        (
            "haeder:",
            "`haeder:` does not say where the value is found; write `body:/json/pointer`, `header:name`, `query:name` or `const:text`",
        ),
        (
            "header:",
            "`` is not the name of a header; write letters, digits and dashes, e.g. `header:X-Event-Id`",
        ),
        (
            "header:a b",
            "`a b` is not the name of a header; write letters, digits and dashes, e.g. `header:X-Event-Id`",
        ),
    ];
    for (written, error) in cases {
        assert_eq!(written.parse::<Selector>().unwrap_err().to_string(), error);
    }
    assert_eq!(
        format!("body:{}", "/a".repeat(POINTER_MAX_STEPS + 1)).parse::<Selector>(),
        Err(SelectorError::Pointer(PointerError::TooDeep))
    );
}

const STEPS: [&str; 9] = ["a", "b", "", "0", "1", "01", "~", "/", "-"];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(|number: f64| json!(number)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(&STEPS[..]), inner, 0..5).prop_map(
                |members| members
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            ),
        ]
    })
}

fn any_pointer() -> impl Strategy<Value = JsonPointer> {
    prop::collection::vec(prop::sample::select(&STEPS[..]), 0..4).prop_map(|steps| {
        steps
            .iter()
            .map(|step| format!("/{}", step.replace('~', "~0").replace('/', "~1")))
            .collect::<String>()
            .parse()
            .unwrap()
    })
}

fn oracle(document: &Value, pointer: &JsonPointer) -> Option<Scalar> {
    match document.pointer(pointer.as_str())? {
        Value::Null => Some(Scalar::Null),
        Value::Bool(value) => Some(Scalar::Bool(*value)),
        Value::Number(digits) => number(&digits.to_string()),
        Value::String(value) => text(value),
        Value::Array(_) | Value::Object(_) => None,
    }
}

proptest! {
    #[test]
    fn extraction_agrees_with_the_whole_document(document in any_json(), wanted in prop::collection::vec(any_pointer(), 0..6), pretty: bool) {
        let json = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) }.unwrap();
        let expected: Vec<_> = wanted.iter().map(|pointer| oracle(&document, pointer)).collect();
        let pointers = Pointers::new(wanted);
        prop_assert_eq!(&pointers.extract_slice(json.as_bytes()).unwrap(), &expected);
        prop_assert_eq!(&pointers.extract_prefix(json.as_bytes()).unwrap(), &expected);
    }

    #[test]
    fn any_bytes_are_answered_or_refused(bytes: Vec<u8>, wanted in prop::collection::vec(any_pointer(), 0..4)) {
        let pointers = Pointers::new(wanted);
        let valid = serde_json::from_slice::<Value>(&bytes).is_ok();
        let whole = pointers.extract_slice(&bytes);
        prop_assert!(!valid || whole.is_ok());
        let streamed = pointers.extract_prefix(bytes.as_slice());
        prop_assert!(whole.is_err() || streamed.unwrap() == whole.unwrap());
    }

    #[test]
    fn json_like_text_is_read_the_same_both_ways(text in r#"[\[\]{}:,"a01\\ ue.+-]{0,24}"#, wanted in prop::collection::vec(any_pointer(), 1..4)) {
        let pointers = Pointers::new(wanted);
        if let Ok(whole) = pointers.extract_slice(text.as_bytes()) {
            prop_assert_eq!(pointers.extract_prefix(text.as_bytes()).unwrap(), whole);
        }
    }

    #[test]
    fn the_selector_parser_never_panics(text: String) {
        if let Ok(selector) = text.parse::<Selector>() {
            prop_assert_eq!(selector.to_string(), text);
        }
    }
}
