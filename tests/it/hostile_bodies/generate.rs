//! Hostile bodies: random bytes, random JSON, random protobuf, and good batches gone wrong.

use fastrand::Rng;
use prost::Message;
use proto::pushkin::{
    BatchEventRequest, BatchNotificationRequest, Event, PushNotification, event::Pair,
};

/// One POST.
pub(super) struct Case {
    pub(super) path: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) chunked: bool,
    pub(super) says_gzip: bool,
}

const JSON_EVENTS: &str = "/post_events_json";
const JSON_NOTIFICATIONS: &str = "/post_notification_json";
const PROTO_EVENTS: &str = "/post_events_proto";
const PROTO_NOTIFICATIONS: &str = "/post_notification_proto";
const PATHS: [&str; 4] = [
    JSON_EVENTS,
    JSON_NOTIFICATIONS,
    PROTO_EVENTS,
    PROTO_NOTIFICATIONS,
];

/// Keys that mean something somewhere on the way.
const KEYS: [&str; 18] = [
    "events",
    "notifications",
    "user_id",
    "event_id",
    "timestamp",
    "pairs",
    "login_id",
    "title",
    "content",
    "screen",
    "platformId",
    "deviceToken",
    "languageId",
    "applicationVersion",
    "platform_id",
    "device_token",
    "name",
    "a",
];

/// JSON values that have hurt somebody.
const VALUES: [&str; 44] = [
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "2",
    "-1",
    "1.0",
    "1.5",
    "1e0",
    "1e400",
    "-1e400",
    "1e-400",
    "127",
    "32767",
    "32768",
    "-32769",
    "2147483647",
    "2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "4611686018427387904",
    "18446744073709551616",
    "NaN",
    "Infinity",
    "-Infinity",
    "\"\"",
    "\"1\"",
    "\" 1 \"",
    "\"2\"",
    "\"x\"",
    "\"tokA\"",
    "\"\\u0000\"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\"../../3/device?x=1\"",
    "\"a\\r\\nX: y\"",
    "\"{name}{{}}{\"",
    "[]",
    "{}",
    "[[{\"a\":[null]}]]",
];

/// Pieces that are put into the middle of bodies.
const PIECES: [&str; 24] = [
    "NaN",
    "\\ud800",
    "\\u0000",
    "1e999",
    "-",
    "[",
    "{",
    "}",
    "]",
    "\"",
    ",",
    ":",
    "null",
    "\\",
    "\u{feff}",
    "\u{0}",
    "\n",
    "\"a\":",
    "{\"a\":1},",
    "[[[[[[[[",
    "0x1f",
    "'",
    "/*",
    "\u{10ffff}",
];

/// Texts for protobuf.
const TEXTS: [&str; 14] = [
    "",
    "1",
    "2",
    "-1",
    " 1 ",
    "x",
    "tokA",
    "\0",
    "a\0b",
    "../../x",
    "a\r\nX: y",
    "{name}{",
    "😀",
    "99999999999999999999",
];

fn pick<'a>(random: &mut Rng, from: &[&'a str]) -> &'a str {
    from[random.usize(..from.len())]
}

/// Any hostile body.
pub(super) fn case(random: &mut Rng) -> Case {
    let path = PATHS[random.usize(..PATHS.len())];
    let is_json = path.ends_with("json");
    let body = match (random.u8(..10), is_json) {
        (0, _) => bytes(random),
        (1..=2, true) => tree(random, 0).into_bytes(),
        (3..=4, true) => format!("{{\"{}\":{}}}", list_key(path), tree(random, 0)).into_bytes(),
        (5..=7, true) => json_batch(random, path).into_bytes(),
        (_, true) => {
            let batch = json_batch(random, path).into_bytes();
            damaged(random, batch, &PIECES)
        }
        (1..=3, false) => fields(random, 0),
        (4..=6, false) => proto_batch(random, path),
        (_, false) => {
            let batch = proto_batch(random, path);
            damaged(random, batch, &["\0", "\x0a", "\x7f", "\x08\x01", "abc"])
        }
    };
    Case {
        path,
        body,
        chunked: random.u8(..4) == 0,
        says_gzip: random.u8(..20) == 0,
    }
}

/// A good body with one item.
pub(super) fn good(random: &mut Rng) -> Case {
    let [event, notification] = good_protobuf(1);
    match random.u8(..4) {
        0 => event,
        1 => notification,
        2 => plain(
            JSON_EVENTS,
            br#"{"events":[{"user_id":1,"event_id":100,"timestamp":1,"pairs":{"name":1,"a":2}}]}"#
                .to_vec(),
        ),
        _ => plain(
            JSON_NOTIFICATIONS,
            br#"{"notifications":[{"login_id":1,"title":"T","content":"C"}]}"#.to_vec(),
        ),
    }
}

