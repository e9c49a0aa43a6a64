//! Access, with a database that is a function.

use std::{
    collections::HashMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderValue, header::AUTHORIZATION};

use super::*;

const OTHER: OrganisationId = OrganisationId(2);

/// Stored keys, and what they were asked for.
#[derive(Default)]
struct Database {
    keys: Mutex<HashMap<String, StoredKey>>,
    is_away: Mutex<bool>,
    look_ups: AtomicUsize,
    imported_exist: bool,
}

impl Database {
    fn store(&self, key: &str, hash: SecretHash, is_enabled: bool) {
        let key_and_hash = StoredKey {
            organisation: OTHER,
            hash,
            is_enabled,
        };
        let mut keys = self.keys.lock().unwrap();
        keys.insert(key.to_owned(), key_and_hash);
    }

    fn set_away(&self, is_away: bool) {
        *self.is_away.lock().unwrap() = is_away;
    }

    fn look_up(&self, key: &str) -> Result<Found, LookUpFailed> {
        self.look_ups.fetch_add(1, Ordering::SeqCst);
        if *self.is_away.lock().unwrap() {
            return Err(LookUpFailed("it is away".to_owned()));
        }
        let keys = self.keys.lock().unwrap();
        Ok(keys.get(key).cloned().map_or(
            Found::Unknown {
                imported_exist: self.imported_exist,
            },
            Found::Key,
        ))
    }

    fn look_ups(&self) -> usize {
        self.look_ups.swap(0, Ordering::SeqCst)
    }
}

fn access() -> (Access, Arc<Database>) {
    let database = Arc::new(Database::default());
    let asked = Arc::clone(&database);
    let access = Access::new(Arc::new(move |key| asked.look_up(key))).unwrap();
    (access, database)
}

async fn ask(access: &Access, key: &str, secret: &str) -> Result<OrganisationId, Denied> {
    let value = format!("Basic {}", STANDARD.encode(format!("{key}:{secret}")));
    let value = HeaderValue::try_from(value).unwrap();
    let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
    access.organisation(&headers).await
}

