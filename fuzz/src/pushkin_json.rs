//! Pushkin's JSON bodies. Input: a body.
//!
//! * The same bytes give the same result, and memory in proportion to their number.
//! * A body that `serde_json` reads as a whole is taken if and only if its list is one, and each
//!   element of the list is an item or a rejection.
//! * What is taken is what its door promises, and survives its stored form.

use model::{AppId, CUSTOMER_LOGIN_FLOOR, Ended, Item, Lane, Request, RequestId, UnixMs};
use serde_json::Value;
use servlet::pushkin::{Decoded, Format, ItemKind, decode};

/// Bytes in memory for each byte of a body at most: `"":1,` becomes a pair of 40 bytes.
const GROWTH: usize = 16;

/// Rejections that are listed.
const LISTED: usize = 1_000;

/// Checks one input.
pub fn check(body: &[u8]) {
    for kind in [ItemKind::Events, ItemKind::Notifications] {
        let decoded = decode(Format::Json, kind, body);
        let again = decode(Format::Json, kind, body);
        match (&decoded, &again) {
            (Ok(one), Ok(other)) => assert_eq!(one, other),
            (Err(one), Err(other)) => assert_eq!(one.to_string(), other.to_string()),
            _ => panic!("taken once, refused once"),
        }
        if let Ok(decoded) = &decoded {
            check_decoded(decoded, body.len());
        }
        if let Ok(whole) = serde_json::from_slice::<Value>(body) {
            let list = whole.get(kind.key()).and_then(Value::as_array);
            let counts = decoded.as_ref().ok().map(count);
            assert_eq!(counts, list.map(Vec::len), "{:?}", decoded.err());
        }
    }
}

fn count(decoded: &Decoded) -> usize {
    decoded.items.len() + decoded.rejected.count()
}

/// What holds for the items of any door.
pub(crate) fn check_decoded(decoded: &Decoded, body_bytes: usize) {
    let listed = decoded.rejected.listed();
    assert_eq!(listed.len(), decoded.rejected.count().min(LISTED));
    assert!(
        listed
            .iter()
            .all(|rejected| rejected.index < count(decoded))
    );
    assert!(listed.windows(2).all(|two| two[0].index < two[1].index));
    for item in &decoded.items {
        let login = match item {
            Item::Event(event) => event.login,
            Item::Notification(notification) => {
                assert!(!notification.title.is_empty() && !notification.content.is_empty());
                notification.login
            }
        };
        assert!(login.0 < CUSTOMER_LOGIN_FLOOR);
    }
    let request = Request {
        id: RequestId(uuid::Uuid::from_u128(7)),
        accepted_at: UnixMs(1_795_293_388_117),
        lane: Lane::Urgent,
        app: AppId::LEGACY,
        items: decoded.items.clone(),
        ended: Ended::default(),
    };
    assert!(request.bytes() <= 1_024 + GROWTH * body_bytes);
    let stored = request.to_bytes();
    assert!(
        stored.len() <= request.bytes(),
        "a form longer than its value"
    );
    assert_eq!(
        Request::from_bytes(&stored).expect("what we wrote"),
        request
    );
}