/// A good event and a good notification.
pub(super) fn good_protobuf(user: i64) -> [Case; 2] {
    let pair = |key: &str| Pair {
        key: key.to_owned(),
        value: "v".to_owned(),
    };
    let events = vec![Event {
        user_id: Some(user),
        event_id: Some(100),
        event_type: None,
        timestamp: Some(1),
        pairs: vec![pair("name"), pair("a")],
    }];
    let notifications = vec![PushNotification {
        login_id: Some(user),
        title: Some("T".to_owned()),
        content: Some("C".to_owned()),
        screen: None,
    }];
    [
        plain(PROTO_EVENTS, BatchEventRequest { events }.encode_to_vec()),
        plain(
            PROTO_NOTIFICATIONS,
            BatchNotificationRequest { notifications }.encode_to_vec(),
        ),
    ]
}

/// A body that is too large by a little or by much.
pub(super) fn too_large(random: &mut Rng, limit: usize) -> Case {
    let bytes = limit + random.usize(1..limit);
    Case {
        chunked: random.bool(),
        ..plain(PATHS[random.usize(..PATHS.len())], vec![b'['; bytes])
    }
}

fn plain(path: &'static str, body: Vec<u8>) -> Case {
    Case {
        path,
        body,
        chunked: false,
        says_gzip: false,
    }
}

fn list_key(path: &str) -> &'static str {
    if path == JSON_EVENTS {
        "events"
    } else {
        "notifications"
    }
}

/// Nothing, noise, a long row of one byte, or what begins as gzip.
fn bytes(random: &mut Rng) -> Vec<u8> {
    let length = random.usize(..300);
    match random.u8(..8) {
        0 => Vec::new(),
        1 => vec![random.u8(..); length],
        2 => b"[".repeat(random.usize(..20_000)),
        3 => b"{\"a\":".repeat(length * 10),
        4 => [&[0x1f, 0x8b, 8, 0][..], &noise(random, length)].concat(),
        _ => noise(random, length),
    }
}

fn noise(random: &mut Rng, length: usize) -> Vec<u8> {
    (0..length).map(|_| random.u8(..)).collect()
}

