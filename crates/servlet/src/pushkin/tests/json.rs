//! JSON bodies.

use super::*;
use crate::answer::with_causes;

fn events(body: &str) -> Decoded {
    decode(Format::Json, ItemKind::Events, body.as_bytes()).unwrap()
}

fn notifications(body: &str) -> Decoded {
    decode(Format::Json, ItemKind::Notifications, body.as_bytes()).unwrap()
}

fn refusal(kind: ItemKind, body: &[u8]) -> String {
    with_causes(&decode(Format::Json, kind, body).unwrap_err())
}

/// The event that comes of these members, or why none does.
fn one_event(members: &str) -> Result<Event, String> {
    let decoded = events(&format!("{{\"events\":[{{{members}}}]}}"));
    match (&decoded.items[..], decoded.rejected.listed()) {
        ([Item::Event(event)], []) => Ok(event.clone()),
        ([], [rejected]) => Err(rejected.reason.to_string()),
        other => panic!("one event in, {other:?} out"),
    }
}

#[test]
fn pushkins_examples_are_taken() {
    let decoded = events(
        r#"{"events": [{"user_id": 1338, "event_id": 100, "timestamp": 1795293388117,
            "pairs": {"name": "Ana", "level": 7}}, {"user_id": -3, "event_id": 4001,
            "timestamp": 0, "event_type": 5, "extra": {"deep": [1, {}]}}]}"#,
    );
    assert_eq!(
        decoded.items,
        [
            event(
                1338,
                100,
                1_795_293_388_117,
                &[
                    ("name", PairValue::Text("Ana".into())),
                    ("level", PairValue::Integer(7))
                ]
            ),
            event(-3, 4001, 0, &[]),
        ]
    );
    let decoded = notifications(
        r#"{"notifications": [{"login_id": 1, "title": "T", "content": "Hello, world"},
            {"login_id": "2", "title": "T2", "content": "žluť\n", "screen": "scr1"}]}"#,
    );
    assert_eq!(
        decoded.items,
        [
            notification(1, "T", "Hello, world", ""),
            notification(2, "T2", "žluť\n", "scr1"),
        ]
    );
    assert_eq!(decoded.rejected.count(), 0);
}

#[test]
fn a_body_that_is_not_the_documented_structure_is_refused_and_told_why() {
    let cases: [(&[u8], &str); 21] = [
        (b"", "the body is empty"),
        (b" \n", "the body is not JSON: EOF"),
        (b"asd", "the body is not JSON: expected value"),
        (
            b"{'events': []}",
            "the body is not JSON: key must be a string",
        ),
        (b"{\"events\": [],}", "the body is not JSON: trailing comma"),
        (
            b"{\"events\": [1,]}",
            "the body is not JSON: trailing comma",
        ),
        (
            b"{\"events\": []} x",
            "the body is not JSON: trailing characters",
        ),
        (b"{\"events\": [", "the body is not JSON: EOF"),
        (
            b"\xef\xbb\xbf{\"events\": []}",
            "the body is not JSON: expected value",
        ),
        (b"{\"events\": [\"\xff\"]}", "the body is not UTF-8: "),
        (
            b"{\"x\": \"\xff\", \"events\": []}",
            "the body is not UTF-8: ",
        ),
        // Pushkin's test of this name posts an id without quotes.
        (
            b"{\"events\": [{\"user_id\": abc, \"event_id\": 1, \"timestamp\": 1}]}",
            "the body is not JSON: expected value",
        ),
        (
            b"null",
            "the body is null, expected an object with the key \"events\"",
        ),
        (
            b"[]",
            "the body is a list, expected an object with the key \"events\"",
        ),
        (
            b"5",
            "the body is a number, expected an object with the key \"events\"",
        ),
        (
            b"\"events\"",
            "the body is a string, expected an object with the key \"events\"",
        ),
        (b"{}", "the body has no key \"events\""),
        (b"{\"notifications\": []}", "the body has no key \"events\""),
        (b"{\"events\": null}", "\"events\" is null, expected a list"),
        (
            b"{\"events\": {\"user_id\": 1}}",
            "\"events\" is an object, expected a list",
        ),
        (
            b"{\"events\": \"user_id\"}",
            "\"events\" is a string, expected a list",
        ),
    ];
    for (body, expected) in cases {
        let told = refusal(ItemKind::Events, body);
        assert!(
            told.starts_with(expected),
            "{told:?} for {}",
            body.escape_ascii()
        );
    }
    assert_eq!(
        refusal(ItemKind::Notifications, b"{\"events\": []}"),
        "the body has no key \"notifications\""
    );
}

