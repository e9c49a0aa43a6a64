//! Where a push service is: `https://host[:port]`, and nothing else.

use http::{Uri, uri::Authority, uri::Scheme};
use rustls::pki_types::ServerName;

use crate::SenderError;

/// A push service's address.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// What DNS is asked for; without the brackets of an IPv6 address.
    pub(crate) host: String,
    /// TCP port; 443 where the URL has none.
    pub(crate) port: u16,
    /// Host and port as the `:authority` of requests.
    pub(crate) authority: Authority,
    /// What the server's certificate must be valid for.
    pub(crate) server_name: ServerName<'static>,
}

impl Endpoint {
    /// Reads `https://host[:port]`, with or without a final slash.
    pub(crate) fn parse(url: &str) -> Result<Self, SenderError> {
        Self::from_url(url).ok_or_else(|| SenderError::Endpoint {
            url: url.to_owned(),
        })
    }

    fn from_url(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        if uri.scheme() != Some(&Scheme::HTTPS) || !bare {
            return None;
        }
        let authority = uri.authority()?.clone();
        if authority.as_str().contains('@') {
            return None;
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let server_name = ServerName::try_from(host.clone()).ok()?;
        // Not `authority.port()`: it takes a number that is too large for no number at all.
        let after_host = authority.as_str().strip_prefix(authority.host())?;
        let port = match after_host.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None => 443,
        };
        Some(Self {
            host,
            port,
            authority,
            server_name,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_are_read() {
        let apple = Endpoint::parse("https://api.push.apple.com").unwrap();
        assert_eq!(
            (apple.host.as_str(), apple.port),
            ("api.push.apple.com", 443)
        );
        let local = Endpoint::parse("https://[::1]:2197/").unwrap();
        assert_eq!((local.host.as_str(), local.port), ("::1", 2197));
        assert_eq!(local.authority.as_str(), "[::1]:2197");
    }

    #[test]
    fn anything_but_an_https_host_is_refused() {
        for url in [
            "",
            "api.push.apple.com",
            "http://127.0.0.1:2197",
            "https://host/path",
            "https://host?query",
            "https://user@host",
            "https://host:0",
            "https://host:99999",
        ] {
            assert!(Endpoint::parse(url).is_err(), "{url}");
        }
    }
}
