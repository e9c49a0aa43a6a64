//! What the fuzz targets reach of this module's inside; compiled for them only.

use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
};

use super::{Limits, OpenRequests, Phase, Shared, connection::Connection};
use crate::{Doors, PathsConfig, ServerConfig, ServerError, router::Router};

/// What is left when a connection has been served.
#[derive(Debug)]
pub struct Connected(Arc<Shared>);

impl Connected {
    /// Bytes of bodies that still count.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.0.router.body_bytes()
    }

    /// Requests that still count as open.
    #[must_use]
    pub fn open_requests(&self) -> usize {
        self.0.open_requests.count()
    }
}

pub(crate) async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    doors: Doors,
    config: &ServerConfig,
    paths: &PathsConfig,
) -> Result<Connected, ServerError> {
    let limits = Limits::from(config);
    let shared = Arc::new(Shared {
        router: Router::new(doors, paths, limits.body)?,
        limits,
        open_requests: OpenRequests::default(),
    });
    let (_phase, phase_seen) = watch::channel(Phase::Serving);
    Connection::serve(stream, Arc::clone(&shared), phase_seen).await;
    Ok(Connected(shared))
}
