//! The database at one million devices: looking users up, and deciding cooldowns, in batches.
//!
//! One thread folds batch after batch ([`storage::Storage::fold`]), as a processor thread does.
//! *look-up*: languages, opt-outs and devices of the batch's users are read. *cooldown, first*: as
//! well, one claim per user is decided that nobody has made before, so a row is inserted.
//! *cooldown, again*: the same users once more, the row is updated. A key is one user.
//!
//! CPU is this process's: on SQLite that is all the work there is, on PostgreSQL the client's
//! part of it. Wall time holds only on a machine that is idle otherwise.
//!
//! Run with `cargo bench --bench storage`; PostgreSQL joins in when `ONEGIN_TEST_POSTGRES_URL` is
//! set (a database of the bench's own is made there and dropped). Filling takes a minute.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench's output is its purpose")]

#[path = "postgres/database.rs"]
mod postgres;

use std::{fs, path::Path, time::Instant};

use diesel::{Connection, SqliteConnection, connection::SimpleConnection};
use model::{Clock, ItemId, LoginId, MessageId, RequestId, UnixMs};
use postgres::{PostgresDatabase, execute};
use storage::{DatabaseConfig, OpenOptions, Scope, Storage};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Users, each with one device.
const USERS: usize = 1_000_000;
/// Users per batch, and users per round.
const ROUNDS: [(usize, usize); 4] = [(1, 10_000), (10, 50_000), (100, 100_000), (500, 100_000)];
/// Has no factor in common with [`USERS`], so its multiples come by every user once and are
/// spread over the whole table.
const STRIDE: usize = 611_953;
/// What is claimed. Its cooldown is over at once, so every claim wins.
const MESSAGE: MessageId = MessageId(1);
/// Message 2 has been sent to everyone, so that the table of cooldowns is not a small one.
const ADD_MESSAGES: &str =
    "INSERT INTO message (name, cooldown_ts) VALUES ('claimed', 0), ('sent before', 0);";
/// Clock ticks per second of /proc's CPU times: Linux shows 100 to every process.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    println!("{USERS} users with one device each, one thread");
    println!(
        "{:<12} {:<16} {:>6} {:>12} {:>16}",
        "database", "work", "batch", "keys/s wall", "CPU us per key"
    );
    let directory = tempfile::tempdir().expect("a temporary folder");
    let file = directory.path().join("bench.db");
    measure("SQLite", &filled_sqlite(&file));
    match std::env::var("ONEGIN_TEST_POSTGRES_URL") {
        Ok(url) => {
            let database = PostgresDatabase::new(url, "storage");
            measure("PostgreSQL", &filled_postgres(&database));
        }
        Err(_) => println!("PostgreSQL: skipped, ONEGIN_TEST_POSTGRES_URL is not set"),
    }
}

// The measurement.

fn measure(database: &str, storage: &Storage) {
    // Every page that the rounds need is in memory, and every statement is prepared.
    let everyone: Vec<usize> = (0..USERS).collect();
    fold_all(storage, &everyone, 500, Work::LookUp);
    let mut unclaimed = everyone.into_iter();
    for (batch, keys) in ROUNDS {
        let users: Vec<usize> = unclaimed.by_ref().take(keys).collect();
        let round = |name: &str, work: Work| {
            let (cpu, wall) = (cpu_seconds(), Instant::now());
            fold_all(storage, &users, batch, work);
            let (cpu, wall) = (cpu_seconds() - cpu, wall.elapsed().as_secs_f64());
            #[allow(clippy::cast_precision_loss, reason = "at most a million")]
            let keys = keys as f64;
            println!(
                "{database:<12} {name:<16} {batch:>6} {:>12.0} {:>16.1}",
                keys / wall,
                cpu / keys * 1e6
            );
        };
        round("look-up", Work::LookUp);
        round("cooldown, first", Work::Claim);
        round("cooldown, again", Work::Claim);
    }
}

/// What is done with each user of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    LookUp,
    Claim,
}

