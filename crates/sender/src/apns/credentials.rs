//! How Apple knows us: a signing key (`.p8`, token authentication) or a client certificate.
//!
//! In: PEM bytes. Out: a signer or a TLS identity, checked as far as that goes without Apple.
//! Encoding of the token is base64url without padding (RFC 7515 section 2): Apple also takes
//! other forms, a strict gateway does not.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use model::UnixMs;
use ring::{
    error::Unspecified,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use serde_json::json;

use crate::{CredentialError, tls};

/// A credential for APNs. `Debug` shows its kind only.
pub struct Credentials {
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Token(Box<TokenKey>),
    Certificate(tls::Identity),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &self.kind {
            Kind::Token(_) => "token",
            Kind::Certificate(_) => "certificate",
        })
    }
}

impl Credentials {
    /// Token authentication: the `.p8` file as Apple gives it, and the two ids that belong to it.
    ///
    /// # Errors
    /// When the file has no usable P-256 key, or an id is not ten letters and digits.
    pub fn from_p8(pem: &[u8], key_id: &str, team_id: &str) -> Result<Self, CredentialError> {
        refuse_encrypted(pem)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(CredentialError::PrivateKey)?;
        let random = SystemRandom::new();
        let key_pair = EcdsaKeyPair::from_pkcs8(
            &ECDSA_P256_SHA256_FIXED_SIGNING,
            der.secret_pkcs8_der(),
            &random,
        )
        .map_err(|rejected| CredentialError::KeyKind {
            expected: "a P-256 key for ES256",
            reason: rejected.to_string(),
        })?;
        let header = json!({"alg": "ES256", "kid": apple_id("key id", key_id)?});
        Ok(Self {
            kind: Kind::Token(Box::new(TokenKey {
                key_pair,
                random,
                encoded_header: URL_SAFE_NO_PAD.encode(header.to_string()),
                team_id: apple_id("team id", team_id)?.to_owned(),
            })),
        })
    }

    /// A client certificate: PEM with the certificate (and what signed it) and its unencrypted
    /// key in PKCS#8, PKCS#1 or SEC1 form, in any order.
    ///
    /// # Errors
    /// When one of the two is missing, damaged or encrypted, or they do not belong together.
    pub fn from_certificate(pem: &[u8]) -> Result<Self, CredentialError> {
        refuse_encrypted(pem)?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            pem::Error::NoItemsFound => CredentialError::NoPrivateKey,
            damaged => CredentialError::PrivateKey(damaged),
        })?;
        let chain = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<Vec<_>, _>>()
            .map_err(CredentialError::Certificate)?;
        if chain.is_empty() {
            return Err(CredentialError::NoCertificate);
        }
        CertifiedKey::from_der(chain.clone(), key.clone_key(), &tls::crypto_provider())
            .map_err(CredentialError::Identity)?;
        Ok(Self {
            kind: Kind::Certificate(tls::Identity { chain, key }),
        })
    }
}

/// Signs provider tokens.
pub(super) struct TokenKey {
    key_pair: EcdsaKeyPair,
    random: SystemRandom,
    encoded_header: String,
    team_id: String,
}

