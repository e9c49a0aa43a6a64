//! What Apple verifies in a push request, and Apple's words for what is wrong.
//!
//! In goes a request, out comes who it is for, or a [`Reason`]. The order is
//! the order in which a server can know: request line, credential, headers,
//! payload. Apple documents no order; a request with several faults may get
//! another of its reasons from Apple.
//!
//! Facts: Apple, "Sending notification requests to APNs" (headers) and
//! "Handling notification responses from APNs" (statuses and reasons).

use std::fmt;

use http::{HeaderMap, HeaderValue, Method};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use crate::service::Request;

/// Longest payload of every push type but `voip`, in bytes.
const MAX_PAYLOAD: usize = 4096;
/// Longest payload of a `voip` push, in bytes.
pub(super) const MAX_VOIP_PAYLOAD: usize = 5120;
const MAX_COLLAPSE_ID: usize = 64;
/// Device tokens have 64 digits today; Apple asks not to count on it.
const MAX_DEVICE_TOKEN: usize = 200;

macro_rules! reasons {
    ($($reason:ident $status:literal)*) => {
        /// Why a request is refused, by Apple's name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Reason { $($reason,)* }

        impl Reason {
            pub(super) fn status(self) -> u16 {
                match self { $(Self::$reason => $status,)* }
            }

            pub(super) fn name(self) -> &'static str {
                match self { $(Self::$reason => stringify!($reason),)* }
            }
        }
    };
}

reasons! {
    BadCollapseId 400
    BadDeviceToken 400
    BadExpirationDate 400
    BadMessageId 400
    BadPath 404
    BadPriority 400
    BadTopic 400
    DuplicateHeaders 400
    ExpiredProviderToken 403
    Forbidden 403
    InvalidProviderToken 403
    InvalidPushType 400
    MethodNotAllowed 405
    MissingDeviceToken 400
    MissingProviderToken 403
    MissingTopic 400
    PayloadEmpty 400
    PayloadTooLarge 413
    TooManyProviderTokenUpdates 429
    TopicDisallowed 400
}

/// Push types with the suffix that their topic has after the bundle id.
const PUSH_TYPES: [(&str, &str); 11] = [
    ("alert", ""),
    ("background", ""),
    ("location", ".location-query"),
    ("voip", ".voip"),
    ("complication", ".complication"),
    ("fileprovider", ".pushkit.fileprovider"),
    ("mdm", ""),
    ("liveactivity", ".push-type.liveactivity"),
    ("pushtotalk", ".voip-ptt"),
    ("widgets", ".push-type.widgets"),
    ("controls", ".push-type.controls"),
];

/// The device token in a request's path.
pub(super) fn device_token(request: &Request) -> Result<&str, Reason> {
    let token = request.uri.path().strip_prefix("/3/device/");
    if request.method != Method::POST {
        return Err(Reason::MethodNotAllowed);
    }
    match token {
        None if request.uri.path() == "/3/device" => Err(Reason::MissingDeviceToken),
        None => Err(Reason::BadPath),
        Some("") => Err(Reason::MissingDeviceToken),
        Some(token) => Ok(token),
    }
}

/// Whether a device token can be one.
pub(super) fn is_device_token(token: &str) -> bool {
    token.len() <= MAX_DEVICE_TOKEN
        && token.len().is_multiple_of(2)
        && token.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The headers that Apple reads, each at most once.
#[derive(Debug, Default)]
pub(super) struct Headers<'a> {
    pub(super) authorization: Option<&'a HeaderValue>,
    pub(super) id: Option<&'a HeaderValue>,
    topic: Option<&'a HeaderValue>,
    push_type: Option<&'a HeaderValue>,
    priority: Option<&'a HeaderValue>,
    expiration: Option<&'a HeaderValue>,
    collapse_id: Option<&'a HeaderValue>,
}

impl<'a> Headers<'a> {
    /// Sorts the headers out; also tells whether one of them came twice.
    pub(super) fn read(headers: &'a HeaderMap) -> (Self, bool) {
        let mut read = Self::default();
        let mut twice = false;
        for (name, value) in headers {
            let place = match name.as_str() {
                "authorization" => &mut read.authorization,
                "apns-id" => &mut read.id,
                "apns-topic" => &mut read.topic,
                "apns-push-type" => &mut read.push_type,
                "apns-priority" => &mut read.priority,
                "apns-expiration" => &mut read.expiration,
                "apns-collapse-id" => &mut read.collapse_id,
                _ => continue,
            };
            twice |= place.replace(value).is_some();
        }
        (read, twice)
    }

