//! `enabled_senders`: which push services are served, by how many connections, and which
//! platform goes where.

use std::time::Duration;

use serde_json::{Value, json};

use crate::app::{TestApp, login};

const APNS: &str = "pushkin.sender.senders.ApnNotificationSender";
const FCM: &str = "pushkin.sender.senders.GcmNotificationSender";

fn direct(login: i64) -> Value {
    json!({"login_id": login, "title": "T", "content": "C"})
}

/// The tokens that each service was sent, APNs first.
fn tokens(app: &TestApp) -> [Vec<String>; 2] {
    [app.simulator.apns(), app.simulator.fcm()].map(|service| {
        let received = service.received().into_iter();
        let mut tokens: Vec<String> = received.map(|received| received.token).collect();
        tokens.sort();
        tokens
    })
}

on_each_database! {
    fn phones_and_tablets_of_each_maker_go_to_their_own_service_only(database) {
        let mut app = TestApp::start(database);
        app.post_events(&[
            login(1, 1, "phone-1", 1),
            login(1, 2, "0002", 1),
            login(1, 5, "0005", 1),
            login(1, 6, "tablet-6", 1),
        ]);
        app.finish();
        app.post_notifications(&[direct(1)]);
        app.finish();
        assert_eq!(tokens(&app), [["0002", "0005"], ["phone-1", "tablet-6"]]);
    }

    fn workers_is_the_most_connections_that_a_pool_has(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.sender.enabled_senders =
                format!("{APNS} {{\"workers\": 2}}\n{FCM} {{\"workers\": 3}}");
        });
        for service in [app.simulator.apns(), app.simulator.fcm()] {
            service.set_max_streams(1);
            service.set_latency(Duration::from_millis(20));
        }
        let logins: Vec<Value> = (0..30)
            .flat_map(|user| [
                login(user, 2, &format!("{user:064x}"), 1),
                login(user, 1, &format!("android-{user}"), 1),
            ])
            .collect();
        app.post_events(&logins);
        app.finish();
        let everybody: Vec<Value> = (0..30).map(direct).collect();
        app.post_notifications(&everybody);
        app.finish();
        for (service, workers) in [(app.simulator.apns(), 2), (app.simulator.fcm(), 3)] {
            let counters = service.counters();
            assert_eq!(counters.delivered, 30);
            // Access tokens are fetched over a connection of their own.
            let connections = counters.connections_opened - counters.tokens_issued;
            assert_eq!((connections, counters.peak_streams), (workers, 1));
        }
    }

    fn a_start_starts_both_senders_and_the_post_processor_once(database) {
        let mut app = TestApp::start(database);
        let queues = [
            "/get_apn_sender_queue",
            "/get_gcm_sender_queue",
            "/get_notification_post_processor_queue",
        ];
        for queue in queues {
            let answer = app.client().get(queue);
            assert_eq!((answer.status, answer.body.as_str()), (200, "0"), "{queue}");
        }
        app.simulator.script().add(
            simulator::Rule::new(simulator::Action::Refuse(simulator::Refusal::new(
                410,
                "Unregistered",
            )))
            .service(simulator::Service::Apns),
        );
        app.post_events(&[login(1, 2, "0001", 1), login(2, 1, "android", 1)]);
        app.finish();
        app.post_notifications(&[direct(1), direct(2)]);
        app.finish();
        app.eventually("the dead token is written back", || app.is_unregistered(1));
        assert_eq!(tokens(&app), [["0001"], ["android"]]);
        assert_eq!(app.csv().len(), 2);
    }

    fn a_service_that_is_not_enabled_is_not_sent_to_and_its_queue_url_answers_400(database) {
        let mut app = TestApp::start_with(database, |setting| {
            setting.config.sender.enabled_senders = FCM.to_owned();
        });
        app.post_events(&[login(1, 2, "0001", 1), login(1, 1, "android", 1)]);
        app.finish();
        app.post_notifications(&[direct(1)]);
        app.finish();
        let nothing: [&str; 0] = [];
        assert_eq!(tokens(&app), [nothing.as_slice(), &["android"]]);
        assert_eq!(app.client().get("/get_apn_sender_queue").status, 400);
        assert_eq!(app.client().get("/get_gcm_sender_queue").status, 200);
        let mut lines = app.csv();
        lines.sort();
        assert!(lines[0].starts_with("0,") && lines[1].starts_with("4,"), "{lines:?}");
    }
}
