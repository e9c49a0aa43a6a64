//! The script: what goes wrong, for whom and how often.
//!
//! In goes a request that passed every check; out comes the [`Action`] of the
//! first [`Rule`] that matches it, or nothing. Only acceptable requests meet
//! the script, so a scripted refusal never hides a real one.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::service::Service;

/// When something happens, and what. The first rule that matches wins.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which requests it is about.
    #[serde(default)]
    pub when: Match,
    /// Time before the action, in ms; absent is the endpoint's latency.
    #[serde(default)]
    pub latency_ms: Option<u64>,
    /// What happens to them.
    pub then: Action,
}

/// Which requests a rule is about. The default is every request of every service.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// Only requests to this service.
    pub service: Option<Service>,
    /// Only device tokens that begin like this, without regard to case for
    /// APNs' hexadecimal ones. The OAuth endpoint's requests have the token "".
    pub token_prefix: Option<String>,
    /// Lets this many matching requests pass first.
    pub skip: u64,
    /// From there on, only every n-th matching request.
    pub every: Option<NonZeroU64>,
    /// Applies at most this often; absent is without end.
    pub times: Option<u64>,
}

/// What happens to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The ordinary answer; for rules that only set the latency.
    Answer,
    /// A refusal in the service's own form.
    Refuse(Refusal),
    /// The connection is drained, see [`GoAway`].
    GoAway(GoAway),
    /// `RST_STREAM` with this HTTP/2 error code (RFC 9113 section 7).
    Reset {
        /// 7 is `REFUSED_STREAM`, which promises that nothing was processed.
        code: u32,
    },
    /// The TCP connection is closed without a word.
    DropConnection {
        /// Whether the request counts as received: it is in the log or it never came.
        after_reading: bool,
    },
    /// No answer ever; the stream stays open.
    Silence,
}

/// A refusal, written in the form of the service that gives it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Apple's `reason`, Google's `errorCode`, OAuth's `error`. Empty: the
    /// body of the real service without it.
    pub reason: String,
    /// Apple's `timestamp` in ms since 1970, which comes with 410.
    pub timestamp_ms: Option<u64>,
    /// The `Retry-After` header.
    pub retry_after: Option<RetryAfter>,
    /// A body to send instead of the service's form, such as a proxy's HTML page.
    pub body: Option<String>,
}

/// The two forms of `Retry-After` (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// An HTTP date this many seconds after the answer.
    Date(u64),
}

/// How a connection is drained (RFC 9113 section 6.8).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum GoAway {
    /// First the announcement with the id 2^31-1, after one round trip the
    /// real last id; everything up to it is answered.
    Graceful {
        /// Goes into the debug data as `{"reason":"…"}`.
        #[serde(default)]
        reason: Option<String>,
    },
    /// One GOAWAY whose last id leaves the newest streams unprocessed.
    Hard {
        /// How many streams in flight, the newest ones, are left unprocessed;
        /// streams that come later are too.
        unprocessed: u32,
        /// Goes into the debug data as `{"reason":"…"}`.
        #[serde(default)]
        reason: Option<String>,
    },
}

impl Rule {
    /// A rule about every request.
    #[must_use]
    pub fn new(then: Action) -> Self {
        Self {
            when: Match::default(),
            latency_ms: None,
            then,
        }
    }

    /// Only requests to `service`.
    #[must_use]
    pub fn service(mut self, service: Service) -> Self {
        self.when.service = Some(service);
        self
    }

    /// Only device tokens that begin with `prefix`.
    #[must_use]
    pub fn token_prefix(mut self, prefix: &str) -> Self {
        self.when.token_prefix = Some(prefix.into());
        self
    }

    /// Lets `count` matching requests pass first.
    #[must_use]
    pub fn skip(mut self, count: u64) -> Self {
        self.when.skip = count;
        self
    }

    /// Only every `nth` matching request.
    #[must_use]
    pub fn every(mut self, nth: NonZeroU64) -> Self {
        self.when.every = Some(nth);
        self
    }

