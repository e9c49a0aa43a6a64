//! A PostgreSQL server of the test's own, stopped and started, and one whose disk is full.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use storage::MessageAttributes;
use tempfile::TempDir;

use super::{Disk, HOUR_MS, assert_unharmed, delivered_once, readiness};
use crate::{
    app::{TestApp, event, eventually, login, triggered_by},
    database::{TestDatabase, skipped},
    http::Client,
};

/// Reached by a socket in its own folder: a port could be somebody else's while it is stopped.
struct Server {
    programs: PathBuf,
    folder: PathBuf,
    _folder: Option<TempDir>,
}

impl Server {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::new_in(folder.path())?;
        server._folder = Some(folder);
        Some(server)
    }

    /// `None`, with a line that says so, where there is no server program.
    fn new_in(folder: &Path) -> Option<Self> {
        let Some(programs) = programs() else {
            skipped("tests that stop a PostgreSQL server, there is no pg_ctl");
            return None;
        };
        let server = Self {
            programs,
            folder: folder.join("server"),
            _folder: None,
        };
        fs::create_dir(&server.folder).unwrap();
        if is_root() {
            // The server refuses to run as root.
            for path in [folder, &server.folder] {
                assert!(quietly(Command::new("chown").arg("postgres").arg(path)));
            }
        }
        // One segment of the log is 1 MB: there is little disk in one test.
        let settings = [
            "-U",
            "onegin",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "-N",
            "--wal-segsize=1",
            "-D",
        ];
        let made = server.run("initdb", &settings, &[&server.data()]);
        assert!(made, "initdb failed");
        server.start();
        Some(server)
    }

    fn url(&self) -> String {
        let folder = self.folder.display();
        format!("postgres:///postgres?user=onegin&host={folder}")
    }

    fn start(&self) {
        let folder = self.folder.display();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off \
             -c max_connections=50 -c max_wal_size=4MB -c min_wal_size=2MB"
        );
        let log = self.folder.join("log").display().to_string();
        let arguments = ["-w", "-s", "-l", &log, "-o", &options, "start", "-D"];
        assert!(
            self.run("pg_ctl", &arguments, &[&self.data()]),
            "the server did not start: {}",
            fs::read_to_string(self.folder.join("log")).unwrap_or_default()
        );
    }

    fn stop(&self, mode: &str) {
        let arguments = ["-w", "-s", "-m", mode, "stop", "-D"];
        assert!(self.run("pg_ctl", &arguments, &[&self.data()]), "{mode}");
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn run(&self, program: &str, arguments: &[&str], paths: &[&Path]) -> bool {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        quietly(command.args(arguments).args(paths).current_dir("/"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let arguments = ["-w", "-s", "-m", "immediate", "stop", "-D"];
        self.run("pg_ctl", &arguments, &[&self.data()]);
    }
}

fn quietly(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folder of a server's programs.
fn programs() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut folders: Vec<PathBuf> = installed
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    folders.sort();
    folders.reverse();
    let path = env::var_os("PATH").unwrap_or_default();
    folders.extend(env::split_paths(&path));
    folders
        .into_iter()
        .find(|folder| folder.join("pg_ctl").exists() && folder.join("initdb").exists())
}

fn app_on(server: &Server) -> TestApp {
    let database = TestDatabase::at(server.url());
    let app = TestApp::start_on(database, tempfile::tempdir().unwrap(), |_| {});
    app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
    let cooled_down = MessageAttributes {
        cooldown_ms: Some(HOUR_MS),
        ..triggered_by("cooled_down", 101)
    };
    app.message(cooled_down, &[(1, "T", "{name} once")]);
    app
}

/// For each user a login and two messages, of which one has a cooldown.
fn post_of(users: std::ops::Range<i64>) -> Vec<u8> {
    let events_of = |user: i64| {
        let name = || json!({"name": user.to_string()});
        [
            login(user, 1, &format!("tok{user}"), 1),
            event(user, 100, name()),
            event(user, 101, name()),
        ]
    };
    let events: Vec<Value> = users.flat_map(events_of).collect();
    json!({ "events": events }).to_string().into_bytes()
}

/// What the users of these POSTs have then been sent.
fn expected(users: impl IntoIterator<Item = i64>) -> BTreeSet<String> {
    let texts = |user: i64| [format!("{user}"), format!("{user} once")];
    users.into_iter().flat_map(texts).collect()
}

#[test]
fn a_server_that_is_stopped_and_started_under_load_costs_nothing() {
    let Some(server) = Server::new() else {
        return;
    };
    let mut app = app_on(&server);
    let (next_user, over) = (AtomicI64::new(1), AtomicBool::new(false));
    let accepted = Mutex::new(Vec::new());
    let address = app.pipeline.address();
    let client = || {
        let mut client = Client::connect(address);
        let (_never, pause) = std::sync::mpsc::channel::<()>();
        while !over.load(Ordering::SeqCst) {
            let user = next_user.fetch_add(1, Ordering::SeqCst);
            let answer = client.post("/post_events_json", "", &post_of(user..user + 1));
            if answer.status == 200 {
                accepted.lock().unwrap().push(user);
            }
            // The load of a small game, for as long as the servers need.
            pause.recv_timeout(Duration::from_millis(10)).unwrap_err();
        }
    };
    let twenty_more = |app: &TestApp, when: &str| {
        let enough = accepted.lock().unwrap().len() + 20;
        app.eventually(&format!("posts are taken {when}"), || {
            accepted.lock().unwrap().len() >= enough
        });
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(client);
        }
        for mode in ["immediate", "fast"] {
            twenty_more(&app, "before");
            server.stop(mode);
            app.eventually("readiness says so", || {
                readiness(&app) == (503, "the database does not answer".to_owned())
            });
            twenty_more(&app, "meanwhile");
            server.start();
            app.eventually("it is ready again", || readiness(&app).0 == 200);
        }
        twenty_more(&app, "after");
        over.store(true, Ordering::SeqCst);
    });
    let accepted = accepted.into_inner().unwrap();
    app.expect_requests(accepted.len() as u64);
    app.finish();
    assert_eq!(delivered_once(&app), expected(accepted));
    assert_unharmed(&app);
}

