//! How Google knows us: a service account, as the JSON file of the Google Cloud console.
//!
//! In: the file's bytes. Out: a signer of token requests (RFC 7523), with what the file says
//! about where to send them.
//! <https://developers.google.com/identity/protocols/oauth2/service-account>

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use model::UnixMs;
use reqwest::Url;
use ring::{
    error::Unspecified,
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::json;

use crate::CredentialError;

/// The right to send messages, and nothing else.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// Google takes assertions of at most one hour.
const ASSERTION_LIFE_SEC: i64 = 3600;
/// Where the file names no `token_uri`.
const GOOGLE_TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// A service account. `Debug` shows its project only.
pub struct Credentials {
    pub(super) project_id: String,
    pub(super) token_uri: Url,
    /// The `aud` claim: the file's text, which the URL parser might write differently.
    audience: String,
    client_email: String,
    encoded_header: String,
    key_pair: RsaKeyPair,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "service account of {}", self.project_id)
    }
}

/// The file. Fields are optional here so that the error can name the missing one.
#[derive(Deserialize)]
struct File {
    #[serde(rename = "type")]
    kind: Option<String>,
    project_id: Option<String>,
    private_key_id: Option<String>,
    private_key: Option<String>,
    client_email: Option<String>,
    token_uri: Option<String>,
}

impl Credentials {
    /// Reads a service-account file.
    ///
    /// # Errors
    /// When it is not one, lacks a field, or has a key that cannot sign RS256.
    pub fn from_service_account(json: &[u8]) -> Result<Self, CredentialError> {
        let file: File =
            serde_json::from_slice(json).map_err(|error| CredentialError::ServiceAccountForm {
                line: error.line(),
                column: error.column(),
            })?;
        if file.kind.as_deref() != Some("service_account") {
            return Err(CredentialError::NotServiceAccount);
        }
        let header = match &file.private_key_id {
            Some(id) => json!({"alg": "RS256", "typ": "JWT", "kid": id}),
            None => json!({"alg": "RS256", "typ": "JWT"}),
        };
        let audience = file.token_uri.unwrap_or(GOOGLE_TOKEN_URI.to_owned());
        Ok(Self {
            project_id: present("project_id", file.project_id)?,
            token_uri: Url::parse(&audience).map_err(|_| CredentialError::TokenUri)?,
            audience,
            client_email: present("client_email", file.client_email)?,
            encoded_header: URL_SAFE_NO_PAD.encode(header.to_string()),
            key_pair: rsa_key(&present("private_key", file.private_key)?)?,
        })
    }

    /// A signed assertion that asks for an access token at `now`.
    pub(super) fn assertion(&self, now: UnixMs) -> Result<String, Unspecified> {
        let issued_at = now.seconds();
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": self.audience,
            "iat": issued_at,
            "exp": issued_at + ASSERTION_LIFE_SEC,
        });
        let claims = URL_SAFE_NO_PAD.encode(claims.to_string());
        let signed = format!("{}.{claims}", self.encoded_header);
        let mut signature = vec![0; self.key_pair.public().modulus_len()];
        self.key_pair.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed.as_bytes(),
            &mut signature,
        )?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

fn present(name: &'static str, value: Option<String>) -> Result<String, CredentialError> {
    value
        .filter(|text| !text.is_empty())
        .ok_or(CredentialError::ServiceAccountField(name))
}

fn rsa_key(pem: &str) -> Result<RsaKeyPair, CredentialError> {
    if pem.contains("ENCRYPTED") {
        return Err(CredentialError::EncryptedKey);
    }
    let expected = "an RSA key for RS256";
    let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(CredentialError::PrivateKey)?;
    let key_pair = match &der {
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        // Sec1 is for elliptic curves; the type is open for forms to come.
        _ => {
            return Err(CredentialError::KeyKind {
                expected,
                reason: "it is in another form than PKCS#8 or PKCS#1".to_owned(),
            });
        }
    };
    key_pair.map_err(|rejected| CredentialError::KeyKind {
        expected,
        reason: rejected.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> CredentialError {
        match Credentials::from_service_account(json.as_bytes()) {
            Ok(_) => panic!("it should be refused"),
            Err(error) => error,
        }
    }

    #[test]
    fn what_is_not_a_service_account_is_refused_with_the_reason() {
        assert!(matches!(
            refused("-----BEGIN PRIVATE KEY-----"),
            CredentialError::ServiceAccountForm { line: 1, .. }
        ));
        assert!(matches!(
            refused(r#"{"type":"authorized_user"}"#),
            CredentialError::NotServiceAccount
        ));
        assert!(matches!(
            refused(r#"{"type":"service_account"}"#),
            CredentialError::ServiceAccountField("project_id")
        ));
        let elliptic = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let json = json!({
            "type": "service_account",
            "project_id": "p",
            "client_email": "e",
            "private_key": elliptic.serialize_pem(),
        });
        assert!(matches!(
            refused(&json.to_string()),
            CredentialError::KeyKind { .. }
        ));
    }

    #[test]
    fn no_error_quotes_the_file() {
        let error = refused(r#"{"type":"service_account","private_key":["s3cret"]}"#);
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
}