#[test]
fn a_refusal_never_repeats_the_body() {
    for body in [
        "\"secret\"",
        "{\"events\": \"secret\"}",
        "{\"events\": [secret]}",
    ] {
        let told = refusal(ItemKind::Events, body.as_bytes());
        assert!(!told.contains("secret"), "{told}");
    }
}

#[test]
fn an_empty_list_is_fine() {
    assert_eq!(events("{\"events\": []}"), Decoded::default());
    assert_eq!(
        notifications("{\"notifications\": [ ]}"),
        Decoded::default()
    );
}

#[test]
fn a_bad_item_is_skipped_with_its_index_and_the_others_are_taken() {
    let decoded = events(
        r#"{"events": [5, {"user_id": 1, "event_id": 2, "timestamp": 3}, null, "user_id",
            ["user_id", "event_id", "timestamp"], true, {},
            {"user_id": 1, "event_id": 2, "timestamp": 3}]}"#,
    );
    assert_eq!(decoded.items.len(), 2);
    assert_eq!(
        reasons(&decoded),
        [
            (0, "not an object".to_owned()),
            (2, "not an object".to_owned()),
            (3, "not an object".to_owned()),
            (4, "not an object".to_owned()),
            (5, "not an object".to_owned()),
            (6, "user_id is missing".to_owned()),
        ]
    );
}

#[test]
fn user_ids_are_taken_in_every_form_that_means_one_integer() {
    let user = |json: &str| {
        one_event(&format!(
            "\"user_id\":{json},\"event_id\":1,\"timestamp\":1"
        ))
        .map(|event| event.login.0)
    };
    let taken = [
        ("0", 0),
        ("-5", -5),
        ("90.0", 90),
        ("9e1", 90),
        ("\"90\"", 90),
        ("\" +90 \"", 90),
        ("\"-90\"", -90),
        ("\"\\u0039\"", 9),
        ("4611686018427387903", (1 << 62) - 1),
        ("-9223372036854775808", i64::MIN),
    ];
    for (json, id) in taken {
        assert_eq!(user(json), Ok(id), "{json}");
    }
    let not_an_integer = "user_id is not a 64-bit integer";
    let reserved = "user_id is reserved: it is 2^62 or more";
    let rejected = [
        ("null", not_an_integer),
        ("\"\"", not_an_integer),
        ("\"abc\"", not_an_integer),
        ("\"1.5\"", not_an_integer),
        ("1.5", not_an_integer),
        ("1e300", not_an_integer),
        ("true", not_an_integer),
        ("[1]", not_an_integer),
        ("{\"a\":1}", not_an_integer),
        ("18446744073709551615", not_an_integer),
        ("4611686018427387904", reserved),
        ("\"4611686018427387904\"", reserved),
        ("4.611686018427387904e18", reserved),
        ("9223372036854775807", reserved),
    ];
    for (json, reason) in rejected {
        assert_eq!(user(json), Err(reason.to_owned()), "{json}");
    }
}

#[test]
fn event_ids_are_32_bit_integers() {
    let event_id = |json: &str| {
        one_event(&format!(
            "\"user_id\":1,\"event_id\":{json},\"timestamp\":1"
        ))
        .map(|event| event.event_id)
    };
    for (json, id) in [
        ("100", 100),
        ("100.0", 100),
        ("-1", -1),
        ("2147483647", i32::MAX),
    ] {
        assert_eq!(event_id(json), Ok(id), "{json}");
    }
    for json in [
        "\"100\"",
        "true",
        "null",
        "[]",
        "{}",
        "1.5",
        "2147483648",
        "-2147483649",
    ] {
        assert_eq!(
            event_id(json),
            Err("event_id is not a 32-bit integer".to_owned()),
            "{json}"
        );
    }
}

