//! A database for one test, and plain SQL beside the crate under test.

use std::{
    env,
    io::Write as _,
    sync::{
        Arc, Mutex, Once, Weak,
        atomic::{AtomicI64, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use diesel::{
    Connection as _, PgConnection, QueryableByName, RunQueryDsl as _, SqliteConnection,
    connection::SimpleConnection as _,
    sql_query,
    sql_types::{BigInt, Nullable, Text},
};
use model::{
    Clock, DeviceToken, ItemId, LoginId, MessageId, Platform, Priority, RequestId, UnixMs,
};
use storage::{DatabaseConfig, Login, MessageAttributes, OpenOptions, Scope, Storage};

pub(crate) struct Database {
    pub(crate) config: DatabaseConfig,
    url: String,
    /// What SQLite takes for the time.
    now_ms: Arc<AtomicI64>,
    keep: Keep,
}

enum Keep {
    Sqlite(#[expect(dead_code, reason = "holds the folder")] tempfile::TempDir),
    Postgres {
        admin_url: String,
        name: String,
        _template: Option<Arc<Template>>,
    },
}

/// A migrated database that the tests' own ones are copied from; made and dropped as often as
/// there is nobody who needs it.
struct Template {
    admin_url: String,
    name: String,
}

static TEMPLATE: Mutex<Weak<Template>> = Mutex::new(Weak::new());
static NUMBER: AtomicU32 = AtomicU32::new(0);

#[derive(QueryableByName)]
struct Cell {
    #[diesel(sql_type = Nullable<Text>)]
    cell: Option<String>,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    cell: i64,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = folder
            .path()
            .join("data/onegin.db")
            .to_str()
            .unwrap()
            .to_owned();
        let config = DatabaseConfig {
            db_url: Some(format!("sqlite:{url}")),
            ..small()
        };
        Self {
            config,
            url,
            now_ms: start_of_time(),
            keep: Keep::Sqlite(folder),
        }
    }

    /// A migrated copy; `None` where there is no PostgreSQL.
    pub(crate) fn postgres() -> Option<Self> {
        let admin_url = postgres_url()?;
        let template = template(&admin_url);
        let copy_of = template.name.clone();
        Some(Self::create(
            admin_url,
            &format!("TEMPLATE {copy_of}"),
            Some(template),
        ))
    }

    /// A PostgreSQL database with nothing in it.
    pub(crate) fn empty_postgres() -> Option<Self> {
        Some(Self::create(postgres_url()?, "", None))
    }

    fn create(admin_url: String, options: &str, template: Option<Arc<Template>>) -> Self {
        let name = fresh_name();
        execute_on_postgres(&admin_url, &format!("CREATE DATABASE {name} {options}"));
        let url = sibling(&admin_url, &name);
        let config = DatabaseConfig {
            db_url: Some(url.clone()),
            ..small()
        };
        let keep = Keep::Postgres {
            admin_url,
            name,
            _template: template,
        };
        Self {
            config,
            url,
            now_ms: start_of_time(),
            keep,
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self.keep, Keep::Postgres { .. })
    }

    pub(crate) fn open(&self) -> Storage {
        self.open_with(&self.config)
    }

    pub(crate) fn open_with_limits(&self, devices_per_user: u32, users_per_device: u32) -> Storage {
        self.open_with(&DatabaseConfig {
            max_devices_per_user: devices_per_user.try_into().unwrap(),
            max_users_per_device: users_per_device.try_into().unwrap(),
            ..self.config.clone()
        })
    }

    fn open_with(&self, config: &DatabaseConfig) -> Storage {
        Storage::open(config, self.options()).unwrap()
    }

    pub(crate) fn options(&self) -> OpenOptions {
        let now_ms = Arc::clone(&self.now_ms);
        let clock = Clock::new(move || UnixMs(now_ms.load(Ordering::Relaxed)));
        OpenOptions {
            processor_threads: 2,
            durable: false,
            clock,
        }
    }

    /// Lets all recorded sends be this much older.
    pub(crate) fn age_sends(&self, milliseconds: i64) {
        self.execute(&format!(
            "UPDATE user_message_last_time_sent SET last_time_sent_ts_bigint = last_time_sent_ts_bigint - {milliseconds}"
        ));
    }

    /// Statements on a connection that the crate knows nothing of.
    pub(crate) fn execute(&self, sql: &str) {
        match &self.keep {
            Keep::Sqlite(_) => self.sqlite_connection().batch_execute(sql).unwrap(),
            Keep::Postgres { .. } => execute_on_postgres(&self.url, sql),
        }
    }

    /// The column `cell` of a query's rows.
    pub(crate) fn cells(&self, sql: &str) -> Vec<Option<String>> {
        let rows: Vec<Cell> = match &self.keep {
            Keep::Sqlite(_) => sql_query(sql).load(&mut self.sqlite_connection()),
            Keep::Postgres { .. } => {
                sql_query(sql).load(&mut PgConnection::establish(&self.url).unwrap())
            }
        }
        .unwrap();
        rows.into_iter().map(|row| row.cell).collect()
    }

    /// Like `cells`, one number.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let row: Number = match &self.keep {
            Keep::Sqlite(_) => sql_query(sql).get_result(&mut self.sqlite_connection()),
            Keep::Postgres { .. } => {
                sql_query(sql).get_result(&mut PgConnection::establish(&self.url).unwrap())
            }
        }
        .unwrap();
        row.cell
    }

    fn sqlite_connection(&self) -> SqliteConnection {
        let mut connection = SqliteConnection::establish(&self.url).unwrap();
        connection
            .batch_execute("PRAGMA busy_timeout = 10000; PRAGMA foreign_keys = ON")
            .unwrap();
        connection
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Keep::Postgres {
            admin_url, name, ..
        } = &self.keep
        {
            execute_on_postgres(admin_url, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

impl Drop for Template {
    fn drop(&mut self) {
        execute_on_postgres(
            &self.admin_url,
            &format!("DROP DATABASE {} WITH (FORCE)", self.name),
        );
    }
}

fn template(admin_url: &str) -> Arc<Template> {
    let mut shared = TEMPLATE.lock().unwrap();
    if let Some(template) = shared.upgrade() {
        return template;
    }
    let name = fresh_name();
    execute_on_postgres(admin_url, &format!("CREATE DATABASE {name}"));
    let config = DatabaseConfig {
        db_url: Some(sibling(admin_url, &name)),
        ..small()
    };
    Storage::upgrade(&config).unwrap();
    let template = Arc::new(Template {
        admin_url: admin_url.to_owned(),
        name,
    });
    *shared = Arc::downgrade(&template);
    template
}

fn postgres_url() -> Option<String> {
    static SAY_ONCE: Once = Once::new();
    let url = env::var("ONEGIN_TEST_POSTGRES_URL").ok();
    if url.is_none() {
        SAY_ONCE.call_once(|| {
            // Straight to the terminal: the harness keeps what passing tests print.
            let skipped = "skipped: tests on PostgreSQL, ONEGIN_TEST_POSTGRES_URL is not set\n";
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        });
    }
    url
}

fn fresh_name() -> String {
    format!(
        "onegin_test_{}_{}",
        std::process::id(),
        NUMBER.fetch_add(1, Ordering::Relaxed)
    )
}

/// The URL of another database on the same server.
fn sibling(url: &str, name: &str) -> String {
    let (server, _) = url.rsplit_once('/').unwrap();
    format!("{server}/{name}")
}

fn execute_on_postgres(url: &str, sql: &str) {
    PgConnection::establish(url)
        .unwrap()
        .batch_execute(sql)
        .unwrap();
}

fn small() -> DatabaseConfig {
    DatabaseConfig {
        db_pool_size: 4.try_into().unwrap(),
        ..DatabaseConfig::default()
    }
}

fn start_of_time() -> Arc<AtomicI64> {
    Arc::new(AtomicI64::new(1_800_000_000_000))
}

pub(crate) const ANDROID: Platform = Platform::ANDROID;

pub(crate) fn login(login: i64, platform: Platform, token: &str) -> Login {
    Login {
        login: LoginId(login),
        language: Some(1),
        platform,
        token: Some(DeviceToken::new(token)),
        application_version: Some(1),
    }
}

pub(crate) fn log_in(storage: &Storage, login_id: i64, platform: Platform, token: &str) {
    storage.log_in(&login(login_id, platform, token)).unwrap();
}

/// Where the user is reached: platform and token.
pub(crate) fn addresses(storage: &Storage, login: i64) -> Vec<(i16, String)> {
    let scope = Scope {
        logins: vec![LoginId(login)],
        ..Scope::default()
    };
    let addresses = storage.fold(&scope, |users| {
        let addresses = users.addresses(LoginId(login)).into_iter();
        addresses
            .map(|(platform, token)| (platform.0, token.as_str().to_owned()))
            .collect()
    });
    addresses.unwrap().result
}

pub(crate) fn tokens(storage: &Storage, login: i64) -> Vec<String> {
    addresses(storage, login)
        .into_iter()
        .map(|(_, token)| token)
        .collect()
}

pub(crate) fn item(index: u32) -> ItemId {
    ItemId {
        request: RequestId::generate(),
        index,
    }
}

pub(crate) fn message(storage: &Storage, name: &str, cooldown_ms: Option<i64>) -> MessageId {
    storage
        .upsert_message(&attributes(name, cooldown_ms))
        .unwrap()
}

pub(crate) fn attributes(name: &str, cooldown_ms: Option<i64>) -> MessageAttributes {
    MessageAttributes {
        name: name.into(),
        trigger_event_id: Some(100),
        cooldown_ms,
        screen: String::new(),
        expiry_millis: None,
        priority: Priority::Normal,
    }
}

/// Waits for `condition`; fails loudly when it does not come.
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "did not happen: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
