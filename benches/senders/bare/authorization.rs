//! What the bare client is authorized with: a provider token of its own for APNs, an access
//! token from the simulated token endpoint for FCM.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::{Value, json};

use crate::{
    notifications::now,
    simulator::{Service, Simulator},
};

pub(super) fn header(simulator: &Simulator, service: Service) -> HeaderValue {
    let text = match service {
        Service::Apns => format!("bearer {}", provider_token(simulator)),
        Service::Fcm => format!("Bearer {}", access_token(simulator)),
    };
    let mut header = HeaderValue::try_from(text).expect("tokens are header characters");
    // As the sender's: the bytes on the wire are to be the same.
    header.set_sensitive(true);
    header
}

fn provider_token(simulator: &Simulator) -> String {
    let random = SystemRandom::new();
    let key = pkcs8(&simulator.file("apns_key_path"));
    let key = EcdsaKeyPair::from_pkcs8(
        &ECDSA_P256_SHA256_FIXED_SIGNING,
        key.secret_pkcs8_der(),
        &random,
    )
    .expect("a P-256 key");
    let header = json!({"alg": "ES256", "kid": simulator.setting("apns_key_id")});
    let claims = json!({"iss": simulator.setting("apns_team_id"), "iat": now().seconds()});
    jwt(&header, &claims, |signed| {
        let signature = key.sign(&random, signed).expect("a signature");
        signature.as_ref().to_vec()
    })
}

fn access_token(simulator: &Simulator) -> String {
    let account: Value =
        serde_json::from_slice(&simulator.file("fcm_service_account_path")).expect("JSON");
    let text = |key: &str| account[key].as_str().expect("a text").to_owned();
    let key = pkcs8(text("private_key").as_bytes());
    let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).expect("an RSA key");
    let header = json!({"alg": "RS256", "typ": "JWT", "kid": text("private_key_id")});
    let claims = json!({
        "iss": text("client_email"),
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": text("token_uri"),
        "iat": now().seconds(),
        "exp": now().seconds() + 3600,
    });
    let assertion = jwt(&header, &claims, |signed| {
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            signed,
            &mut signature,
        )
        .expect("a signature");
        signature
    });
    let tls = super::tls(&simulator.file("fcm_ca_path"));
    let mut tls = (*tls).clone();
    tls.alpn_protocols.clear();
    let http = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .build()
        .expect("a client");
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", &assertion),
    ];
    let answer: Value = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let answer = http.post(text("token_uri")).form(&form).send().await;
            answer.expect("an answer").json().await.expect("JSON")
        });
    answer["access_token"].as_str().expect("a token").to_owned()
}

fn pkcs8(pem: &[u8]) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from_pem_slice(pem).expect("a PKCS#8 key")
}

fn jwt(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(signed.as_bytes()));
    format!("{signed}.{signature}")
}
