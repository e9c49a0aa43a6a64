//! What systemd, or whoever speaks its protocol, is told: that we are ready, reload, stop, live.
//!
//! One datagram of `NAME=value` lines to the socket that `NOTIFY_SOCKET` names, as `sd_notify(3)`
//! describes; without the variable nobody is told anything. A message that cannot be sent is
//! logged and given up: the daemon works all the same.

mod watchdog;

use std::{
    ffi::OsString,
    io,
    os::unix::{
        ffi::OsStrExt,
        net::{SocketAddr, UnixDatagram},
    },
    sync::Arc,
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use tracing::{info, warn};

pub(crate) use self::watchdog::Watchdog;
use crate::pipeline::VitalSigns;

/// A manager that does not read its socket is not waited for longer.
const SEND_LIMIT: Duration = Duration::from_secs(1);

/// The service manager, if there is one.
#[derive(Debug)]
pub(crate) struct ServiceManager {
    socket: Option<Arc<Socket>>,
    /// A sign of life is wanted within this time.
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Socket {
    socket: UnixDatagram,
    manager: SocketAddr,
}

impl ServiceManager {
    /// Reads `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID`; `process` is our own id. What
    /// cannot be used is logged.
    pub(crate) fn from_environment(
        variable: impl Fn(&str) -> Option<OsString>,
        process: u32,
    ) -> Self {
        let socket = variable("NOTIFY_SOCKET").and_then(|name| {
            let opened = Socket::open(name.as_bytes());
            opened
                .inspect_err(|error| {
                    warn!(%error, socket = %name.display(), "NOTIFY_SOCKET cannot be used, the service manager is told nothing");
                })
                .ok()
        });
        let text = |name| variable(name)?.into_string().ok();
        Self {
            socket: socket.map(Arc::new),
            watchdog: watchdog_time(text("WATCHDOG_USEC"), text("WATCHDOG_PID"), process),
        }
    }

    /// The doors are open, or what [`ServiceManager::reloading`] began is over.
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// SIGHUP has come. With `Type=notify-reload` the time tells which signal is meant.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.tell(&format!(
            "RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS=reloading"
        ));
    }

    /// The drain begins and takes `limit` at most.
    pub(crate) fn stopping(&self, limit: Duration) {
        let limit_sec = limit.as_secs();
        self.tell(&format!(
            "STOPPING=1\nSTATUS=draining, for {limit_sec} s at most"
        ));
    }

    /// Starts to give signs of life, if the manager wants any, while no stage is dead.
    pub(crate) fn keep_watchdog_quiet(&self, vital_signs: VitalSigns) -> Option<Watchdog> {
        let socket = Arc::clone(self.socket.as_ref()?);
        // Half of the time, as sd_watchdog_enabled(3) recommends.
        let period = self.watchdog? / 2;
        info!(period_ms = period.as_millis(), "giving signs of life");
        Some(Watchdog::start(
            period,
            move || vital_signs.dead_stage(),
            move || tell(&socket, "WATCHDOG=1"),
        ))
    }

    fn tell(&self, message: &str) {
        if let Some(socket) = &self.socket {
            tell(socket, message);
        }
    }
}

fn tell(socket: &Socket, message: &str) {
    if let Err(error) = socket.send(message) {
        warn!(%error, tells = message, "the service manager could not be told");
    }
}

impl Socket {
    /// `name` is a path, or an abstract name behind an `@`.
    fn open(name: &[u8]) -> io::Result<Self> {
        let manager = match name {
            [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
            #[cfg(target_os = "linux")]
            [b'@', rest @ ..] => {
                use std::os::linux::net::SocketAddrExt;
                SocketAddr::from_abstract_name(rest)?
            }
            _ => {
                let text = "neither a path nor an abstract name";
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_LIMIT))?;
        Ok(Self { socket, manager })
    }

    fn send(&self, message: &str) -> io::Result<()> {
        let bytes = message.as_bytes();
        self.socket.send_to_addr(bytes, &self.manager).map(drop)
    }
}

/// Within which time a sign of life is wanted from the process `process`.
fn watchdog_time(usec: Option<String>, pid: Option<String>, process: u32) -> Option<Duration> {
    let usec = usec?;
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(process));
    match usec.parse() {
        Ok(1..) if !ours => None,
        Ok(usec @ 1..) => Some(Duration::from_micros(usec)),
        Ok(0) | Err(_) => {
            warn!(
                usec,
                "WATCHDOG_USEC is no number of microseconds, no signs of life are given"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life_are_given_by_the_process_that_is_asked() {
        let time = |usec: &str, pid: Option<&str>| {
            watchdog_time(Some(usec.to_owned()), pid.map(str::to_owned), 42)
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(time("1000000", None), second);
        assert_eq!(time("1000000", Some("42")), second);
        assert_eq!(time("1000000", Some("43")), None);
        assert_eq!(time("1000000", Some("")), None);
        assert_eq!(time("0", None), None);
        assert_eq!(time("soon", None), None);
        assert_eq!(watchdog_time(None, None, 42), None);
    }

    #[test]
    fn a_socket_of_another_kind_is_refused_and_not_fatal() {
        for name in ["vsock:2:1234", "", "relative"] {
            let manager = ServiceManager::from_environment(
                |variable| (variable == "NOTIFY_SOCKET").then(|| name.into()),
                42,
            );
            assert!(manager.socket.is_none(), "{name:?}");
            manager.ready("nobody hears it");
        }
    }
}