#[test]
fn timestamps_are_milliseconds_in_any_form_or_null() {
    let timestamp = |json: &str| {
        one_event(&format!(
            "\"user_id\":1,\"event_id\":1,\"timestamp\":{json}"
        ))
        .map(|event| event.timestamp.map(|time| time.0))
    };
    let taken = [
        ("0", Some(0)),
        ("1795293388117", Some(1_795_293_388_117)),
        ("1.7952947251e+12", Some(1_795_294_725_100)),
        ("1.9", Some(1)),
        ("-1.9", Some(-1)),
        ("\"17\"", Some(17)),
        ("null", None),
    ];
    for (json, time) in taken {
        assert_eq!(timestamp(json), Ok(time), "{json}");
    }
    for json in ["\"\"", "\"now\"", "true", "[]", "{}", "1e30"] {
        assert_eq!(
            timestamp(json),
            Err("timestamp is not a 64-bit integer".to_owned()),
            "{json}"
        );
    }
}

#[test]
fn pair_values_keep_what_the_client_typed() {
    let pairs = |json: &str| {
        one_event(&format!(
            "\"user_id\":1,\"event_id\":1,\"timestamp\":1,\"pairs\":{json}"
        ))
        .map(|event| event.pairs)
    };
    let value = |json: &str| {
        let mut pairs = pairs(&format!("{{\"k\":{json}}}")).unwrap();
        assert_eq!(pairs.len(), 1);
        pairs.remove(0).1
    };
    assert_eq!(value("\"\""), PairValue::Text("".into()));
    assert_eq!(value("\"a\\\"\\u017e\""), PairValue::Text("a\"ž".into()));
    assert_eq!(value("5"), PairValue::Integer(5));
    assert_eq!(value("1.50"), PairValue::Float(1.5));
    assert_eq!(value("7.0"), PairValue::Float(7.0));
    assert_eq!(
        value("18446744073709551616"),
        PairValue::Float(18_446_744_073_709_551_616.0)
    );
    assert_eq!(
        value("18446744073709551615"),
        PairValue::Text("18446744073709551615".into())
    );
    assert_eq!(value("true"), PairValue::Boolean(true));
    assert_eq!(value("null"), PairValue::Null);
    let lists_and_objects = [
        ("[ ]", "[]"),
        ("{ }", "{}"),
        ("[ \"\\u017e\" , 1 , null ]", "[\"ž\",1,null]"),
        (
            "{ \"b\" : [ true, false, -2.5 ], \"a\\n\": {\"x\": \"\\\"\"}, \"b\": [[]] }",
            "{\"b\":[true,false,-2.5],\"a\\n\":{\"x\":\"\\\"\"},\"b\":[[]]}",
        ),
    ];
    for (json, compact) in lists_and_objects {
        assert_eq!(value(json), PairValue::Json(compact.into()), "{json}");
    }
    for json in ["null", "[]", "5", "\"x\"", "false"] {
        assert_eq!(
            pairs(json),
            Err("pairs is not an object".to_owned()),
            "{json}"
        );
    }
}

#[test]
fn what_pythons_parser_took_is_taken_and_is_no_id_and_no_time() {
    let event = one_event(
        r#""user_id":1,"event_id":1,"timestamp":1,
            "pairs":{"nan":NaN,"list":[Infinity,"\ud800"],"large":-1e999,"half":"a\udc00b"}"#,
    )
    .unwrap();
    let pair = |name: &str| event.pair(name).cloned();
    assert_eq!(pair("nan"), Some(PairValue::Text("nan".into())));
    assert_eq!(
        pair("list"),
        Some(PairValue::Json("[\"inf\",\"\u{fffd}\"]".into()))
    );
    assert_eq!(pair("large"), Some(PairValue::Text("-inf".into())));
    assert_eq!(pair("half"), Some(PairValue::Text("a\u{fffd}b".into())));
    let decoded = events(
        r#"{"events": [{"user_id": NaN, "event_id": 1, "timestamp": 1},
            {"user_id": 1, "event_id": Infinity, "timestamp": 1},
            {"user_id": 1, "event_id": 1, "timestamp": 1e999},
            {"user_id": 1, "event_id": 1, "timestamp": 1}]}"#,
    );
    assert_eq!(decoded.items.len(), 1);
    assert_eq!(
        reasons(&decoded),
        [
            (0, "user_id is not a 64-bit integer".to_owned()),
            (1, "event_id is not a 32-bit integer".to_owned()),
            (2, "timestamp is not a 64-bit integer".to_owned()),
        ]
    );
}

