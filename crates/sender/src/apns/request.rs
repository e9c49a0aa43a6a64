//! A notification as a request to `/3/device/<token>`.
//!
//! What is the same for every notification of a priority is built once; per notification two
//! headers and the path are made. `:path` is never put into HPACK's table by h2, and `apns-id`
//! is marked as never to be indexed: each is seen once, and would push the headers that repeat
//! out of the 4096 bytes that Apple's table has.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_LENGTH},
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use model::{Notification, Outcome, Priority, UnixMs};
use uuid::fmt::Hyphenated;

use super::payload;
use crate::{SenderError, provider::Prepared};

/// Longest device token taken, in hexadecimal digits: Apple promises up to 100 bytes.
const TOKEN_LIMIT: usize = 200;

const APNS_ID: HeaderName = HeaderName::from_static("apns-id");
const APNS_EXPIRATION: HeaderName = HeaderName::from_static("apns-expiration");
const APNS_PRIORITY: HeaderName = HeaderName::from_static("apns-priority");
const APNS_PUSH_TYPE: HeaderName = HeaderName::from_static("apns-push-type");
const APNS_TOPIC: HeaderName = HeaderName::from_static("apns-topic");

/// The parts of requests that do not change.
pub(super) struct Templates {
    authority: Authority,
    normal: HeaderMap,
    high: HeaderMap,
}

impl Templates {
    pub(super) fn new(topic: Option<&str>, authority: Authority) -> Result<Self, SenderError> {
        let topic = match topic {
            None => None,
            Some("") => return Err(SenderError::Topic),
            Some(topic) => Some(HeaderValue::from_str(topic).map_err(|_| SenderError::Topic)?),
        };
        Ok(Self {
            authority,
            normal: constant_headers(topic.as_ref(), "5"),
            high: constant_headers(topic.as_ref(), "10"),
        })
    }

    /// The request for `notification`, or how it ends without one.
    pub(super) fn prepare(
        &self,
        notification: &Notification,
        authorization: Option<&HeaderValue>,
        now: UnixMs,
    ) -> Prepared {
        let end = |outcome, reason| Prepared::End { outcome, reason };
        // Pushkin's rule: whole seconds, rounded down; the second in which it expires counts.
        if notification.expires_at.since_ms(now).div_euclid(1000) < 0 {
            return end(Outcome::Expired, "");
        }
        let Some(uri) = self.uri(notification.token.as_str()) else {
            return end(Outcome::InvalidToken, "BadDeviceToken");
        };
        let content = &notification.content;
        let body = content
            .rendered
            .get_or_render(model::Provider::Apns, || payload::render(content))
            .clone();
        if body.len() > payload::PAYLOAD_LIMIT {
            return end(Outcome::Rejected, "PayloadTooLarge");
        }
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers(notification, authorization, body.len());
        Prepared::Send { request, body }
    }

    fn uri(&self, token: &str) -> Option<Uri> {
        let hexadecimal = token.bytes().all(|byte| byte.is_ascii_hexdigit());
        if token.is_empty() || token.len() > TOKEN_LIMIT || !hexadecimal {
            return None;
        }
        let mut path = Vec::with_capacity(10 + token.len());
        path.extend_from_slice(b"/3/device/");
        path.extend_from_slice(token.as_bytes());
        let mut parts = Parts::default();
        parts.scheme = Some(Scheme::HTTPS);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = PathAndQuery::from_maybe_shared(Bytes::from(path)).ok();
        Uri::from_parts(parts).ok()
    }

    fn headers(
        &self,
        notification: &Notification,
        authorization: Option<&HeaderValue>,
        length: usize,
    ) -> HeaderMap {
        let mut headers = match notification.content.priority {
            Priority::Normal => self.normal.clone(),
            Priority::High => self.high.clone(),
        };
        // Apple refuses a token beside a client certificate, so there may be none.
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let mut text = [0; Hyphenated::LENGTH];
        let id = notification.id.0.as_hyphenated().encode_lower(&mut text);
        let mut id = HeaderValue::from_str(id).expect("a UUID's text is a header value");
        id.set_sensitive(true);
        headers.insert(APNS_ID, id);
        let expiration = HeaderValue::from(notification.expires_at.seconds());
        headers.insert(APNS_EXPIRATION, expiration);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        headers
    }
}

