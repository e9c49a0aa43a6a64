//! What the fuzz targets reach of this crate's inside; compiled for them only.

use tokio::io::{AsyncRead, AsyncWrite};

pub use crate::server::fuzzing::Connected;
use crate::{Doors, PathsConfig, ServerConfig, ServerError};

/// Serves one stream as if it were a client's connection, until either side closes it.
///
/// # Errors
/// When the paths make no sense.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    doors: Doors,
    config: &ServerConfig,
    paths: &PathsConfig,
) -> Result<Connected, ServerError> {
    crate::server::fuzzing::serve(stream, doors, config, paths).await
}