/// Any JSON value, up to a few levels deep.
fn tree(random: &mut Rng, depth: usize) -> String {
    let width = random.usize(..5);
    match random.u8(..8) {
        0..=2 if depth < 5 => {
            let members =
                (0..width).map(|_| format!("{}:{}", key(random), tree(random, depth + 1)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        3..=4 if depth < 5 => {
            let members = (0..width).map(|_| tree(random, depth + 1));
            format!("[{}]", members.collect::<Vec<_>>().join(","))
        }
        _ => value(random),
    }
}

fn key(random: &mut Rng) -> String {
    match random.u8(..12) {
        0 => "\"\\u0075ser_id\"".to_owned(),
        1 => format!("\"{}\"", random.char(' '..='~').escape_default()),
        _ => format!("\"{}\"", pick(random, &KEYS)),
    }
}

fn value(random: &mut Rng) -> String {
    match random.u8(..10) {
        0 => random.i64(..).to_string(),
        1 => format!("\"{}\"", "x".repeat(random.usize(..5_000))),
        2 => "9".repeat(random.usize(1..500)),
        3 => format!("{:e}", f64::from_bits(random.u64(..))),
        _ => pick(random, &VALUES).to_owned(),
    }
}

/// A batch as a game posts it, most of its values replaced by what a game should not post.
fn json_batch(random: &mut Rng, path: &str) -> String {
    let items: Vec<String> = (0..random.usize(..5))
        .map(|_| json_item(random, path))
        .collect();
    format!("{{\"{}\":[{}]}}", list_key(path), items.join(","))
}

fn json_item(random: &mut Rng, path: &str) -> String {
    let user = random.u8(..20).to_string();
    let mut members = if path == JSON_EVENTS {
        let event_id = pick(random, &["100", "4001", "4006", "100.0", "7"]).to_owned();
        vec![
            ("user_id", user),
            ("event_id", event_id),
            ("timestamp", "1795293388117".to_owned()),
            ("pairs", json_pairs(random)),
        ]
    } else {
        let text = || "\"text\"".to_owned();
        vec![
            ("login_id", user),
            ("title", text()),
            ("content", text()),
            ("screen", text()),
        ]
    };
    for (_, member) in &mut members {
        if random.u8(..8) == 0 {
            *member = value(random);
        }
    }
    if random.u8(..8) == 0 {
        members.remove(random.usize(..members.len()));
    }
    if random.u8(..8) == 0 {
        members.push((pick(random, &KEYS), value(random)));
    }
    random.shuffle(&mut members);
    let members = members
        .iter()
        .map(|(key, value)| format!("\"{key}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn json_pairs(random: &mut Rng) -> String {
    let pairs = KEYS[10..].iter().filter_map(|key| {
        let value = match random.u8(..6) {
            0 => return None,
            1..=2 => value(random),
            _ => pick(random, &["1", "2", "\"1\"", "\"t\""]).to_owned(),
        };
        Some(format!("\"{key}\":{value}"))
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// A body with a few bytes changed, removed, repeated or put in between.
fn damaged(random: &mut Rng, mut body: Vec<u8>, pieces: &[&str]) -> Vec<u8> {
    for _ in 0..random.usize(1..4) {
        let from = random.usize(..=body.len());
        let to = (from + random.usize(..20)).min(body.len());
        match random.u8(..5) {
            0 => body.truncate(from),
            1 => drop(body.drain(from..to)),
            2 => {
                let copy = body[from..to].to_vec();
                body.splice(from..from, copy);
            }
            3 if from < body.len() => body[from] = random.u8(..),
            _ => drop(body.splice(from..from, pick(random, pieces).bytes())),
        }
    }
    body
}

/// Random fields: mostly the numbers and wire types that the schemas have.
fn fields(random: &mut Rng, depth: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..random.usize(1..6) {
        let number = if random.u8(..20) == 0 {
            random.u64(..)
        } else {
            random.u64(1..7)
        };
        let wire_type = if random.u8(..10) == 0 {
            random.u64(..8)
        } else {
            [0, 2, 2][random.usize(..3)]
        };
        varint(&mut bytes, (number << 3) | wire_type);
        match wire_type {
            0 => varint(&mut bytes, integer(random).cast_unsigned()),
            1 => bytes.extend(noise(random, 8)),
            2 => {
                let content = match random.u8(..3) {
                    0 if depth < 4 => fields(random, depth + 1),
                    1 => noise(random, 5),
                    _ => pick(random, &TEXTS).as_bytes().to_vec(),
                };
                let wrong = usize::from(random.u8(..30) == 0);
                varint(&mut bytes, (content.len() + wrong) as u64);
                bytes.extend(content);
            }
            5 => bytes.extend(noise(random, 4)),
            _ => {}
        }
    }
    bytes
}

fn varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    bytes.push(value.to_le_bytes()[0]);
}

fn integer(random: &mut Rng) -> i64 {
    match random.u8(..6) {
        0 => random.i64(..),
        1 => [i64::MIN, i64::MAX, -1, 1 << 62, (1 << 62) - 1][random.usize(..5)],
        _ => random.i64(..20),
    }
}

/// Well-formed messages whose fields may be missing or strange.
fn proto_batch(random: &mut Rng, path: &str) -> Vec<u8> {
    let count = random.usize(1..5);
    if path == PROTO_EVENTS {
        let events = (0..count).map(|_| proto_event(random)).collect();
        BatchEventRequest { events }.encode_to_vec()
    } else {
        let notifications = (0..count)
            .map(|_| PushNotification {
                login_id: some(random, integer),
                title: some(random, text),
                content: some(random, text),
                screen: some(random, text),
            })
            .collect();
        BatchNotificationRequest { notifications }.encode_to_vec()
    }
}

fn proto_event(random: &mut Rng) -> Event {
    let mut pairs = Vec::new();
    for key in &KEYS[10..] {
        if random.u8(..6) > 0 {
            let key = (*key).to_owned();
            let value = if random.bool() {
                "1".to_owned()
            } else {
                text(random)
            };
            pairs.push(Pair { key, value });
        }
    }
    Event {
        user_id: some(random, integer),
        event_id: some(random, |random| {
            [100, 4001, 4006, i32::MIN][random.usize(..4)]
        }),
        event_type: some(random, |random| random.i32(..)),
        timestamp: some(random, integer),
        pairs,
    }
}

fn some<T>(random: &mut Rng, make: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    (random.u8(..10) > 0).then(|| make(random))
}

fn text(random: &mut Rng) -> String {
    match random.u8(..8) {
        0 => (0..random.usize(..50)).map(|_| random.char(..)).collect(),
        1 => "y".repeat(random.usize(..5_000)),
        _ => pick(random, &TEXTS).to_owned(),
    }
}
