//! FCM over HTTP/1.1, for clients that do not speak HTTP/2.
//!
//! The same service as over HTTP/2, with what HTTP/1.1 has: a scripted GOAWAY
//! becomes `connection: close`, a scripted RST becomes a dropped connection.

use std::{convert::Infallible, future::pending, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    endpoint::{Command, Connected},
    service::{Fate, PushService, Request},
};

/// Serves one connection to its end.
pub(crate) async fn serve<T, S>(
    io: T,
    service: Arc<S>,
    mut connected: Connected,
) -> Result<(), hyper::Error>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: PushService,
{
    let number = connected.number;
    let answer = service_fn(|request| answer(Arc::clone(&service), request, number));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(io), answer);
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            ended = connection.as_mut() => return ended,
            command = connected.commands.recv() => match command {
                Some(Command::GoAway(_)) => connection.as_mut().graceful_shutdown(),
                Some(Command::MaxStreams(_)) => (),
                Some(Command::Drop) | None => return Ok(()),
            },
        }
    }
}

async fn answer<S: PushService>(
    service: Arc<S>,
    request: http::Request<Incoming>,
    connection: u64,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let dropped = || io::Error::from(io::ErrorKind::ConnectionAborted);
    // Some room over the limit: a body that is only just too long is refused in
    // the service's words and not by a broken connection.
    let limited = Limited::new(body, 2 * service.body_limit());
    let body = limited.collect().await.map_err(|_| dropped())?.to_bytes();
    let served = service.serve(Request {
        method: head.method,
        uri: head.uri,
        headers: head.headers,
        body,
        connection,
        stream: 0,
        certificate: None,
    });
    if served.latency > Duration::ZERO {
        tokio::time::sleep(served.latency).await;
    }
    match served.fate {
        Fate::Answer(response) => Ok(response.map(Full::new)),
        Fate::GoAway(_, mut response) => {
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
            Ok(response.map(Full::new))
        }
        Fate::Reset(_) | Fate::DropConnection => Err(dropped()),
        Fate::Silence => match pending::<Infallible>().await {},
    }
}