    /// Checks everything but the credential; `topics` are the credential's bundle ids. Where
    /// the topic is `implied` by a certificate for just one it may be absent.
    pub(super) fn check(
        &self,
        topics: &[String],
        implied: bool,
        payload: &[u8],
    ) -> Result<(), Reason> {
        if self.id.is_some_and(|id| !is_canonical_uuid(id.as_bytes())) {
            return Err(Reason::BadMessageId);
        }
        let push_type = match self.push_type {
            // Older than iOS 13's requirement: treated as an alert.
            None => PUSH_TYPES[0],
            Some(value) => PUSH_TYPES
                .into_iter()
                .find(|(name, _)| value == name)
                .ok_or(Reason::InvalidPushType)?,
        };
        let may_be_absent = implied && topics.len() == 1;
        if self.topic.is_some() || !may_be_absent {
            self.check_topic(push_type, topics)?;
        }
        match self.priority.map(HeaderValue::as_bytes) {
            None | Some(b"1" | b"5") => (),
            // A background push must not be sent at once.
            Some(b"10") if push_type.0 != "background" => (),
            Some(_) => return Err(Reason::BadPriority),
        }
        if let Some(expiration) = self.expiration {
            let seconds = expiration
                .to_str()
                .ok()
                .and_then(|text| text.parse::<u64>().ok());
            seconds.ok_or(Reason::BadExpirationDate)?;
        }
        if self
            .collapse_id
            .is_some_and(|id| id.len() > MAX_COLLAPSE_ID)
        {
            return Err(Reason::BadCollapseId);
        }
        check_payload(push_type.0, payload)
    }

    fn check_topic(&self, (name, suffix): (&str, &str), topics: &[String]) -> Result<(), Reason> {
        let topic = self.topic.ok_or(Reason::MissingTopic)?;
        let topic = topic.to_str().map_err(|_| Reason::BadTopic)?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if topic.is_empty() || !topic.bytes().all(is_name) {
            return Err(Reason::BadTopic);
        }
        // Without a push type the suffix alone tells what it is.
        let bundle = match self.push_type {
            Some(_) => topic.strip_suffix(suffix),
            None => PUSH_TYPES
                .into_iter()
                .filter(|(_, suffix)| !suffix.is_empty())
                .find_map(|(_, suffix)| topic.strip_suffix(suffix))
                .or(Some(topic)),
        };
        // Device management has topics of its own, given with its certificate.
        let own = name == "mdm" || bundle.is_some_and(|bundle| topics.iter().any(|t| t == bundle));
        if own {
            return Ok(());
        }
        let of_key = |bundle: &String| topic.strip_prefix(bundle.as_str());
        let wrong_suffix = topics
            .iter()
            .filter_map(of_key)
            .any(|rest| rest.is_empty() || rest.starts_with('.'));
        Err(if wrong_suffix {
            Reason::BadTopic
        } else {
            Reason::TopicDisallowed
        })
    }
}

/// Canonical form: 32 lower-case hexadecimal digits, 8-4-4-4-12.
fn is_canonical_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Apple has no reason for a payload that is no JSON object with `aps`; it is
/// refused as `PayloadEmpty` here, so that such a bug does not go unseen.
fn check_payload(push_type: &str, payload: &[u8]) -> Result<(), Reason> {
    let limit = if push_type == "voip" {
        MAX_VOIP_PAYLOAD
    } else {
        MAX_PAYLOAD
    };
    if payload.len() > limit {
        return Err(Reason::PayloadTooLarge);
    }
    // serde_json does not look into strings that it skips.
    let text = std::str::from_utf8(payload).map_err(|_| Reason::PayloadEmpty)?;
    let payload: Payload = serde_json::from_str(text).map_err(|_| Reason::PayloadEmpty)?;
    if payload.aps.is_none() && push_type != "mdm" {
        return Err(Reason::PayloadEmpty);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Payload {
    aps: Option<AnyObject>,
}

/// A JSON object whose content does not matter.
struct AnyObject;

impl<'de> Deserialize<'de> for AnyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Self)
    }
}

impl<'de> Visitor<'de> for AnyObject {
    type Value = Self;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAYLOAD: &[u8] = br#"{"aps":{"alert":"hi"},"path":"x"}"#;

