//! Key and secret out of an `Authorization` header (RFC 7617). Malformed is the same as wrong.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, header::AUTHORIZATION};

use super::secret::check_key;

/// What a client says it is. No `Debug`: it holds a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Credentials {
    pub(super) key: String,
    pub(super) secret: String,
}

impl Credentials {
    /// Those of the one `Authorization` header; `None` without one, with several, or with one
    /// that is not HTTP Basic to the letter.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next()?;
        if values.next().is_some() {
            return None;
        }
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = STANDARD.decode(encoded.trim_start_matches(' ')).ok()?;
        let pair = String::from_utf8(decoded).ok()?;
        // The first colon: a secret may have some.
        let (key, secret) = pair.split_once(':')?;
        check_key(key).ok()?;
        Some(Self {
            key: key.to_owned(),
            secret: secret.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&[u8]]) -> Option<(String, String)> {
        let values = values.iter().map(|value| {
            let value = HeaderValue::from_bytes(value).unwrap();
            (AUTHORIZATION, value)
        });
        let credentials = Credentials::of(&values.collect());
        credentials.map(|credentials| (credentials.key, credentials.secret))
    }

    fn basic(pair: impl AsRef<[u8]>) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    #[test]
    fn key_and_secret_are_split_at_the_first_colon() {
        let pair = |key: &str, secret: &str| Some((key.to_owned(), secret.to_owned()));
        for (header, expected) in [
            (basic("KEY:secret"), pair("KEY", "secret")),
            (basic("KEY:se:cr:et"), pair("KEY", "se:cr:et")),
            (basic("KEY:"), pair("KEY", "")),
            (basic("ključ:tajna"), pair("ključ", "tajna")),
            (basic("K:s").replace("Basic", "bAsIc"), pair("K", "s")),
            (basic("K:s").replace(' ', "   "), pair("K", "s")),
        ] {
            assert_eq!(read(&[header.as_bytes()]), expected, "{header}");
        }
    }

    #[test]
    fn anything_else_is_nothing() {
        let good = basic("KEY:secret");
        assert_eq!(read(&[]), None);
        assert_eq!(read(&[good.as_bytes(), good.as_bytes()]), None);
        for header in [
            String::new(),
            "Basic".to_owned(),
            "Basic ".to_owned(),
            good.replace("Basic", "Bearer"),
            good.replace("Basic ", "Basic"),
            good.replace("Basic ", "Basic\t"),
            good.clone() + "=",
            good.trim_end_matches('=').to_owned() + "!",
            basic("no colon"),
            basic(":secret"),
            basic("K\0:secret"),
            basic(b"K\xff:secret"),
            // Padding is part of the standard's form.
            basic("KEY:secret").trim_end_matches('=').to_owned(),
        ] {
            assert_eq!(read(&[header.as_bytes()]), None, "{header}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(value in proptest::collection::vec(0x20_u8.., 0..60), basic: bool) {
            let mut header = if basic { b"Basic ".to_vec() } else { Vec::new() };
            header.extend(value.iter().filter(|byte| **byte != 0x7f));
            read(&[&header]);
        }
    }
}
