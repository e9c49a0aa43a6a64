//! The names of queues and metrics, each in one place.

use std::fmt;

/// The pipeline's queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum QueueName {
    /// Between the doors and the processor threads; counts items.
    Request,
    /// To APNs; counts notifications that are queued, waiting for a retry, or in flight.
    ApnSender,
    /// To FCM; counts like [`QueueName::ApnSender`]. Pushkin's name for it has stayed.
    GcmSender,
    /// What push services said about tokens, on its way to storage.
    PostProcessor,
    /// Ended notifications on their way to the CSV.
    NotificationLog,
}

impl QueueName {
    /// The name in metrics and logs, as in Pushkin's monitoring URLs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request_queue",
            Self::ApnSender => "apn_sender_queue",
            Self::GcmSender => "gcm_sender_queue",
            Self::PostProcessor => "notification_post_processor_queue",
            Self::NotificationLog => "notification_log_queue",
        }
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Every metric this program exports. `_total` is added by the exporter to counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MetricName {
    /// HTTP answers by status code.
    HttpResponses,
    /// Open client connections.
    HttpConnections,
    /// Clients that were turned away without an answer of a door's, by reason.
    ConnectionsRefused,
    /// Connections that ended before their TLS handshake did.
    TlsHandshakesFailed,
    /// Items taken into the request queue.
    ItemsAccepted,
    /// Items a door refused as malformed.
    ItemsRejected,
    /// What is waiting in each queue.
    QueueDepth,
    /// What went into each queue.
    QueueEntered,
    /// What came out of each queue.
    QueueLeft,
    /// What a full queue turned away.
    QueueRefused,
    /// Panics caught in worker threads.
    WorkerPanics,
    /// Batches processed.
    Batches,
    /// Batches that wait for the database.
    BatchesHeldUp,
    /// Messages and items that ended without a notification, by reason.
    ItemsEnded,
    /// Notifications made.
    NotificationsMade,
    /// Requests of which everything has ended.
    RequestsFinished,
    /// SQL statements sent to the database.
    SqlStatements,
    /// Batches repeated because the database asked for it.
    SqlRetries,
    /// Notifications by push service and outcome.
    NotificationsEnded,
    /// Requests sent to push services, by service and answer class.
    SenderRequests,
    /// Tries repeated, by push service and reason.
    SenderRetries,
    /// Open connections to push services.
    SenderConnections,
    /// Requests waiting for a push service's answer.
    SenderInFlight,
    /// Notifications waiting for their next try.
    SenderDelayed,
    /// Credential renewals, by push service and result.
    CredentialRenewals,
    /// Whether each push service's circuit breaker is closed, half-open or open.
    BreakerState,
    /// How often each push service's circuit breaker has opened.
    BreakerOpenings,
    /// Lines written to the notification log.
    NotificationLogLines,
    /// Lines that could not be written at the first try.
    NotificationLogErrors,
    /// Accepted requests in the journal that are not finished.
    JournalRequests,
    /// Disk space that the journal's unfinished requests are charged with.
    JournalBytes,
    /// Groups of requests and marks written, one fsync each.
    JournalCommits,
    /// Writes of the journal that failed.
    JournalErrors,
    /// Requests that the journal did not take, by reason.
    JournalRefused,
    /// Entries of the journal that cannot be read and are kept aside.
    JournalKeptAside,
    /// Requests of an earlier run that were processed again.
    RequestsReplayed,
    /// Items that wait outside their full sender queue.
    ParkedItems,
    /// Feedback written to storage, by kind.
    FeedbackApplied,
    /// Feedback given up: its queue was full, the database refused it, or the program stopped.
    FeedbackDropped,
}

