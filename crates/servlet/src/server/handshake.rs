//! What comes before a connection's first request: the TLS handshake, where TLS is on.
//!
//! It happens in the connection's own task, so a client that stalls holds nobody up, and within
//! the time that a head may take.

use std::sync::Arc;

use tokio::{net::TcpStream, sync::watch, time};
use tracing::debug;

use super::{Phase, Shared, connection::Connection};

/// Serves the stream, once it is secured where it has to be.
pub(super) async fn serve(
    stream: TcpStream,
    shared: Arc<Shared>,
    mut phase: watch::Receiver<Phase>,
) {
    let Some(tls) = shared.router.tls() else {
        return Connection::serve(stream, shared, phase).await;
    };
    let handshake = tls.acceptor().accept(stream);
    let ended = tokio::select! {
        ended = time::timeout(shared.limits.header_time, handshake) => ended,
        // Who has not asked for anything yet is not waited for.
        _ = phase.wait_for(|phase| *phase != Phase::Serving) => return,
    };
    match ended {
        Ok(Ok(secured)) => Connection::serve(secured, shared, phase).await,
        failed => {
            shared.router.metrics().handshakes_failed.inc();
            match failed {
                Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                Ok(Ok(_)) | Err(_) => debug!("a TLS handshake took too long"),
            }
        }
    }
}