#[test]
fn of_equal_keys_the_last_one_counts() {
    let event = one_event(
        "\"user_id\":null,\"user_id\":7,\"event_id\":1,\"event_id\":2,\"timestamp\":1,\
         \"pairs\":5,\"pairs\":{\"a\":1,\"a\":2}",
    )
    .unwrap();
    assert_eq!((event.login, event.event_id), (LoginId(7), 2));
    assert_eq!(event.pair("a"), Some(&PairValue::Integer(2)));
    assert_eq!(
        one_event("\"user_id\":7,\"user_id\":null,\"event_id\":1,\"timestamp\":1"),
        Err("user_id is not a 64-bit integer".to_owned())
    );
    let decoded = events(r#"{"events": [1, 2], "events": [{}]}"#);
    assert_eq!(reasons(&decoded), [(0, "user_id is missing".to_owned())]);
    assert_eq!(
        refusal(ItemKind::Events, b"{\"events\": [], \"events\": 1}"),
        "\"events\" is a number, expected a list"
    );
}

#[test]
fn a_key_may_be_written_with_escapes() {
    let event = one_event("\"user\\u005fid\":7,\"event_id\":1,\"timestamp\":1").unwrap();
    assert_eq!(event.login, LoginId(7));
}

#[test]
fn notifications_need_a_login_a_title_and_a_content() {
    let cases = [
        (r#""title":"T","content":"C""#, "login_id is missing"),
        (r#""login_id":1,"content":"C""#, "title is missing"),
        (r#""login_id":1,"title":"T""#, "content is missing"),
        (r#""login_id":1,"title":"","content":"C""#, "title is empty"),
        (
            r#""login_id":1,"title":null,"content":"C""#,
            "title is empty",
        ),
        (
            r#""login_id":1,"title":"T","content":"""#,
            "content is empty",
        ),
        (
            r#""login_id":1,"title":["T"],"content":"C""#,
            "title is not a text",
        ),
        (
            r#""login_id":1,"title":"T","content":{}"#,
            "content is not a text",
        ),
        (
            r#""login_id":1,"title":"T","content":"C","screen":[]"#,
            "screen is not a text",
        ),
        (
            r#""login_id":"x","title":"T","content":"C""#,
            "login_id is not a 64-bit integer",
        ),
        (
            r#""login_id":4611686018427387904,"title":"T","content":"C""#,
            "login_id is reserved: it is 2^62 or more",
        ),
    ];
    for (members, reason) in cases {
        let decoded = notifications(&format!("{{\"notifications\":[{{{members}}}]}}"));
        assert_eq!(decoded.items, []);
        assert_eq!(reasons(&decoded), [(0, reason.to_owned())], "{members}");
    }
}

#[test]
fn numbers_and_booleans_are_texts_and_a_null_screen_is_none() {
    let decoded = notifications(
        r#"{"notifications": [
            {"login_id": 1, "title": 5, "content": 1.50, "screen": null},
            {"login_id": 1, "title": true, "content": "C", "screen": ""},
            {"login_id": 1, "title": "T", "content": "C", "screen": 3}]}"#,
    );
    assert_eq!(
        decoded.items,
        [
            notification(1, "5", "1.5", ""),
            notification(1, "True", "C", ""),
            notification(1, "T", "C", "3"),
        ]
    );
}

#[test]
fn nesting_has_a_limit_where_it_is_kept() {
    let nested = |depth: usize| {
        format!(
            "{{\"events\":[{{\"user_id\":1,\"event_id\":1,\"timestamp\":1,\"pairs\":{{\"a\":{}{}}}}}]}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert_eq!(events(&nested(100)).items.len(), 1);
    let told = refusal(ItemKind::Events, nested(100_000).as_bytes());
    assert!(
        told.starts_with("the body is not JSON: recursion limit"),
        "{told}"
    );
}