/// Headers of one priority, with room for the ones that are added per notification.
fn constant_headers(topic: Option<&HeaderValue>, priority: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    if let Some(topic) = topic {
        headers.insert(APNS_TOPIC, topic.clone());
    }
    headers.insert(APNS_PUSH_TYPE, HeaderValue::from_static("alert"));
    headers.insert(APNS_PRIORITY, HeaderValue::from_static(priority));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::test_notification;

    const NOW: UnixMs = UnixMs(1_795_293_388_117);

    fn templates() -> Templates {
        let authority = Authority::from_static("api.push.apple.com");
        Templates::new(Some("com.example.topic"), authority).unwrap()
    }

    fn prepared(change: impl FnOnce(&mut Notification)) -> Prepared {
        let mut notification = test_notification(model::Platform::IPHONE, "00fcDA");
        notification.expires_at = NOW.plus_ms(21_600_000);
        change(&mut notification);
        let authorization = HeaderValue::from_static("bearer x");
        templates().prepare(&notification, Some(&authorization), NOW)
    }

    fn ended(prepared: &Prepared) -> (Outcome, &'static str) {
        match prepared {
            Prepared::End { outcome, reason } => (*outcome, reason),
            Prepared::Send { .. } => panic!("it should end without a request"),
        }
    }

    #[test]
    fn the_request_is_what_apple_wants() {
        let Prepared::Send { request, body } = prepared(|notification| {
            notification.id = model::NotificationId(uuid::Uuid::from_u128(0xABCD));
        }) else {
            panic!("it should be sent");
        };
        assert_eq!(request.method(), Method::POST);
        assert_eq!(request.uri(), "https://api.push.apple.com/3/device/00fcDA");
        let mut headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        headers.sort();
        assert_eq!(
            headers,
            [
                "apns-expiration: 1795314988",
                "apns-id: 00000000-0000-0000-0000-00000000abcd",
                "apns-priority: 5",
                "apns-push-type: alert",
                "apns-topic: com.example.topic",
                "authorization: bearer x",
                &format!("content-length: {}", body.len()),
            ]
        );
        assert!(request.headers()[APNS_ID].is_sensitive());
    }

    #[test]
    fn high_priority_is_ten() {
        let prepared = prepared(|notification| {
            notification.content = std::sync::Arc::new(model::Content::pushkin(
                model::MessageId(1),
                "T",
                "B",
                "",
                Priority::High,
            ));
        });
        let Prepared::Send { request, .. } = prepared else {
            panic!("it should be sent");
        };
        assert_eq!(request.headers()[APNS_PRIORITY], "10");
    }

    #[test]
    fn expiry_is_counted_in_whole_seconds_rounded_down() {
        let sent = |life_ms| {
            let prepared = prepared(|notification| notification.expires_at = NOW.plus_ms(life_ms));
            matches!(prepared, Prepared::Send { .. })
        };
        assert!(sent(1));
        assert!(sent(0));
        let late = prepared(|notification| notification.expires_at = NOW.plus_ms(-1));
        assert_eq!(ended(&late), (Outcome::Expired, ""));
    }

    #[test]
    fn what_cannot_be_a_token_ends_without_a_request() {
        for token in ["", "xyz", "00/../00", &"0".repeat(201)] {
            let prepared =
                prepared(|notification| notification.token = model::DeviceToken::new(token));
            assert_eq!(ended(&prepared), (Outcome::InvalidToken, "BadDeviceToken"));
        }
    }

    #[test]
    fn a_payload_beyond_4096_bytes_ends_without_a_request() {
        let with_body = |length: usize| {
            prepared(|notification| {
                notification.content = std::sync::Arc::new(model::Content::pushkin(
                    model::MessageId(1),
                    "",
                    "b".repeat(length),
                    "",
                    Priority::High,
                ));
            })
        };
        let Prepared::Send { body, .. } = with_body(0) else {
            panic!("it should be sent");
        };
        let room = payload::PAYLOAD_LIMIT - body.len();
        assert!(matches!(with_body(room), Prepared::Send { .. }));
        assert_eq!(
            ended(&with_body(room + 1)),
            (Outcome::Rejected, "PayloadTooLarge")
        );
    }
}
