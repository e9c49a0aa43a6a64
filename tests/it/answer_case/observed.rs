//! What can be seen of a notification's way: at the push service, in the CSV, in the metrics, and
//! in the daemon's own reports.

use std::sync::{Arc, Mutex};

use model::{LoginId, Outcome};
use simulator::{Endpoint, Received, Service, Verdict};

use crate::app::{Setting, TestApp};

/// How each user's notifications ended, in the push services' words.
#[derive(Clone, Default)]
pub(crate) struct Ends(Arc<Mutex<Vec<(LoginId, Outcome, String)>>>);

impl Ends {
    /// Keeps what the daemon to be started reports.
    pub(crate) fn watch(&self, setting: &mut Setting) {
        let ends = Arc::clone(&self.0);
        setting.hooks.reported = Some(Arc::new(move |report: &model::Report| {
            let login = report.notification.login;
            let mut ends = ends.lock().unwrap();
            ends.push((login, report.outcome, report.reason.to_string()));
        }));
    }

    /// The user's ends, in their order.
    pub(crate) fn of(&self, user: i64) -> Vec<(Outcome, String)> {
        let ends = self.0.lock().unwrap();
        let of_user = ends.iter().filter(|(login, ..)| *login == LoginId(user));
        of_user
            .map(|(_, outcome, reason)| (*outcome, reason.clone()))
            .collect()
    }

    #[track_caller]
    pub(super) fn only_end_of(&self, user: i64) -> (Outcome, String) {
        let mut ends = self.of(user);
        assert_eq!(ends.len(), 1, "ends of {user}: {ends:?}");
        ends.remove(0)
    }
}

/// The service's side of the simulator.
pub(crate) fn endpoint(app: &TestApp, service: Service) -> &Endpoint {
    match service {
        Service::Apns => app.simulator.apns(),
        _ => app.simulator.fcm(),
    }
}

/// Requests as the service saw them: what it made of each, and on which connection if it is not
/// the first that carried any.
pub(crate) fn sent(received: &[Received]) -> Vec<String> {
    let mut connections: Vec<u64> = Vec::new();
    let mut place = |connection: u64| {
        let known = connections.iter().position(|known| *known == connection);
        known.unwrap_or_else(|| {
            connections.push(connection);
            connections.len() - 1
        })
    };
    received
        .iter()
        .map(|one| match (what(&one.verdict), place(one.connection)) {
            (what, 0) => what,
            (what, place) => format!("{what} on connection {}", place + 1),
        })
        .collect()
}

fn what(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Delivered => "200".to_owned(),
        Verdict::Refused { status, reason } => format!("{status} {reason}").trim_end().to_owned(),
        Verdict::Reset { code } => format!("reset {code}"),
        Verdict::Dropped => "dropped".to_owned(),
        Verdict::Unanswered => "silence".to_owned(),
        Verdict::Unprocessed => "unprocessed".to_owned(),
    }
}

/// The user's lines in the notification log.
pub(crate) fn csv_of(app: &TestApp, user: i64) -> Vec<String> {
    let mut lines = app.csv();
    lines.retain(|line| line.split(',').nth(1) == Some(&*user.to_string()));
    lines
}

/// What went to the post-processor so far.
pub(crate) fn feedback_entered(app: &TestApp) -> u64 {
    let queue = "queue=\"notification_post_processor_queue\"";
    sum(app, |line| {
        line.starts_with("onegin_queue_entered_total{") && line.contains(queue)
    })
}

/// What the post-processor has done with it so far.
pub(crate) fn feedback_applied(app: &TestApp) -> u64 {
    sum(app, |line| {
        line.starts_with("onegin_feedback_applied_total{")
    })
}

fn sum(app: &TestApp, of: impl Fn(&str) -> bool) -> u64 {
    let text = app.client().get("/metrics").body;
    let lines = text.lines().filter(|line| of(line));
    lines
        .map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap())
        .sum()
}

/// The gauge of the service's circuit breaker: 0 closed, 1 half-open, 2 open.
pub(crate) fn breaker(app: &TestApp, service: Service) -> u64 {
    app.metric(&format!(
        "onegin_sender_breaker_state{{{}}}",
        provider(service)
    ))
}

/// The service's label in metrics.
pub(crate) fn provider(service: Service) -> &'static str {
    match service {
        Service::Apns => "provider=\"apns\"",
        _ => "provider=\"fcm\"",
    }
}

/// What the daemon counts about a service, as `requests refused 1`.
pub(crate) fn counted(app: &TestApp, service: Service) -> Vec<(String, u64)> {
    const COUNTERS: [(&str, &str, &str); 6] = [
        ("onegin_sender_requests_total", "requests", "result"),
        ("onegin_sender_retries_total", "retries", "result"),
        ("onegin_notifications_ended_total", "ended", "outcome"),
        ("onegin_credential_renewals_total", "renewals", "result"),
        (
            "onegin_sender_breaker_openings_total",
            "breaker opened",
            "provider",
        ),
        ("onegin_feedback_applied_total", "feedback", "kind"),
    ];
    let provider = provider(service);
    let text = app.client().get("/metrics").body;
    let mut all = Vec::new();
    for line in text.lines() {
        let counter = COUNTERS.iter().find(|(name, ..)| line.starts_with(name));
        let Some((_, word, label)) = counter else {
            continue;
        };
        if line.contains("provider=") && !line.contains(provider) {
            continue;
        }
        let label = format!("{label}=\"");
        let (_, after) = line.split_once(&label).unwrap();
        let (value, rest) = after.split_once('"').unwrap();
        let number = rest.rsplit(' ').next().unwrap().parse().unwrap();
        all.push((format!("{word} {value}"), number));
    }
    all
}

/// The counters that have moved since `before`, sorted.
pub(crate) fn moved(before: &[(String, u64)], app: &TestApp, service: Service) -> Vec<String> {
    let mut moved: Vec<_> = counted(app, service)
        .into_iter()
        .filter_map(|(name, now)| {
            let then = before.iter().find(|(known, _)| *known == name);
            let more = now - then.map_or(0, |(_, then)| *then);
            (more > 0).then(|| format!("{name} {more}"))
        })
        .collect();
    moved.sort();
    moved
}
