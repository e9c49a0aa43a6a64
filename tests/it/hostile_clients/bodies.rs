//! Bodies that are larger than they look, and others that nobody can read.
//!
//! `tests/it/hostile_bodies.rs` has 100,000 more, for what they say instead of what they cost.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use super::*;

const POST_PATHS: [&str; 4] = [
    "/post_events_json",
    "/post_notification_json",
    "/post_events_proto",
    "/post_notification_proto",
];

/// Posts each body on each path `rounds` times, from as many threads as there are paths; gives
/// back the statuses, in the order of the bodies.
fn post_all(victim: &Victim, headers: &str, bodies: &[Vec<u8>], rounds: usize) -> Vec<Vec<u16>> {
    let address = victim.address();
    thread::scope(|scope| {
        let threads: Vec<_> = POST_PATHS
            .iter()
            .map(|path| {
                scope.spawn(move || {
                    let ask = |body: &Vec<u8>| post(address, path, headers, body).status;
                    let round = |_| bodies.iter().map(ask).collect::<Vec<u16>>();
                    (0..rounds).map(round).collect::<Vec<_>>()
                })
            })
            .collect();
        let answers = threads.into_iter().map(|thread| thread.join().unwrap());
        let rounds: Vec<Vec<u16>> = answers.flatten().collect();
        let of_body = |place: usize| rounds.iter().map(|round| round[place]).collect();
        (0..bodies.len()).map(of_body).collect()
    })
}

#[test]
fn a_gibibyte_in_chunks_is_cut_off_at_the_limit() {
    const CLIENTS: usize = 4;
    let victim = Victim::start("");
    let attackers: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let stream = victim.connect();
            let mut writing = stream.try_clone().unwrap();
            let writer = thread::spawn(move || {
                let head = b"POST /post_events_json HTTP/1.1\r\nHost: test\r\n\
                             Transfer-Encoding: chunked\r\n\r\n";
                writing.write_all(head).unwrap();
                let mut chunk = b"10000\r\n".to_vec();
                chunk.extend([b' '; 0x10000]);
                chunk.extend(b"\r\n");
                let mut written = 0;
                while written < 1 << 30 && writing.write_all(&chunk).is_ok() {
                    written += 0x10000;
                }
                written
            });
            thread::spawn(move || (last_words(&stream), writer.join().unwrap()))
        })
        .collect();
    for attacker in attackers {
        let (said, written) = attacker.join().unwrap();
        assert_eq!(statuses(&said), [413], "{said:?}");
        // 16 MiB are read, 32 MiB thrown away, and the sockets' buffers hold some.
        assert!(written < 128 << 20, "{written} bytes were taken");
    }
    victim.grew_less_than(200);
    victim.survived();
}

