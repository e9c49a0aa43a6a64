//! The small steps of a notification's way, one thread, no network and no database: decoding a
//! body, rendering a text, making a push service's request, writing the notification log's line.
//!
//! Criterion shows wall time per call; on a busy machine only figures of one group compare.
//! `decode/…/plain` is what derived serde and prost structs need for the same items. Of the push
//! services' requests `first` also renders the payload, `shared` takes the one that an earlier
//! notification of the same text has rendered.
//!
//! Run with `cargo bench --bench small`; a name after `--` chooses.
#![forbid(unsafe_code)]

#[path = "accept/plain.rs"]
mod plain;

use std::{hint::black_box, sync::Arc};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use http::HeaderValue;
use model::{
    AppId, Content, DeviceToken, Ended, Event, FinishedRequests, ItemId, Lane, LoginId, MessageId,
    Notification, NotificationId, Outcome, PairValue, Platform, Priority, Receipt, Report, Request,
    RequestId, UnixMs,
};
use notification_log::Row;
use processor::Template;
use sender::Provider;
use servlet::pushkin::{self, ItemKind};
use simulator::{Options, Simulator};

use self::plain::Format;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NOW: UnixMs = UnixMs(1_795_293_388_117);
const BODY: &str = "Your club, FC Somewhere, plays in ten minutes: good luck!";

fn decode(criterion: &mut Criterion) {
    for format in [Format::Json, Format::Protobuf] {
        let ours = match format {
            Format::Json => pushkin::Format::Json,
            Format::Protobuf => pushkin::Format::Protobuf,
        };
        for events in [1, 100] {
            let body = plain::body(format, events, 7);
            let mut group = criterion.benchmark_group(format!("decode/{format}, {events} events"));
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.bench_function("ours", |bencher| {
                bencher.iter(|| {
                    let decoded = pushkin::decode(ours, ItemKind::Events, black_box(&body));
                    decoded.expect("a sound body")
                });
            });
            group.bench_function("plain", |bencher| {
                bencher.iter(|| plain::parse(format, black_box(&body)).expect("a sound body"));
            });
        }
    }
}

/// What the journal keeps of a request, and what it makes of that after a crash.
fn stored_form(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stored form");
    for events in [1, 100] {
        let body = plain::body(Format::Json, events, 7);
        let request = Request {
            id: RequestId::generate(),
            accepted_at: NOW,
            lane: Lane::Urgent,
            app: AppId::LEGACY,
            items: plain::parse(Format::Json, &body).expect("a sound body"),
            ended: Ended::default(),
        };
        let stored = request.to_bytes();
        group.throughput(Throughput::Bytes(stored.len() as u64));
        group.bench_function(format!("write, {events} events"), |bencher| {
            bencher.iter(|| black_box(&request).to_bytes());
        });
        group.bench_function(format!("read, {events} events"), |bencher| {
            bencher.iter(|| Request::from_bytes(black_box(&stored)).expect("sound bytes"));
        });
    }
}

fn template(criterion: &mut Criterion) {
    let event = Event {
        login: LoginId(1_338),
        event_id: 101,
        timestamp: Some(NOW),
        pairs: vec![
            ("player_name".into(), PairValue::Text("Ana".into())),
            ("level".into(), PairValue::Integer(57)),
            ("opponent".into(), PairValue::Text("FC Elsewhere".into())),
        ],
    };
    let texts = [
        ("constant", BODY),
        ("one parameter", "{opponent} is waiting for your answer!"),
        (
            "three parameters",
            "Bravo, {player_name}! Level {level} is yours, {opponent} is next.",
        ),
    ];
    let mut group = criterion.benchmark_group("template");
    for (name, text) in texts {
        let template = Template::parse(text);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let text = template.render(black_box(&event));
                text.expect("every parameter has a value").len()
            });
        });
    }
}

struct NobodyCounts;

impl FinishedRequests for NobodyCounts {
    fn ended(&self, _request: RequestId, _notification: NotificationId) {}

    fn finished(&self, _request: RequestId) {}
}

fn content() -> Arc<Content> {
    let content = Content::pushkin(MessageId(7), "Kick-off", BODY, "scr1", Priority::Normal);
    Arc::new(content)
}

fn notification(platform: Platform) -> Notification {
    let request = RequestId::generate();
    let item = ItemId { request, index: 17 };
    let token = DeviceToken::new("1f2e3d4c5b6a7988".repeat(match platform {
        Platform::ANDROID => 9,
        _ => 4,
    }));
    Notification {
        id: NotificationId::derive(item, MessageId(7), &token),
        item,
        app: AppId::LEGACY,
        lane: Lane::Urgent,
        accepted_at: NOW,
        created_at: NOW,
        expires_at: NOW.plus_ms(21_600_000),
        login: LoginId(1_000_001_338),
        platform,
        token,
        content: content(),
        receipt: Receipt::open(request, Arc::new(NobodyCounts)),
    }
}

fn push_request(criterion: &mut Criterion) {
    onegin::install_crypto_provider();
    // Only for its credentials.
    let simulator = Simulator::start(Options::default()).expect("free ports");
    let key = simulator.apns_key();
    let apns = sender::apns::Apns::new(sender::apns::Options {
        credentials: sender::apns::Credentials::from_p8(
            key.p8_pem.as_bytes(),
            &key.key_id,
            &key.team_id,
        )
        .expect("the simulator's own"),
        topic: Some(key.topic.clone()),
        sandbox: false,
        endpoint: None,
        ca_pem: None,
        token_life_at_least: sender::apns::TOKEN_LIFE_AT_LEAST,
    })
    .expect("sound settings");
    let service_account = simulator.service_account_json();
    let fcm = sender::fcm::Fcm::new(sender::fcm::Options {
        credentials: sender::fcm::Credentials::from_service_account(service_account.as_bytes())
            .expect("the simulator's own"),
        endpoint: None,
        ca_pem: None,
        dry_run: false,
        base_deeplink_url: "application_name.com".into(),
        rate_limit_per_sec: None,
    })
    .expect("sound settings");
    drop(simulator);
    prepare(criterion, "APNs request", &apns, Platform::IPHONE);
    prepare(criterion, "FCM request", &fcm, Platform::ANDROID);
}

fn prepare(criterion: &mut Criterion, name: &str, provider: &impl Provider, platform: Platform) {
    let authorization = HeaderValue::from_str(&format!("bearer {}", "x".repeat(220)));
    let authorization = authorization.expect("letters");
    let sent = notification(platform);
    let mut group = criterion.benchmark_group(name);
    group.bench_function("shared", |bencher| {
        bencher.iter(|| provider.prepare(black_box(&sent), Some(&authorization), NOW));
    });
    group.bench_function("first", |bencher| {
        bencher.iter_batched_ref(
            || Notification {
                content: content(),
                ..sent.clone()
            },
            |first| provider.prepare(black_box(first), Some(&authorization), NOW),
            BatchSize::SmallInput,
        );
    });
}

fn log_line(criterion: &mut Criterion) {
    let report = Report {
        notification: notification(Platform::IPHONE),
        outcome: Outcome::Delivered,
        reason: "".into(),
        ended_at: NOW,
    };
    let mut lines = Vec::new();
    criterion.bench_function("notification log line", |bencher| {
        bencher.iter(|| {
            lines.clear();
            Row::of(black_box(&report), "GameName", "1").write_line(&mut lines);
            lines.len()
        });
    });
}

criterion_group!(small, decode, stored_form, template, push_request, log_line);
criterion_main!(small);