/// Folds the users in batches; each must have its device, and every claim must win.
fn fold_all(storage: &Storage, users: &[usize], batch: usize, work: Work) {
    for users in users.chunks(batch) {
        let mut logins: Vec<LoginId> = users.iter().map(|number| login(*number)).collect();
        logins.sort_unstable();
        let scope = Scope {
            logins,
            ..Scope::default()
        };
        let request = RequestId::generate();
        let folded = storage.fold(&scope, |users| {
            let mut devices = 0;
            for (login, index) in scope.logins.iter().zip(0..) {
                devices += users.addresses(*login).len();
                if work == Work::Claim {
                    users.claim(*login, MESSAGE, ItemId { request, index });
                }
            }
            devices
        });
        let folded = folded.expect("the database answers");
        assert_eq!(folded.result, users.len(), "devices");
        let claims = match work {
            Work::LookUp => 0,
            Work::Claim => users.len(),
        };
        assert_eq!(folded.won.len(), claims, "claims");
    }
}

/// The user with the given number, from 0.
fn login(number: usize) -> LoginId {
    let id = number * STRIDE % USERS + 1;
    LoginId(i64::try_from(id).expect("a million fits"))
}

/// This process's CPU seconds so far, user and system (proc(5), fields 14 and 15 of stat).
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("we run");
    let after_name = stat.rsplit_once(')').expect("proc(5)").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

// The databases.

fn open(config: &DatabaseConfig) -> Storage {
    let options = OpenOptions {
        processor_threads: 1,
        durable: false,
        clock: Clock::new(|| {
            #[allow(clippy::disallowed_methods, reason = "the daemon's clock does so too")]
            let since_1970 = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .expect("after 1970");
            UnixMs(i64::try_from(since_1970.as_millis()).expect("before the year 292 million"))
        }),
    };
    Storage::open(config, options).expect("the database answers")
}

fn config(url: String) -> DatabaseConfig {
    DatabaseConfig {
        db_url: Some(url),
        ..DatabaseConfig::default()
    }
}

fn filled_sqlite(file: &Path) -> Storage {
    let config = config(format!("sqlite:{}", file.display()));
    // Makes the tables.
    drop(open(&config));
    let mut connection = SqliteConnection::establish(&file.to_string_lossy()).expect("a new file");
    let numbers = format!(
        "WITH RECURSIVE numbers (number) AS \
         (VALUES (1) UNION ALL SELECT number + 1 FROM numbers WHERE number < {USERS})"
    );
    connection
        .batch_execute(&format!(
            "BEGIN; {ADD_MESSAGES} \
             {numbers} INSERT INTO login (id, language_id) SELECT number, 1 FROM numbers; \
             {numbers} INSERT INTO device (login_id, platform_id, device_token) \
                 SELECT number, 1 + number % 2, lower(hex(randomblob(32))) FROM numbers; \
             {numbers} INSERT INTO user_message_last_time_sent \
                 (login_id, message_id, last_time_sent_ts_bigint) SELECT number, 2, 1 FROM numbers; \
             COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE);"
        ))
        .expect("the statements are right");
    open(&config)
}

fn filled_postgres(database: &PostgresDatabase) -> Storage {
    let config = config(database.url());
    Storage::upgrade(&config).expect("a new database");
    execute(
        &database.url(),
        &format!(
            "{ADD_MESSAGES} \
             INSERT INTO login (id, language_id) SELECT generate_series(1, {USERS}), 1; \
             INSERT INTO device (login_id, platform_id, device_token) \
                 SELECT number, 1 + number % 2, md5(number::text) || md5((-number)::text) \
                 FROM generate_series(1, {USERS}) AS number; \
             INSERT INTO user_message_last_time_sent \
                 (login_id, message_id, last_time_sent_ts_bigint) \
                 SELECT generate_series(1, {USERS}), 2, 1;"
        ),
    );
    // A statement of its own: it runs in no transaction.
    execute(&database.url(), "VACUUM ANALYZE");
    open(&config)
}
