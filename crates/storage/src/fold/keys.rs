//! A scope in the database's terms: which rows to read, which tokens to lock.

use model::{DeviceToken, Platform, Provider};

use super::Scope;
use crate::users::is_usable;

/// Tokens are locked in this many groups, which bounds the locks a batch holds: PostgreSQL has
/// room for about 6,400 by default (`max_locks_per_transaction` times `max_connections`).
const TOKEN_LOCKS: u64 = 2048;

/// A scope in the database's terms.
pub(super) struct Keys {
    pub(super) logins: Vec<i64>,
    pub(super) tokens: Vec<(Platform, DeviceToken)>,
    /// The tokens in every spelling that a row may have.
    pub(super) spellings: Vec<String>,
    /// Groups of [`TOKEN_LOCKS`], ascending.
    pub(super) groups: Vec<i32>,
}

impl Keys {
    pub(super) fn of(scope: &Scope) -> Self {
        let mut logins: Vec<i64> = scope.logins.iter().map(|login| login.0).collect();
        logins.sort_unstable();
        logins.dedup();
        let mut tokens = scope.tokens.clone();
        tokens.retain(|(_, token)| is_usable(token));
        tokens.sort_unstable();
        tokens.dedup();
        let mut spellings: Vec<String> = Vec::with_capacity(tokens.len());
        let mut groups = Vec::with_capacity(tokens.len());
        for (platform, token) in &tokens {
            let token = token.as_str();
            groups.push(lock_group(*platform, token));
            spellings.push(token.to_owned());
            match platform.provider() {
                // Clients send hexadecimal in one case; a row in mixed case is found by its login.
                Some(Provider::Apns) => {
                    spellings.push(token.to_ascii_lowercase());
                    spellings.push(token.to_ascii_uppercase());
                }
                Some(Provider::Fcm | Provider::WebPush) | None => {}
            }
        }
        spellings.sort_unstable();
        spellings.dedup();
        groups.sort_unstable();
        groups.dedup();
        Self {
            logins,
            tokens,
            spellings,
            groups,
        }
    }
}

/// FNV-1a (RFC 9923) of the token: all instances must agree, so no hasher that may change.
fn lock_group(platform: Platform, token: &str) -> i32 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in platform.0.to_be_bytes().into_iter().chain(token.bytes()) {
        hash ^= u64::from(byte.to_ascii_lowercase());
        hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
    }
    i32::try_from(hash % TOKEN_LOCKS).expect("the number of groups fits")
}

#[cfg(test)]
mod tests {
    use model::LoginId;

    use super::*;

    #[test]
    fn a_scope_asks_for_every_spelling_of_an_apns_token_and_no_unusable_one() {
        let token = |platform, text: &str| (platform, DeviceToken::new(text));
        let scope = Scope {
            logins: vec![LoginId(2), LoginId(1), LoginId(2)],
            tokens: vec![
                token(Platform::IPHONE, "aB"),
                token(Platform::ANDROID, "cD"),
                token(Platform::ANDROID, "cD"),
                token(Platform::ANDROID, ""),
                token(Platform::ANDROID, "a\0"),
            ],
            writes: true,
        };
        let keys = Keys::of(&scope);
        assert_eq!(keys.logins, [1, 2]);
        assert_eq!(keys.spellings, ["AB", "aB", "ab", "cD"]);
        assert_eq!(keys.tokens.len(), 2);
    }

    #[test]
    fn spellings_of_one_token_share_a_lock_and_groups_are_bounded() {
        let lower = lock_group(Platform::IPHONE, "abcd");
        assert_eq!(lower, lock_group(Platform::IPHONE, "ABCD"));
        for number in 0..1000 {
            let group = lock_group(Platform::ANDROID, &format!("token {number}"));
            assert!((0..2048).contains(&group));
        }
    }
}
