//! A notification as a request to `messages:send`.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE},
    uri::{Authority, Scheme},
};
use model::{Notification, Outcome, UnixMs};

use super::payload;
use crate::{SenderError, provider::Prepared};

/// Four weeks, FCM's longest time to live, seconds. Beyond it Pushkin ended a notification with
/// status 100 and asked nobody; so do we.
const LONGEST_TTL_SEC: i64 = 2_419_200;

/// The parts of requests that do not change.
pub(super) struct Template {
    uri: Uri,
    headers: HeaderMap,
    dry_run: bool,
    base_deeplink_url: String,
}

impl Template {
    pub(super) fn new(
        project_id: &str,
        authority: Authority,
        dry_run: bool,
        base_deeplink_url: String,
    ) -> Result<Self, SenderError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !project_id.bytes().all(plain) {
            return Err(SenderError::ProjectId);
        }
        let uri = Uri::builder()
            .scheme(Scheme::HTTPS)
            .authority(authority)
            .path_and_query(format!("/v1/projects/{project_id}/messages:send"))
            .build()
            .map_err(|_| SenderError::ProjectId)?;
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self {
            uri,
            headers,
            dry_run,
            base_deeplink_url,
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
        let ttl_sec = notification.expires_at.since_ms(now).div_euclid(1000);
        if ttl_sec < 0 {
            return end(Outcome::Expired, "");
        }
        if ttl_sec > LONGEST_TTL_SEC {
            return end(Outcome::Rejected, "TimeToLiveOutOfRange");
        }
        let token = notification.token.as_str();
        if token.is_empty() {
            return end(Outcome::InvalidToken, "INVALID_ARGUMENT");
        }
        let content = &notification.content;
        // No bytes at all stand for "too large": the slot remembers that, too.
        let rendered = content.rendered.get_or_render(model::Provider::Fcm, || {
            payload::render(content, &self.base_deeplink_url).unwrap_or_default()
        });
        if rendered.is_empty() {
            return end(Outcome::Rejected, "PayloadTooLarge");
        }
        let body = payload::message(token, rendered, ttl_sec, self.dry_run);
        Prepared::Send {
            request: self.request(authorization, &body),
            body,
        }
    }

    fn request(&self, authorization: Option<&HeaderValue>, body: &Bytes) -> Request<()> {
        let mut headers = self.headers.clone();
        if let Some(authorization) = authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sender::test_notification;

    const NOW: UnixMs = UnixMs(1_795_293_388_117);

    fn prepared(token: &str, life_ms: i64) -> Prepared {
        let authority = Authority::from_static("fcm.googleapis.com");
        let template = Template::new("onegin-demo", authority, false, "app".to_owned()).unwrap();
        let mut notification = test_notification(model::Platform::ANDROID, token);
        notification.expires_at = NOW.plus_ms(life_ms);
        template.prepare(
            &notification,
            Some(&HeaderValue::from_static("Bearer x")),
            NOW,
        )
    }

    fn ended(prepared: &Prepared) -> (Outcome, &'static str) {
        match prepared {
            Prepared::End { outcome, reason } => (*outcome, reason),
            Prepared::Send { .. } => panic!("it should end without a request"),
        }
    }

    #[test]
    fn the_request_goes_to_the_project() {
        let Prepared::Send { request, body } = prepared("tokA", 21_599_999) else {
            panic!("it should be sent");
        };
        assert_eq!(
            request.uri(),
            "https://fcm.googleapis.com/v1/projects/onegin-demo/messages:send"
        );
        assert_eq!(request.headers()[AUTHORIZATION], "Bearer x");
        assert_eq!(request.headers()[CONTENT_TYPE], "application/json");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["message"]["android"]["ttl"], "21599s");
    }

    #[test]
    fn expiry_is_counted_in_whole_seconds_and_bounded_by_four_weeks() {
        let four_weeks_ms = LONGEST_TTL_SEC * 1000;
        for life_ms in [0, 1, four_weeks_ms, four_weeks_ms + 999] {
            assert!(matches!(prepared("t", life_ms), Prepared::Send { .. }));
        }
        assert_eq!(ended(&prepared("t", -1)), (Outcome::Expired, ""));
        assert_eq!(
            ended(&prepared("t", four_weeks_ms + 1000)),
            (Outcome::Rejected, "TimeToLiveOutOfRange")
        );
    }

    #[test]
    fn an_empty_token_ends_without_a_request() {
        assert_eq!(ended(&prepared("", 1000)).0, Outcome::InvalidToken);
    }

    #[test]
    fn a_project_id_cannot_leave_its_place_in_the_path() {
        let authority = Authority::from_static("fcm.googleapis.com");
        assert!(matches!(
            Template::new("a/b", authority, false, String::new()),
            Err(SenderError::ProjectId)
        ));
    }
}