#[test]
fn a_server_without_disk_space_is_waited_for_and_costs_nothing() {
    let Some(disk) = Disk::new(128) else {
        return;
    };
    let Some(server) = Server::new_in(&disk.path()) else {
        return;
    };
    let mut app = app_on(&server);
    let mut next = 1;
    let mut post = |app: &mut TestApp| {
        app.post("/post_events_json", &post_of(next..next + 50))
            .accepted();
        next += 50;
    };
    post(&mut app);
    app.finish();
    disk.fill();
    // Pages that are there have room for some.
    eventually("a batch waits for the database", || {
        let finished = app.pipeline.finished().count();
        post(&mut app);
        let mut held_up = false;
        eventually("it is finished or waits", || {
            held_up = app.metric("onegin_batches_held_up") > 0;
            held_up || app.pipeline.finished().count() > finished
        });
        held_up
    });
    app.eventually("readiness says so", || {
        let (status, text) = readiness(&app);
        // If the server's log was what did not fit, it has gone down.
        status == 503 && text.starts_with("the database ")
    });
    disk.free();
    app.finish();
    assert_eq!(delivered_once(&app), expected(1..next));
    app.eventually("it is ready again", || readiness(&app).0 == 200);
    assert_unharmed(&app);
}

/// A fail-over leaves connections at what has become a standby.
#[test]
fn a_server_that_takes_no_writes_is_waited_for_and_costs_nothing() {
    let Some(database) = crate::database::postgres() else {
        return;
    };
    let mut app = TestApp::start(database);
    app.message(triggered_by("hello", 100), &[(1, "T", "{name}")]);
    let url = app.config.database.db_url.clone().unwrap();
    let (_, name) = url.rsplit_once('/').unwrap();
    let read_only = |value: &str| {
        app.database.execute(&format!(
            "BEGIN READ WRITE; \
             ALTER DATABASE {name} SET default_transaction_read_only = {value}; COMMIT; \
             SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ));
    };
    read_only("on");
    let body = post_of(1..2);
    app.client().post("/post_events_json", "", &body).accepted();
    app.eventually("readiness says so", || {
        readiness(&app) == (503, "the database cannot be written".to_owned())
    });
    read_only("off");
    app.expect_requests(1);
    app.finish();
    assert_eq!(delivered_once(&app), ["1".to_owned()].into());
    app.eventually("it is ready again", || readiness(&app).0 == 200);
    assert_unharmed(&app);
}

#[test]
fn feedback_waits_for_the_server_one_place_for_each_device() {
    let Some(server) = Server::new() else {
        return;
    };
    super::disk::feedback_waits_for(app_on(&server), |_| server.stop("fast"), |_| server.start());
}
