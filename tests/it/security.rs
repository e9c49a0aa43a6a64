//! Who may come in, and what others may see: API keys, TLS, file modes, and what is reloaded.

mod api_keys;

mod credentials_reload;

mod exposure;

mod files;

mod key_command;

mod secrecy;

mod tls;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use model::OrganisationId;
use serde_json::json;
use servlet::SecretHash;
use storage::{NewApiKey, Storage};

const EVENTS: &str = "/post_events_json";

/// A batch that causes nothing at all.
const NOTHING: &[u8] = br#"{"events": []}"#;

/// The header that a client with this key sends.
fn basic(key: &str, secret: &str) -> String {
    let pair = STANDARD.encode(format!("{key}:{secret}"));
    format!("Authorization: Basic {pair}\r\n")
}

/// A key with the secret `secret`.
fn add_key(storage: &Storage, organisation: OrganisationId, key: &str) {
    let hash = SecretHash::of_generated("secret");
    let new = NewApiKey {
        organisation,
        key,
        algorithm: hash.algorithm(),
        hash: &hash.text(),
        note: None,
    };
    assert!(storage.add_api_key(&new).unwrap());
}

/// A direct notification to user 1.
fn direct(content: &str) -> Vec<u8> {
    let direct = json!({"login_id": 1, "title": "T", "content": content});
    json!({ "notifications": [direct] })
        .to_string()
        .into_bytes()
}