    /// At most `times` times.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.when.times = Some(times);
        self
    }

    /// After `latency`, in whole milliseconds.
    #[must_use]
    pub fn after(mut self, latency: Duration) -> Self {
        self.latency_ms = Some(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

impl Refusal {
    /// A refusal with a status and the service's word for the reason.
    #[must_use]
    pub fn new(status: u16, reason: &str) -> Self {
        Self {
            status,
            reason: reason.into(),
            ..Self::default()
        }
    }

    /// With Apple's `timestamp`, in ms since 1970.
    #[must_use]
    pub fn timestamp_ms(mut self, timestamp_ms: u64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// With a `Retry-After` header.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.retry_after = Some(retry_after);
        self
    }

    /// With this body instead of the service's form.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        self.body = Some(body.into());
        self
    }
}

impl GoAway {
    /// The debug data of the frame; empty without a reason.
    pub(crate) fn debug_data(&self) -> Vec<u8> {
        let (Self::Graceful { reason } | Self::Hard { reason, .. }) = self;
        match reason {
            Some(reason) => serde_json::json!({ "reason": reason })
                .to_string()
                .into_bytes(),
            None => Vec::new(),
        }
    }
}

/// The rules in force, shared by all services of a simulator.
#[derive(Clone, Debug, Default)]
pub struct Script {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Written with `rules`: lets a request without any rule pass without the lock.
    any: AtomicBool,
    rules: Mutex<Vec<Counted>>,
}

#[derive(Debug)]
struct Counted {
    rule: Rule,
    /// Requests that matched service and prefix and were left over by earlier rules.
    matched: u64,
    applied: u64,
}

/// What the script says about one request.
pub(crate) struct Ruling {
    pub(crate) then: Action,
    pub(crate) latency: Option<Duration>,
}

impl Script {
    /// Adds a rule after the others; it is in force for the next request.
    pub fn add(&self, rule: Rule) {
        self.inner.rules.lock().push(Counted {
            rule,
            matched: 0,
            applied: 0,
        });
        self.inner.any.store(true, Ordering::Release);
    }

    /// Removes all rules.
    pub fn clear(&self) {
        self.inner.any.store(false, Ordering::Release);
        self.inner.rules.lock().clear();
    }

    /// Asks the rules about one request and counts it.
    pub(crate) fn ruling(&self, service: Service, token: &str) -> Option<Ruling> {
        if !self.inner.any.load(Ordering::Acquire) {
            return None;
        }
        let mut rules = self.inner.rules.lock();
        let rule = &rules
            .iter_mut()
            .find_map(|counted| counted.applies(service, token).then_some(&counted.rule))?;
        Some(Ruling {
            then: rule.then.clone(),
            latency: rule.latency_ms.map(Duration::from_millis),
        })
    }
}

impl Counted {
    fn applies(&mut self, service: Service, token: &str) -> bool {
        let when = &self.rule.when;
        let about = when.service.is_none_or(|wanted| wanted == service)
            && when
                .token_prefix
                .as_deref()
                .is_none_or(|prefix| begins(token, prefix, service));
        if !about {
            return false;
        }
        self.matched += 1;
        let Some(after) = self
            .matched
            .checked_sub(when.skip)
            .filter(|after| *after > 0)
        else {
            return false;
        };
        let in_turn = when.every.is_none_or(|nth| after % nth == 0);
        let applies = in_turn && when.times.is_none_or(|times| self.applied < times);
        self.applied += u64::from(applies);
        applies
    }
}

/// Apple's tokens are hexadecimal and clients differ in case; Google's are exact.
fn begins(token: &str, prefix: &str, service: Service) -> bool {
    match service {
        Service::Apns => token
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix)),
        Service::Fcm | Service::Oauth => token.starts_with(prefix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(rule: Rule, requests: u64) -> Vec<u64> {
        let script = Script::default();
        script.add(rule);
        (1..=requests)
            .filter(|_| script.ruling(Service::Apns, "AAbb").is_some())
            .collect()
    }

    #[test]
    fn skip_every_and_times_select_requests() {
        let rule = || Rule::new(Action::Silence);
        let second = NonZeroU64::new(2).unwrap();
        assert_eq!(applied(rule(), 3), [1, 2, 3]);
        assert_eq!(applied(rule().times(2), 4), [1, 2]);
        assert_eq!(applied(rule().skip(2).times(1), 9), [3]);
        assert_eq!(applied(rule().every(second), 5), [2, 4]);
        assert_eq!(applied(rule().skip(1).every(second).times(1), 9), [3]);
        assert_eq!(applied(rule().token_prefix("aaB"), 1), [1]);
        assert_eq!(applied(rule().token_prefix("b"), 1), [0; 0]);
        assert_eq!(applied(rule().service(Service::Fcm), 1), [0; 0]);
    }

    #[test]
    fn the_first_rule_wins_and_an_exhausted_one_gives_way() {
        let script = Script::default();
        script.add(Rule::new(Action::Silence).times(1));
        script.add(Rule::new(Action::Reset { code: 7 }));
        let ruling = |script: &Script| script.ruling(Service::Fcm, "t").map(|r| r.then);
        assert!(matches!(ruling(&script), Some(Action::Silence)));
        assert!(matches!(ruling(&script), Some(Action::Reset { code: 7 })));
        script.clear();
        assert!(ruling(&script).is_none());
    }

    #[test]
    fn rules_are_read_from_json() {
        let rule: Rule = serde_json::from_str(
            r#"{"when":{"service":"apns","token_prefix":"de","times":3},"latency_ms":5,
                "then":{"refuse":{"status":429,"reason":"TooManyRequests","retry_after":{"seconds":2}}}}"#,
        )
        .unwrap();
        assert!(matches!(rule.then, Action::Refuse(refusal) if refusal.status == 429));
        let hard = r#"{"then":{"go_away":{"hard":{"unprocessed":2,"reason":"Shutdown"}}}}"#;
        let rule: Rule = serde_json::from_str(hard).unwrap();
        let Action::GoAway(go_away) = rule.then else {
            panic!("not a GOAWAY");
        };
        assert_eq!(go_away.debug_data(), br#"{"reason":"Shutdown"}"#);
        assert!(serde_json::from_str::<Rule>(r#"{"then":"silence","wen":{}}"#).is_err());
    }
}