impl TokenKey {
    /// The `authorization` header with a token issued at `now`.
    pub(super) fn sign(&self, now: UnixMs) -> Result<HeaderValue, Unspecified> {
        let claims = json!({"iss": self.team_id, "iat": now.seconds()}).to_string();
        let signed = format!("{}.{}", self.encoded_header, URL_SAFE_NO_PAD.encode(claims));
        let signature = self.key_pair.sign(&self.random, signed.as_bytes())?;
        let bearer = format!("bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature));
        let mut header = HeaderValue::from_maybe_shared(bearer.into_bytes())
            .expect("base64url and dots are header characters");
        // Sensitive also means "never indexed" in HPACK. That costs nothing here: h2 keeps no
        // `authorization` in its dynamic table anyway. It buys that no Debug output shows it.
        header.set_sensitive(true);
        Ok(header)
    }
}

/// Both PEM forms of an encrypted key say so in plain text (RFC 5958, RFC 1421).
fn refuse_encrypted(pem: &[u8]) -> Result<(), CredentialError> {
    let says = |words: &[u8]| pem.windows(words.len()).any(|window| window == words);
    if says(b"BEGIN ENCRYPTED PRIVATE KEY") || says(b"Proc-Type: 4,ENCRYPTED") {
        return Err(CredentialError::EncryptedKey);
    }
    Ok(())
}

fn apple_id<'a>(what: &'static str, id: &'a str) -> Result<&'a str, CredentialError> {
    if id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        Ok(id)
    } else {
        Err(CredentialError::AppleId { what })
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    fn key() -> rcgen::KeyPair {
        rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()
    }

    fn certificate(key: &rcgen::KeyPair) -> String {
        let params = rcgen::CertificateParams::new(vec!["com.example.game".to_owned()]).unwrap();
        params.self_signed(key).unwrap().pem()
    }

    fn decode(part: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn the_token_is_a_valid_es256_jwt_in_base64url() {
        let key = key();
        let pem = key.serialize_pem();
        let credentials = Credentials::from_p8(pem.as_bytes(), "ABCDE12345", "TEAM567890").unwrap();
        let Kind::Token(signer) = &credentials.kind else {
            panic!("a .p8 is a token credential");
        };
        let header = signer.sign(UnixMs(1_795_293_388_117)).unwrap();
        assert!(header.is_sensitive());
        let token = header.to_str().unwrap().strip_prefix("bearer ").unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (head, claims) = signed.split_once('.').unwrap();
        assert_eq!(decode(head), json!({"alg": "ES256", "kid": "ABCDE12345"}));
        assert_eq!(
            decode(claims),
            json!({"iss": "TEAM567890", "iat": 1_795_293_388})
        );
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key_raw())
            .verify(signed.as_bytes(), &signature)
            .unwrap();
    }

    #[test]
    fn what_is_not_a_p8_key_is_refused_with_the_reason() {
        let refused = |pem: &[u8], key_id| match Credentials::from_p8(pem, key_id, "TEAM567890") {
            Ok(_) => panic!("refused"),
            Err(error) => error,
        };
        let pem = key().serialize_pem();
        assert!(matches!(
            refused(b"hello", "ABCDE12345"),
            CredentialError::PrivateKey(_)
        ));
        assert!(matches!(
            refused(pem.as_bytes(), "short"),
            CredentialError::AppleId { what: "key id" }
        ));
        let encrypted = pem.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        assert!(matches!(
            refused(encrypted.as_bytes(), "ABCDE12345"),
            CredentialError::EncryptedKey
        ));
        let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert!(matches!(
            refused(p384.serialize_pem().as_bytes(), "ABCDE12345"),
            CredentialError::KeyKind { .. }
        ));
    }

    #[test]
    fn certificate_and_key_are_taken_together_or_not_at_all() {
        let (mine, other) = (key(), key());
        let certificate = certificate(&mine);
        let both = |key: &rcgen::KeyPair| key.serialize_pem() + &certificate;
        assert!(Credentials::from_certificate(both(&mine).as_bytes()).is_ok());
        assert!(matches!(
            Credentials::from_certificate(both(&other).as_bytes()),
            Err(CredentialError::Identity(_))
        ));
        assert!(matches!(
            Credentials::from_certificate(mine.serialize_pem().as_bytes()),
            Err(CredentialError::NoCertificate)
        ));
        assert!(matches!(
            Credentials::from_certificate(certificate.as_bytes()),
            Err(CredentialError::NoPrivateKey)
        ));
    }

    #[test]
    fn an_encrypted_key_beside_a_certificate_is_refused_in_both_of_its_forms() {
        let key = key();
        let certificate = certificate(&key);
        let plain = key.serialize_pem();
        let pkcs8 = plain.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let begin = "-----BEGIN EC PRIVATE KEY-----\n";
        let traditional = plain.replace("PRIVATE KEY", "EC PRIVATE KEY").replace(
            begin,
            &format!("{begin}Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n"),
        );
        for key in [pkcs8, traditional] {
            for file in [key.clone() + &certificate, certificate.clone() + &key] {
                let error = Credentials::from_certificate(file.as_bytes()).unwrap_err();
                assert!(error.to_string().contains("decrypt it first"), "{error}");
            }
        }
    }

    #[test]
    fn no_error_shows_key_material() {
        let pem = key().serialize_pem();
        let secret = pem.lines().nth(1).unwrap();
        let error = Credentials::from_p8(pem.as_bytes(), "x", "y").unwrap_err();
        assert!(!format!("{error:?} {error}").contains(secret));
    }
}
