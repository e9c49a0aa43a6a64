//! What the pool has seen of its connections and the circuit breaker is to hear.

use crate::provider::{CredentialWord, Reason};

pub(super) const CLOSED: Reason = Reason::Borrowed("the push service closed the connection");
pub(super) const SENT_AWAY: Reason =
    Reason::Borrowed("the push service sends new connections away");
pub(super) const SILENT: Reason = Reason::Borrowed("no answer in time");

/// What the connections have told since it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Noticed {
    /// Connections that could not be made, were of no use or broke under their requests.
    pub(crate) failures: u32,
    /// The last one's reason.
    pub(crate) reason: Reason,
    /// A word about our credential.
    pub(crate) credential: Option<CredentialWord>,
}

impl Noticed {
    /// One more failure.
    pub(super) fn failure(&mut self, reason: Reason) {
        self.failures += 1;
        self.reason = reason;
    }

    /// What is new, if anything is.
    pub(super) fn take(&mut self) -> Option<Self> {
        let news = self.failures > 0 || self.credential.is_some();
        news.then(|| std::mem::take(self))
    }
}

/// An error with all that caused it, for the one line that tells an operator what is wrong.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
