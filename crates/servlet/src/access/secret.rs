//! Keys and secrets: made, hashed, compared.
//!
//! A secret that we make has 200 random bits: nobody guesses it, with whatever hardware, so it
//! needs neither a salt nor a slow hash, and is checked in a microsecond. A secret that somebody
//! else has made may be a word, so it gets Argon2id with the least that OWASP asks for. What must
//! stay true: no secret is in any error, and comparing takes as long for a nearly right secret as
//! for a wrong one.

use std::{fmt, hint::black_box};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString},
};
use ring::{
    digest,
    rand::{SecureRandom, SystemRandom},
};
use subtle::ConstantTimeEq;

/// 32 letters and digits of which none looks like another: five bits each, without a remainder.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Characters of a key that we make.
const KEY_CHARACTERS: usize = 16;
/// Characters of a secret that we make; five bits each.
const SECRET_CHARACTERS: usize = 40;
/// Longest key, in bytes.
const KEY_LIMIT: usize = 255;
/// Longest imported secret, in bytes.
const SECRET_LIMIT: usize = 1024;

/// Memory of one Argon2id hash in KiB, passes over it, and lanes: the least that OWASP's Password
/// Storage Cheat Sheet asks for.
const ARGON_COST: (u32, u32, u32) = (19_456, 2, 1);
/// What a stored hash may cost at most: memory in KiB, passes, lanes.
const ARGON_COST_AT_MOST: (u32, u32, u32) = (65_536, 10, 4);

const SHA256: &str = "sha256";
const ARGON2ID: &str = "argon2id";

/// Why a key or secret cannot be used. Never shows either.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
    /// Not what HTTP Basic can carry, or too long.
    #[error("a key has 1 to {KEY_LIMIT} bytes, no colon and no control characters")]
    Key,
    /// Not what HTTP Basic can carry, or too long.
    #[error("a secret has 1 to {SECRET_LIMIT} bytes and no control characters")]
    Secret,
    /// A stored hash is not one that we write.
    #[error("the stored hash of the secret cannot be read")]
    Stored,
    /// No memory for a hash.
    #[error("the secret cannot be hashed")]
    Hash,
}

/// A new key with its secret. `Debug` shows neither.
pub struct NewKey {
    /// The public part, 16 characters.
    pub key: String,
    /// The secret, 40 characters; shown once and kept nowhere.
    pub secret: String,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("NewKey")
    }
}

impl NewKey {
    /// Makes one.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn generate() -> Result<Self, SecretError> {
        Ok(Self {
            key: random_text(KEY_CHARACTERS)?,
            secret: random_text(SECRET_CHARACTERS)?,
        })
    }
}

fn random_text(characters: usize) -> Result<String, SecretError> {
    let mut bytes = vec![0; characters];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| SecretError::Random)?;
    let letter = |byte: u8| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]);
    Ok(bytes.into_iter().map(letter).collect())
}

/// Whether a key may look like this; others are not even looked up.
///
/// # Errors
/// When it is empty, too long, or has a colon or control characters.
pub fn check_key(key: &str) -> Result<(), SecretError> {
    let fits = (1..=KEY_LIMIT).contains(&key.len());
    if fits && !key.contains(':') && !key.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(SecretError::Key)
    }
}

/// Whether it looks like a key of ours; such keys never have slow hashes.
pub(super) fn looks_generated(key: &str) -> bool {
    key.len() == KEY_CHARACTERS && key.bytes().all(|byte| ALPHABET.contains(&byte))
}

/// What is kept of a secret. `Debug` shows the algorithm only.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretHash {
    /// Of a secret that we made.
    Sha256([u8; digest::SHA256_OUTPUT_LEN]),
    /// Of any other: parameters, salt and hash as a PHC string.
    Argon2id(String),
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.algorithm())
    }
}

impl SecretHash {
    /// The algorithm's name where hashes of imported secrets are stored.
    pub const IMPORTED: &str = ARGON2ID;