#[test]
fn a_gibibyte_that_is_announced_is_refused_unread() {
    let victim = Victim::start("");
    for length in [1_u64 << 30, i64::MAX as u64] {
        let mut stream = victim.connect();
        let head = format!(
            "POST /post_events_json HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        assert_eq!(statuses(&last_words(&stream)), [413]);
    }
    victim.grew_less_than(16);
    victim.survived();
}

fn gzip(pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for piece in pieces {
        encoder.write_all(&piece).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn gzip_bombs_are_inflated_to_the_limit_and_no_further() {
    let victim = Victim::start("");
    // Neither JSON nor protobuf: what is inflated as a whole is a bad request.
    let mebibyte = vec![0xff; 1 << 20];
    let member = gzip([mebibyte.clone()]);
    let bombs = [
        gzip((0..256).map(|_| mebibyte.clone())),
        // Many members, each small.
        member.repeat(64),
        // All of it is within the limit, and nothing comes of it.
        gzip((0..16).map(|_| mebibyte.clone())),
        // One inside the other: only the outer one is opened.
        gzip([member]),
    ];
    let heard = post_all(&victim, "Content-Encoding: gzip\r\n", &bombs, 3);
    for (heard, expected) in heard.iter().zip([413, 413, 400, 400]) {
        assert!(heard.iter().all(|status| *status == expected), "{heard:?}");
    }
    // Four are inflated at a time, each into 16 MiB; the allocator keeps what each thread had.
    victim.grew_less_than(400);
    victim.survived();
}

#[test]
fn json_of_any_depth_is_answered_in_bounded_memory() {
    let victim = Victim::start("");
    let deep = |open: &str, close: &str| {
        let depth = 2_000_000;
        [open.repeat(depth), "0".to_owned(), close.repeat(depth)].concat()
    };
    let lists = deep("[", "]");
    let objects = deep("{\"\":", "}");
    let event = |pairs: &str| {
        format!(
            r#"{{"events":[{{"user_id":1,"event_id":2,"timestamp":3,"pairs":{{"a":{pairs}}}}}],"notifications":[]}}"#
        )
    };
    let bodies: Vec<Vec<u8>> = [
        "[".repeat(8 << 20),
        "{\"events\":".repeat(1 << 20),
        lists.clone(),
        objects.clone(),
        event(&lists),
        event(&objects),
        format!(r#"{{"events":{lists},"notifications":{lists}}}"#),
        format!("\"{}", "\\u0000".repeat(1 << 20)),
        "-".repeat(8 << 20),
        "1".repeat(8 << 20),
    ]
    .map(String::into_bytes)
    .into();
    let heard = post_all(&victim, "", &bodies, 1);
    for (heard, body) in heard.iter().zip(&bodies) {
        let body = String::from_utf8_lossy(&body[..40]);
        // What is deep in place of an item costs that item only. None is protobuf.
        let json = if body.starts_with("{\"events\":[[") {
            200
        } else {
            400
        };
        assert_eq!(heard[0], json, "{body}");
        assert_eq!(heard[2..], [400, 400], "{body}");
    }
    // A depth that somebody may need is taken.
    let some = ["[".repeat(100), "]".repeat(100)].concat();
    let answer = post(
        victim.address(),
        "/post_events_json",
        "",
        event(&some).as_bytes(),
    );
    answer.accepted();
    victim.grew_less_than(250);
    victim.survived();
}

/// Field `number` of wire type 2 that says it has `length` bytes.
fn field(number: u8, length: &[u8], bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], length, bytes].concat()
}

#[test]
fn protobuf_lengths_that_are_wrong_are_a_bad_request() {
    let victim = Victim::start("");
    let bodies = [
        // One byte more than there is; 2 GiB; the largest there is; and one that does not end.
        field(1, &[3], b"ab"),
        field(1, &[0xff, 0xff, 0xff, 0xff, 0x07], b"ab"),
        field(1, &[0xff; 9], b"\x01ab"),
        field(1, &[0xff; 11], b"ab"),
        field(1, &[0xff; 1 << 20], b""),
        // The same inside an item, and inside a pair of it.
        field(1, &[4], &field(5, &[9], b"ab")),
        field(1, &[6], &field(5, &[4], &field(2, &[9], b"ab"))),
        field(1, &[7], &field(3, &[0xff, 0xff, 0xff, 0x7f], b"ab")),
        // A field of no number, groups that do not end, types that do not exist.
        vec![0x02, 0x00],
        vec![0x0b; 1 << 20],
        vec![0x0f; 100],
        // Cut off in the middle of a tag.
        vec![0x80],
    ];
    let heard = post_all(&victim, "", &bodies, 1);
    for (heard, body) in heard.iter().zip(&bodies) {
        let body = &body[..body.len().min(20)];
        // The last one is read as notifications, which have no pairs: that is skipped.
        assert_eq!(heard[..3], [400; 3], "{}", body.escape_ascii());
        assert!(matches!(heard[3], 200 | 400), "{}", body.escape_ascii());
    }
    victim.grew_less_than(64);
    victim.survived();
}

/// The fewest bytes for the most memory: pairs that are empty, and items that have nothing else.
#[test]
fn items_that_take_far_more_than_their_bytes_are_refused_with_413() {
    let victim = Victim::start("");
    // User 1, event 2, time 3.
    let required = [0x08, 1, 0x10, 2, 0x20, 3];
    let repeat = |part: &[u8], bytes: usize| part.repeat(bytes / part.len());
    let varint = |mut number: usize| {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(u8::try_from(number % 128).unwrap() | 128);
            number /= 128;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    };
    let pairs = [&required[..], &repeat(&field(5, &[0], b""), 15 << 20)].concat();
    let one_event = field(1, &varint(pairs.len()), &pairs);
    let json = format!(
        r#"{{"events":[{{"user_id":1,"event_id":2,"timestamp":3,"pairs":{{{}"":0}}}}]}}"#,
        r#""":0,"#.repeat(3 << 20)
    );
    let address = victim.address();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for (path, body) in [
                    ("/post_events_proto", &one_event),
                    ("/post_events_json", &json.clone().into_bytes()),
                ] {
                    let answer = post(address, path, "Accept: application/json\r\n", body);
                    // One of them is too much; several are, before that, too many.
                    assert!(matches!(answer.status, 413 | 503), "{answer:?}");
                }
            });
        }
    });
    for (path, body) in [
        ("/post_events_proto", &one_event),
        ("/post_events_json", &json.into_bytes()),
    ] {
        let answer = post(address, path, "Accept: application/json\r\n", body);
        assert_eq!(answer.status, 413, "{answer:?}");
        assert!(
            answer.body.contains("take more than 134217728 bytes"),
            "{answer:?}"
        );
    }
    // Few of the same are taken.
    let pairs = [&required[..], &repeat(&field(5, &[0], b""), 20_000)].concat();
    let few = field(1, &varint(pairs.len()), &pairs);
    post(address, "/post_events_proto", "", &few).accepted();
    victim.grew_less_than(600);
    victim.survived();
}
