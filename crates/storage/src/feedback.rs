//! What push services say about tokens, written to the device rows.
//!
//! A batch of feedback is folded like a batch of events: the rows of its logins are read and
//! locked, changed in order in memory, and written once.

use model::{Feedback, LoginId};

use crate::{
    Scope, Storage, StorageError, Users,
    users::{is_usable, platforms_of_service},
};

/// What a batch of feedback changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeedbackCounts {
    /// Tokens that ended a device.
    pub unregistered: u64,
    /// Tokens that were replaced.
    pub replaced: u64,
    /// Feedback that changed nothing: no such device any more, ended already, or its user came
    /// back after the push service's time.
    pub without_effect: u64,
}

impl Storage {
    /// Writes what push services said. Doing it again changes nothing more.
    ///
    /// # Errors
    /// As [`Storage::fold`].
    pub fn apply_feedback(&self, feedback: &[Feedback]) -> Result<FeedbackCounts, StorageError> {
        if feedback.is_empty() {
            return Ok(FeedbackCounts::default());
        }
        let folded = self.fold(&scope(feedback), |users| {
            let mut counts = FeedbackCounts::default();
            for feedback in feedback {
                apply(users, feedback, &mut counts);
            }
            counts
        })?;
        Ok(folded.result)
    }
}

fn scope(feedback: &[Feedback]) -> Scope {
    let mut scope = Scope {
        writes: true,
        ..Scope::default()
    };
    for feedback in feedback {
        scope.logins.push(login(feedback));
        match feedback {
            Feedback::Unregistered { .. } => {}
            Feedback::Replaced { platform, new, .. } if is_usable(new) => {
                let platforms = platforms_of_service(*platform).into_iter();
                scope
                    .tokens
                    .extend(platforms.map(|platform| (platform, new.clone())));
            }
            Feedback::Replaced { .. } => {}
        }
    }
    scope.logins.sort_unstable();
    scope.logins.dedup();
    scope
}

fn login(feedback: &Feedback) -> LoginId {
    match feedback {
        Feedback::Unregistered { login, .. } | Feedback::Replaced { login, .. } => *login,
    }
}

fn apply(users: &mut Users, feedback: &Feedback, counts: &mut FeedbackCounts) {
    match feedback {
        Feedback::Unregistered {
            login,
            token,
            since,
            ..
        } => {
            if users.unregister(*login, token, *since) {
                counts.unregistered += 1;
            } else {
                counts.without_effect += 1;
            }
        }
        Feedback::Replaced {
            login,
            platform,
            old,
            new,
        } => {
            // A new token that cannot be stored leaves the device as it is: the next push will
            // bring the same answer.
            match users.replace_token(*login, *platform, old, new) {
                Ok(true) => counts.replaced += 1,
                Ok(false) | Err(_) => counts.without_effect += 1,
            }
        }
    }
}