    /// Of a secret that [`NewKey::generate`] made.
    #[must_use]
    pub fn of_generated(secret: &str) -> Self {
        Self::Sha256(sha256(secret))
    }

    /// Of a secret that somebody else made. Takes tens of milliseconds and 19 MiB.
    ///
    /// # Errors
    /// When the secret is none that HTTP Basic can carry, or there is no memory.
    pub fn of_imported(secret: &str) -> Result<Self, SecretError> {
        if !(1..=SECRET_LIMIT).contains(&secret.len()) || secret.chars().any(char::is_control) {
            return Err(SecretError::Secret);
        }
        let mut salt = [0; 16];
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| SecretError::Random)?;
        let salt = SaltString::encode_b64(&salt).map_err(|_| SecretError::Random)?;
        let hash = argon2()?
            .hash_password(secret.as_bytes(), &salt)
            .map_err(|_| SecretError::Hash)?;
        Ok(Self::Argon2id(hash.to_string()))
    }

    /// Reads what [`SecretHash::algorithm`] and [`SecretHash::text`] gave.
    ///
    /// # Errors
    /// When it is nothing of the kind, or would cost more than a hash of ours by far.
    pub fn parse(algorithm: &str, text: &str) -> Result<Self, SecretError> {
        match algorithm {
            SHA256 => {
                let mut hash = [0; digest::SHA256_OUTPUT_LEN];
                from_hex(text, &mut hash).ok_or(SecretError::Stored)?;
                Ok(Self::Sha256(hash))
            }
            ARGON2ID => {
                let hash = PasswordHash::new(text).map_err(|_| SecretError::Stored)?;
                let params = Params::try_from(&hash).map_err(|_| SecretError::Stored)?;
                let (memory, passes, lanes) = ARGON_COST_AT_MOST;
                let is_bearable = params.m_cost() <= memory
                    && params.t_cost() <= passes
                    && params.p_cost() <= lanes;
                if hash.algorithm.as_str() != ARGON2ID || !is_bearable {
                    return Err(SecretError::Stored);
                }
                Ok(Self::Argon2id(text.to_owned()))
            }
            _ => Err(SecretError::Stored),
        }
    }

    /// What it is hashed with, as it is stored.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Sha256(_) => SHA256,
            Self::Argon2id(_) => ARGON2ID,
        }
    }

    /// The hash as it is stored.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Sha256(hash) => hash.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::Argon2id(text) => text.clone(),
        }
    }

    /// Whether comparing takes long: not on a thread that others wait for.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self, Self::Argon2id(_))
    }

    /// Whether this is the secret.
    pub(super) fn is_of(&self, secret: &str) -> bool {
        match self {
            Self::Sha256(hash) => hash.ct_eq(&sha256(secret)).into(),
            Self::Argon2id(text) => {
                let (Ok(hash), Ok(argon2)) = (PasswordHash::new(text), argon2()) else {
                    return false;
                };
                // The cost is the stored hash's own; the comparison takes constant time.
                argon2.verify_password(secret.as_bytes(), &hash).is_ok()
            }
        }
    }
}

/// The work of comparing a secret with the hash of a key of ours, for a key that does not exist.
pub(super) fn compare_with_nothing(secret: &str) {
    let nothing = SecretHash::Sha256([0; digest::SHA256_OUTPUT_LEN]);
    black_box(nothing.is_of(black_box(secret)));
}

/// The same for an imported key.
pub(super) fn compare_slowly_with_nothing(secret: &str) {
    let mut hash = [0; 32];
    let hashed = argon2()
        .map(|argon2| argon2.hash_password_into(black_box(secret.as_bytes()), &[0; 16], &mut hash));
    // That there is no memory changes nothing: there is no key either.
    drop(black_box(hashed));
}

