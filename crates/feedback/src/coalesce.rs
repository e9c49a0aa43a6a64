//! One statement about each device, however often the push services repeated themselves.
//!
//! A user with a dead token who is sent ten messages makes ten equal answers. That a token has a
//! successor outweighs that it is dead, for it is dead in both cases; of two successors the later
//! one counts, and of two deaths the later one, where "now" is later than any time.

use std::collections::{HashMap, hash_map::Entry};

use model::{DeviceToken, Feedback, LoginId, Platform, Provider};

/// The same statements with one for each device, in the order of their first mention. What comes
/// with them is joined: `join` is given an earlier one's and a later one's.
pub(crate) fn coalesce<S>(
    feedback: impl IntoIterator<Item = (Feedback, S)>,
    join: impl Fn(&mut S, S),
) -> Vec<(Feedback, S)> {
    let mut places = HashMap::new();
    let mut statements: Vec<(Feedback, S)> = Vec::new();
    for (statement, share) in feedback {
        match places.entry(device(&statement)) {
            Entry::Vacant(place) => {
                place.insert(statements.len());
                statements.push((statement, share));
            }
            Entry::Occupied(place) => {
                let (earlier, joined) = &mut statements[*place.get()];
                if outweighs(&statement, earlier) {
                    *earlier = statement;
                }
                join(joined, share);
            }
        }
    }
    statements
}

/// Which device is meant, equal for all ways to write an APNs token.
fn device(statement: &Feedback) -> (LoginId, Platform, DeviceToken) {
    let (login, platform, token) = match statement {
        Feedback::Unregistered {
            login,
            platform,
            token,
            since: _,
        } => (*login, *platform, token),
        Feedback::Replaced {
            login,
            platform,
            old,
            new: _,
        } => (*login, *platform, old),
    };
    let token = match platform.provider() {
        Some(Provider::Apns) => DeviceToken::new(token.as_str().to_ascii_lowercase()),
        Some(Provider::Fcm | Provider::WebPush) | None => token.clone(),
    };
    (login, platform, token)
}

/// Whether `later` stands where `earlier` stood.
fn outweighs(later: &Feedback, earlier: &Feedback) -> bool {
    match (later, earlier) {
        (Feedback::Replaced { .. }, _) => true,
        (Feedback::Unregistered { .. }, Feedback::Replaced { .. }) => false,
        (
            Feedback::Unregistered { since: later, .. },
            Feedback::Unregistered { since: earlier, .. },
        ) => match (later, earlier) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(later), Some(earlier)) => later > earlier,
        },
    }
}

#[cfg(test)]
mod tests {
    use model::UnixMs;

    use super::*;

    fn coalesce(feedback: impl IntoIterator<Item = Feedback>) -> Vec<Feedback> {
        let feedback = feedback.into_iter().map(|feedback| (feedback, ()));
        let coalesced = super::coalesce(feedback, |(), ()| ());
        coalesced
            .into_iter()
            .map(|(feedback, ())| feedback)
            .collect()
    }

    fn unregistered(platform: Platform, token: &str, since: Option<i64>) -> Feedback {
        Feedback::Unregistered {
            login: LoginId(1),
            platform,
            token: DeviceToken::new(token),
            since: since.map(UnixMs),
        }
    }

    fn replaced(old: &str, new: &str) -> Feedback {
        Feedback::Replaced {
            login: LoginId(1),
            platform: Platform::ANDROID,
            old: DeviceToken::new(old),
            new: DeviceToken::new(new),
        }
    }

    #[test]
    fn repetitions_become_one_and_different_devices_stay() {
        let (a, b) = (
            unregistered(Platform::ANDROID, "a", None),
            unregistered(Platform::ANDROID, "b", None),
        );
        let tablet = unregistered(Platform::ANDROID_TABLET, "a", None);
        let statements = [&a, &b, &a, &tablet, &b, &a].map(Clone::clone);
        assert_eq!(coalesce(statements), [a, b, tablet]);
    }

    #[test]
    fn of_two_deaths_the_later_counts() {
        let at = |since| unregistered(Platform::IPHONE, "a", since);
        assert_eq!(coalesce([at(Some(5)), at(Some(7))]), [at(Some(7))]);
        assert_eq!(coalesce([at(Some(7)), at(Some(5))]), [at(Some(7))]);
        assert_eq!(coalesce([at(Some(7)), at(None)]), [at(None)]);
        assert_eq!(coalesce([at(None), at(Some(7))]), [at(None)]);
    }

    #[test]
    fn a_successor_outweighs_a_death_and_the_last_successor_counts() {
        let dead = unregistered(Platform::ANDROID, "a", None);
        let statements = [replaced("a", "b"), dead.clone(), replaced("a", "c"), dead];
        assert_eq!(coalesce(statements), [replaced("a", "c")]);
    }

    #[test]
    fn apns_tokens_are_the_same_in_either_case_and_others_are_not() {
        let lower = unregistered(Platform::IPHONE, "ab", None);
        let upper = unregistered(Platform::IPHONE, "AB", None);
        assert_eq!(coalesce([lower.clone(), upper]), [lower]);
        let lower = unregistered(Platform::ANDROID, "ab", None);
        let upper = unregistered(Platform::ANDROID, "AB", None);
        assert_eq!(coalesce([lower, upper]).len(), 2);
    }
}