impl MetricName {
    /// The exported name, without the exporter's prefix and suffix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.name_and_help().0
    }

    /// The help text beside the metric.
    #[must_use]
    pub fn help(self) -> &'static str {
        self.name_and_help().1
    }

    fn name_and_help(self) -> (&'static str, &'static str) {
        match self {
            Self::HttpResponses => ("http_responses", "HTTP answers by status code"),
            Self::HttpConnections => ("http_connections", "open client connections"),
            Self::ConnectionsRefused => (
                "connections_refused",
                "clients that were turned away before a door had a request, by reason",
            ),
            Self::TlsHandshakesFailed => (
                "tls_handshakes_failed",
                "connections that ended before their TLS handshake did",
            ),
            Self::ItemsAccepted => ("items_accepted", "items taken into the request queue"),
            Self::ItemsRejected => ("items_rejected", "items refused as malformed"),
            Self::QueueDepth => ("queue_depth", "what is waiting in each queue"),
            Self::QueueEntered => ("queue_entered", "what went into each queue"),
            Self::QueueLeft => ("queue_left", "what came out of each queue"),
            Self::QueueRefused => ("queue_refused", "what a full queue turned away"),
            Self::WorkerPanics => ("worker_panics", "panics caught in worker threads"),
            Self::Batches => ("batches", "batches processed"),
            Self::BatchesHeldUp => (
                "batches_held_up",
                "batches that wait for a database that is away or cannot be written",
            ),
            Self::ItemsEnded => (
                "items_ended",
                "items and messages that ended without a notification, by reason",
            ),
            Self::NotificationsMade => ("notifications_made", "notifications made"),
            Self::RequestsFinished => (
                "requests_finished",
                "requests of which everything has ended",
            ),
            Self::SqlStatements => ("sql_statements", "SQL statements sent to the database"),
            Self::SqlRetries => (
                "sql_retries",
                "batches repeated because the database asked for it",
            ),
            Self::NotificationsEnded => (
                "notifications_ended",
                "notifications by push service and outcome",
            ),
            Self::SenderRequests => (
                "sender_requests",
                "requests sent to push services, by service and answer",
            ),
            Self::SenderRetries => (
                "sender_retries",
                "tries repeated, by push service and reason",
            ),
            Self::SenderConnections => ("sender_connections", "open connections to push services"),
            Self::SenderInFlight => (
                "sender_in_flight",
                "requests waiting for a push service's answer",
            ),
            Self::SenderDelayed => ("sender_delayed", "notifications waiting for their next try"),
            Self::CredentialRenewals => (
                "credential_renewals",
                "credential renewals, by push service and result",
            ),
            Self::BreakerState => (
                "sender_breaker_state",
                "circuit breaker of each push service: 0 closed, 1 half-open, 2 open",
            ),
            Self::BreakerOpenings => (
                "sender_breaker_openings",
                "how often the circuit breaker of each push service has opened",
            ),
            Self::NotificationLogLines => (
                "notification_log_lines",
                "lines written to the notification log",
            ),
            Self::NotificationLogErrors => (
                "notification_log_errors",
                "failed writes to the notification log",
            ),
            Self::JournalRequests => ("journal_requests", "unfinished requests in the journal"),
            Self::JournalBytes => (
                "journal_bytes",
                "disk space that the journal's unfinished requests are charged with",
            ),
            Self::JournalCommits => ("journal_commits", "groups written, one fsync each"),
            Self::JournalErrors => ("journal_errors", "failed writes of the journal"),
            Self::JournalRefused => (
                "journal_refused",
                "requests that the journal did not take, by reason",
            ),
            Self::JournalKeptAside => (
                "journal_kept_aside",
                "journal entries that cannot be read and are kept aside",
            ),
            Self::RequestsReplayed => (
                "requests_replayed",
                "requests of an earlier run that were processed again",
            ),
            Self::ParkedItems => (
                "parked_items",
                "items that wait outside their full sender queue",
            ),
            Self::FeedbackApplied => ("feedback_applied", "feedback written to storage, by kind"),
            Self::FeedbackDropped => (
                "feedback_dropped",
                "feedback given up: full queue, refused by the database, or unwritten at the stop",
            ),
        }
    }
}