    fn check(headers: &[(&'static str, &str)], payload: &[u8]) -> Result<(), Reason> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let (headers, twice) = Headers::read(&map);
        assert!(!twice);
        headers.check(&["com.example.game".into()], false, payload)
    }

    #[test]
    fn a_certificate_for_one_app_implies_its_topic() {
        let check = |headers: &[(&'static str, &str)], topics: &[String]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            let (headers, _twice) = Headers::read(&map);
            headers.check(topics, true, PAYLOAD)
        };
        let game = ["com.example.game".to_owned()];
        assert_eq!(check(&[], &game), Ok(()));
        assert_eq!(check(&[("apns-topic", "com.example.game")], &game), Ok(()));
        assert_eq!(
            check(&[("apns-topic", "com.example.other")], &game),
            Err(Reason::TopicDisallowed)
        );
        assert_eq!(check(&[], &[]), Err(Reason::MissingTopic));
    }

    #[test]
    fn topics_need_the_suffix_of_their_push_type() {
        let topic = |push_type, topic| {
            check(
                &[("apns-topic", topic), ("apns-push-type", push_type)],
                PAYLOAD,
            )
        };
        assert_eq!(topic("alert", "com.example.game"), Ok(()));
        assert_eq!(topic("voip", "com.example.game.voip"), Ok(()));
        assert_eq!(topic("voip", "com.example.game"), Err(Reason::BadTopic));
        assert_eq!(
            topic("alert", "com.example.game.voip"),
            Err(Reason::BadTopic)
        );
        assert_eq!(
            topic("alert", "com.example.other"),
            Err(Reason::TopicDisallowed)
        );
        assert_eq!(
            topic("alert", "com.example.gamer"),
            Err(Reason::TopicDisallowed)
        );
        assert_eq!(topic("alert", "a topic"), Err(Reason::BadTopic));
        assert_eq!(
            topic("sms", "com.example.game"),
            Err(Reason::InvalidPushType)
        );
        assert_eq!(
            check(&[("apns-topic", "com.example.game.voip")], PAYLOAD),
            Ok(())
        );
        assert_eq!(check(&[], PAYLOAD), Err(Reason::MissingTopic));
    }

    #[test]
    fn every_header_is_checked() {
        let header = |name: &'static str, value: &str| {
            check(
                &[("apns-topic", "com.example.game"), (name, value)],
                PAYLOAD,
            )
        };
        for priority in ["1", "5", "10"] {
            assert_eq!(header("apns-priority", priority), Ok(()));
        }
        assert_eq!(header("apns-priority", "7"), Err(Reason::BadPriority));
        assert_eq!(header("apns-expiration", "0"), Ok(()));
        assert_eq!(
            header("apns-expiration", "soon"),
            Err(Reason::BadExpirationDate)
        );
        assert_eq!(header("apns-collapse-id", &"c".repeat(64)), Ok(()));
        assert_eq!(
            header("apns-collapse-id", &"c".repeat(65)),
            Err(Reason::BadCollapseId)
        );
        let id = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        assert_eq!(header("apns-id", id), Ok(()));
        assert_eq!(
            header("apns-id", &id.to_uppercase()),
            Err(Reason::BadMessageId)
        );
        assert_eq!(header("apns-id", "7"), Err(Reason::BadMessageId));
        let background = [
            ("apns-topic", "com.example.game"),
            ("apns-push-type", "background"),
            ("apns-priority", "10"),
        ];
        assert_eq!(check(&background, PAYLOAD), Err(Reason::BadPriority));
    }

    #[test]
    fn payloads_are_json_objects_with_aps_within_the_limit() {
        let payload = |payload: &[u8]| check(&[("apns-topic", "com.example.game")], payload);
        let sized = |length: usize| {
            let frame = r#"{"aps":{"alert":""}}"#.len();
            format!(r#"{{"aps":{{"alert":"{}"}}}}"#, "x".repeat(length - frame)).into_bytes()
        };
        assert_eq!(payload(&sized(4096)), Ok(()));
        assert_eq!(payload(&sized(4097)), Err(Reason::PayloadTooLarge));
        let voip = [
            ("apns-topic", "com.example.game.voip"),
            ("apns-push-type", "voip"),
        ];
        assert_eq!(check(&voip, &sized(5120)), Ok(()));
        assert_eq!(check(&voip, &sized(5121)), Err(Reason::PayloadTooLarge));
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            b"{\"aps\":1}",
            b"{\"aps\":{}",
            b"{\"aps\":{},\"x\":\"\xff\"}",
        ] {
            assert_eq!(payload(bad), Err(Reason::PayloadEmpty));
        }
    }

    #[test]
    fn device_tokens_are_hexadecimal_and_even() {
        assert!(is_device_token(&"aF".repeat(32)));
        assert!(is_device_token(&"0".repeat(200)));
        assert!(!is_device_token(&"0".repeat(202)));
        assert!(!is_device_token("abc"));
        assert!(!is_device_token("gg"));
    }
}
