//! A cable between the daemon and its PostgreSQL server that a test can pull out and put back.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use std::sync::Mutex;

/// A TCP proxy. While it is out, connections end as soon as they are made.
pub(crate) struct Cable {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    server: String,
    /// Written by the test.
    is_out: AtomicBool,
    /// Written when the test ends.
    is_over: AtomicBool,
    /// Both ends of every connection. Held while one is added, so that none escapes a cut.
    sockets: Mutex<Vec<TcpStream>>,
}

impl Cable {
    /// A cable to `server`, a host and port.
    pub(crate) fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            is_out: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            sockets: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.is_over.load(Ordering::SeqCst) {
                    return;
                }
                accepting.join(client.unwrap());
            }
        });
        Self { address, shared }
    }

    /// The same database URL through this cable.
    pub(crate) fn url(url: &str) -> (Self, String) {
        let (user, rest) = url.rsplit_once('@').expect("a URL with a user");
        let (server, database) = rest.split_once('/').expect("a URL with a database");
        let cable = Self::to(server);
        let url = format!("{user}@{}/{database}", cable.address);
        (cable, url)
    }

    pub(crate) fn pull_out(&self) {
        self.shared.is_out.store(true, Ordering::SeqCst);
        self.cut();
    }

    pub(crate) fn put_back(&self) {
        self.shared.is_out.store(false, Ordering::SeqCst);
    }

    /// Ends every connection; new ones can be made at once.
    pub(crate) fn cut(&self) {
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            // An error means that it has ended already.
            drop(socket.shutdown(Shutdown::Both));
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the accepting thread.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn join(&self, client: TcpStream) {
        let mut sockets = self.sockets.lock().unwrap();
        if self.is_out.load(Ordering::SeqCst) {
            return;
        }
        let server = TcpStream::connect(&self.server).unwrap();
        for (from, to) in [(&client, &server), (&server, &client)] {
            from.set_nodelay(true).unwrap();
            let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            thread::spawn(move || {
                drop(io::copy(&mut from, &mut to));
                drop(to.shutdown(Shutdown::Both));
                drop(from.shutdown(Shutdown::Both));
            });
        }
        sockets.extend([client, server]);
    }
}