fn argon2() -> Result<Argon2<'static>, SecretError> {
    let (memory, passes, lanes) = ARGON_COST;
    let params = Params::new(memory, passes, lanes, None).map_err(|_| SecretError::Hash)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn sha256(secret: &str) -> [u8; digest::SHA256_OUTPUT_LEN] {
    let mut hash = [0; digest::SHA256_OUTPUT_LEN];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

fn from_hex(text: &str, bytes: &mut [u8]) -> Option<()> {
    if text.len() != 2 * bytes.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn generated_keys_are_of_the_promised_form_and_all_different() {
        let keys: Vec<NewKey> = (0..200).map(|_| NewKey::generate().unwrap()).collect();
        let mut letters = HashSet::new();
        for NewKey { key, secret } in &keys {
            assert_eq!((key.len(), secret.len()), (16, 40));
            assert!(looks_generated(key) && check_key(key).is_ok());
            letters.extend(secret.bytes());
        }
        // 8,000 letters of 32: that one is missing has a probability of 10 to the minus 108.
        assert_eq!(letters, ALPHABET.iter().copied().collect());
        let secrets: HashSet<&str> = keys.iter().map(|new| new.secret.as_str()).collect();
        assert_eq!(secrets.len(), keys.len());
        assert_eq!(format!("{:?}", keys[0]), "NewKey");
    }

    #[test]
    fn hashes_are_of_their_secret_and_of_no_other_also_after_a_round_trip() {
        let hashes = [
            SecretHash::of_generated("right"),
            SecretHash::of_imported("right").unwrap(),
        ];
        for hash in hashes {
            let read = SecretHash::parse(hash.algorithm(), &hash.text()).unwrap();
            assert!(read == hash);
            for (secret, is_right) in [
                ("right", true),
                ("righ", false),
                ("rightt", false),
                ("Right", false),
                ("", false),
            ] {
                assert_eq!(read.is_of(secret), is_right, "{secret} {hash:?}");
            }
            let shown = format!("{hash:?} {}", hash.text());
            assert!(!shown.contains("right"), "{shown}");
        }
    }

    #[test]
    fn a_generated_secret_is_hashed_by_sha_256() {
        // FIPS 180-2's example, so that keys made today are understood for ever.
        assert_eq!(
            SecretHash::of_generated("abc").text(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn an_imported_secret_has_its_own_salt_and_owasps_cost() {
        let [one, other] = [(); 2].map(|()| SecretHash::of_imported("same").unwrap().text());
        assert_ne!(one, other);
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
    }

    #[test]
    fn what_http_basic_cannot_carry_is_refused() {
        for secret in ["", "a\nb", "a\0", &"x".repeat(1025)] {
            assert!(SecretHash::of_imported(secret).is_err(), "{secret:?}");
        }
        for key in ["", "a:b", "a\nb", "\0", &"x".repeat(256)] {
            assert!(check_key(key).is_err(), "{key:?}");
        }
        assert!(check_key(&"x".repeat(255)).is_ok());
        assert!(check_key("5d8f-Ž").is_ok());
    }

    #[test]
    fn stored_hashes_that_are_none_or_cost_too_much_are_refused() {
        let salt_and_hash = "c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        let argon = |head: &str| format!("{head}${salt_and_hash}");
        assert!(
            SecretHash::parse(ARGON2ID, &argon("$argon2id$v=19$m=19456,t=2,p=1")).is_ok(),
            "the others would be refused for their form"
        );
        for (algorithm, text) in [
            (SHA256, "00".to_owned()),
            (SHA256, "zz".repeat(32)),
            (SHA256, "+1".repeat(32)),
            ("md5", "00".repeat(32)),
            (ARGON2ID, "hash".to_owned()),
            (ARGON2ID, argon("$argon2i$v=19$m=19456,t=2,p=1")),
            (ARGON2ID, argon("$argon2id$v=19$m=4000000,t=2,p=1")),
            (ARGON2ID, argon("$argon2id$v=19$m=19456,t=1000,p=1")),
        ] {
            assert!(SecretHash::parse(algorithm, &text).is_err(), "{text}");
        }
    }
}