async fn advance(seconds: f64) {
    tokio::time::advance(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_key_is_looked_up_every_two_seconds_and_a_disabled_one_stops_working_then() {
    let (access, database) = access();
    let hash = SecretHash::of_generated("secret");
    database.store("KEY", hash.clone(), true);
    for _ in 0..10 {
        assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    }
    assert_eq!(database.look_ups(), 1);
    advance(1.999).await;
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    assert_eq!(database.look_ups(), 0);
    advance(0.001).await;
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    assert_eq!(database.look_ups(), 1);
    database.store("KEY", hash.clone(), false);
    advance(2.0).await;
    for _ in 0..2 {
        assert_eq!(ask(&access, "KEY", "secret").await, Err(Denied::Unknown));
    }
    assert_eq!(database.look_ups(), 2, "refusals are not remembered");
    database.store("KEY", hash, true);
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
}

#[tokio::test(start_paused = true)]
async fn another_secret_for_a_known_key_is_another_client() {
    let (access, database) = access();
    database.store("KEY", SecretHash::of_generated("secret"), true);
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    for (key, secret) in [("KEY", "Secret"), ("KEY", ""), ("KEYs", "ecret"), ("", "")] {
        assert_eq!(ask(&access, key, secret).await, Err(Denied::Unknown));
    }
    // A new secret: the old one is over within two seconds.
    database.store("KEY", SecretHash::of_generated("new"), true);
    assert_eq!(ask(&access, "KEY", "new").await, Ok(OTHER));
    advance(2.0).await;
    assert_eq!(ask(&access, "KEY", "secret").await, Err(Denied::Unknown));
}

#[tokio::test]
async fn imported_secrets_are_compared_and_unknown_keys_beside_them_are_refused() {
    let database = Arc::new(Database {
        imported_exist: true,
        ..Database::default()
    });
    let asked = Arc::clone(&database);
    let access = Access::new(Arc::new(move |key| asked.look_up(key))).unwrap();
    let hash = SecretHash::of_imported("a word").unwrap();
    database.store("imported-key", hash, true);
    assert_eq!(ask(&access, "imported-key", "a word").await, Ok(OTHER));
    for (key, secret) in [
        ("imported-key", "a World"),
        ("another-key", "a word"),
        ("ABCDEFGHJKLMNPQR", "a word"),
    ] {
        assert_eq!(ask(&access, key, secret).await, Err(Denied::Unknown));
    }
}

#[tokio::test(start_paused = true)]
async fn in_an_outage_known_keys_work_for_an_hour_and_the_database_is_left_in_peace() {
    let (access, database) = access();
    database.store("KEY", SecretHash::of_generated("secret"), true);
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    database.look_ups();
    database.set_away(true);
    advance(3.0).await;
    for _ in 0..10 {
        assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
        assert_eq!(ask(&access, "KEY", "wrong").await, Err(Denied::NotNow));
        assert_eq!(ask(&access, "NEW", "secret").await, Err(Denied::NotNow));
    }
    assert_eq!(database.look_ups(), 1);
    advance(3590.0).await;
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    advance(20.0).await;
    assert_eq!(ask(&access, "KEY", "secret").await, Err(Denied::NotNow));
    database.set_away(false);
    advance(1.0).await;
    assert_eq!(ask(&access, "NEW", "secret").await, Err(Denied::Unknown));
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
}

/// Whoever has to wait for his turn longer than his patience is told so, which shows who does.
#[tokio::test(start_paused = true)]
async fn slow_comparisons_take_turns_and_an_unknown_key_costs_what_one_of_its_kind_costs() {
    for imported_exist in [false, true] {
        let asked = Arc::new(Database {
            imported_exist,
            ..Database::default()
        });
        let look_up = Arc::clone(&asked);
        let access = Access::new(Arc::new(move |key| look_up.look_up(key))).unwrap();
        asked.store("imported", SecretHash::of_imported("word").unwrap(), true);
        asked.store("OURS", SecretHash::of_generated("secret"), true);
        let turns = u32::try_from(access.0.slow.available_permits()).unwrap();
        assert!((1..=4).contains(&turns));
        let all = access.0.slow.acquire_many(turns).await.unwrap();
        let of_an_unknown = if imported_exist {
            Denied::NotNow
        } else {
            Denied::Unknown
        };
        for (key, secret, expected) in [
            ("imported", "word", Err(Denied::NotNow)),
            ("imported", "wrong", Err(Denied::NotNow)),
            ("OURS", "secret", Ok(OTHER)),
            ("OURS", "wrong", Err(Denied::Unknown)),
            ("unknown", "word", Err(of_an_unknown)),
            ("ABCDEFGHJKLMNPQR", "word", Err(Denied::Unknown)),
        ] {
            assert_eq!(ask(&access, key, secret).await, expected, "{key} {secret}");
        }
        drop(all);
        assert_eq!(ask(&access, "imported", "word").await, Ok(OTHER));
        assert_eq!(ask(&access, "unknown", "word").await, Err(Denied::Unknown));
        // Known now: no other comparison is needed when it is looked up again.
        let _all = access.0.slow.acquire_many(turns).await.unwrap();
        advance(2.0).await;
        assert_eq!(ask(&access, "imported", "word").await, Ok(OTHER));
    }
}

/// Real time: look-ups that block are threads of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_who_keep_the_database_busy_do_not_hold_a_known_client_up() {
    let (release, blocked) = mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let look_up: KeyLookUp = Arc::new(move |key| {
        if key == "stranger" {
            // Until the test lets go of the other end.
            blocked.lock().unwrap().recv().unwrap_err();
            return Ok(Found::Unknown {
                imported_exist: false,
            });
        }
        Ok(Found::Key(StoredKey {
            organisation: OTHER,
            hash: SecretHash::of_generated("secret"),
            is_enabled: true,
        }))
    });
    let access = Access::new(look_up).unwrap();
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    let strangers: Vec<_> = (0..LOOK_UPS_AT_ONCE)
        .map(|number| {
            let access = access.clone();
            tokio::spawn(async move { ask(&access, "stranger", &number.to_string()).await })
        })
        .collect();
    while access.0.strangers.available_permits() > 0 {
        task::yield_now().await;
    }
    // Ends when the entry is stale, which another look-up makes fresh again.
    let fingerprint = Credentials {
        key: "KEY".to_owned(),
        secret: "secret".to_owned(),
    };
    let fingerprint = access.0.verified.fingerprint(&fingerprint);
    let mut entry = access.0.verified.get(&fingerprint).unwrap();
    entry.asked_at -= verified::LIFE;
    access.0.verified.insert(fingerprint, entry);
    assert_eq!(ask(&access, "KEY", "secret").await, Ok(OTHER));
    assert!(access.fresh(&fingerprint).is_some(), "it was looked up");
    drop(release);
    for stranger in strangers {
        let denied = stranger.await.unwrap().unwrap_err();
        // Not now: the machine was so slow that their patience has ended.
        assert!(matches!(denied, Denied::Unknown | Denied::NotNow));
    }
}
