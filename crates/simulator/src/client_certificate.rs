//! A client certificate, as far as Apple looks at it: the bundle id in its subject's UID.
//!
//! Apple's certificates for several topics list the others in an extension of Apple's own
//! (1.2.840.113635.100.6.3.6); certificates here have one topic.

use rustls::pki_types::CertificateDer;

/// `userId`, 0.9.2342.19200300.100.1.1 (RFC 4519 section 2.39), as a DER object identifier.
const USER_ID: [u8; 12] = [
    0x06, 0x0a, 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01,
];

/// What a verified client certificate allows.
#[derive(Debug)]
pub(crate) struct ClientCertificate {
    /// The bundle id in its subject; empty where it has none.
    pub(crate) topics: Vec<String>,
}

impl ClientCertificate {
    /// Looks into a certificate that TLS has verified.
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Self {
        Self {
            topics: user_id(certificate).into_iter().collect(),
        }
    }
}

/// The last UID in the certificate: the subject comes after the issuer.
fn user_id(der: &[u8]) -> Option<String> {
    let at = der
        .windows(USER_ID.len())
        .rposition(|window| window == USER_ID)?;
    // A string's tag, its length in one byte, its characters.
    let [_tag, length, rest @ ..] = &der[at + USER_ID.len()..] else {
        return None;
    };
    let text = rest.get(..usize::from(*length))?;
    std::str::from_utf8(text).ok().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn topics(user_id: Option<&str>) -> Vec<String> {
        let mut params = CertificateParams::default();
        let uid = DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]);
        if let Some(user_id) = user_id {
            params.distinguished_name.push(uid, user_id);
        }
        params
            .distinguished_name
            .push(DnType::CommonName, "Apple Push Services");
        let key = KeyPair::generate().unwrap();
        ClientCertificate::read(params.self_signed(&key).unwrap().der()).topics
    }

    #[test]
    fn the_topic_is_the_subjects_user_id() {
        assert_eq!(topics(Some("com.example.game")), ["com.example.game"]);
        assert_eq!(topics(None), [""; 0]);
    }
}
