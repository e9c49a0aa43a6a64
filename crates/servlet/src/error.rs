//! Why the doors cannot be opened. What goes wrong later is answered to the client.

use std::{io, net::SocketAddr};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The address is taken, not ours, or not permitted.
    #[error("failed to listen on {address}")]
    Listen {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// The operating system's reason.
        #[source]
        cause: io::Error,
    },
    /// The listening socket does not say where it listens.
    #[error("failed to read the address of the listening socket")]
    Address(#[source] io::Error),
    /// A configured path that no request could ever have.
    #[error("[RequestHandler] {key}: a path must start with '/', but it is \"{path}\"")]
    NotAPath {
        /// The configuration key.
        key: &'static str,
        /// What it says.
        path: String,
    },
    /// A configured path that Pushkin would have read as a regular expression, or nobody can ask
    /// for.
    #[error(
        "[RequestHandler] {key}: a path is compared as it is and not as a regular expression, \
         so it cannot have {character:?}, but it is \"{path}\""
    )]
    NotLiteral {
        /// The configuration key.
        key: &'static str,
        /// What it says.
        path: String,
        /// The first character that a path cannot have.
        character: char,
    },
    /// Two URLs with one path: the second could never be reached.
    #[error("[RequestHandler] {key}: the path \"{path}\" is already that of {other}")]
    PathTaken {
        /// The configuration key.
        key: &'static str,
        /// What it says.
        path: String,
        /// Who has the path already.
        other: &'static str,
    },
}
