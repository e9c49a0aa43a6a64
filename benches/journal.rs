//! The journal's share of accepting a request: clients that append, wait for the answer, and
//! append again; every request is finished at once, so that marks and deletions are in the figures.
//!
//! `CPU us` is this process's per request, less that of the same clients without a journal: encode,
//! hand over, write, fsync, answer, mark, delete. `latency` is what a client waits. Compare it with
//! what `cargo bench --bench accept` says of a whole POST.
//!
//! Run with `cargo bench --bench journal`. The files are under `target`, not in the system's
//! temporary folder, which often is in memory.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench's output is its purpose")]

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use journal::{FileJournal, Finisher, Journal, JournalConfig, Metrics, NoJournal};
use model::{
    AppId, Event, FinishedRequests, Item, Lane, LoginId, PairValue, Request, RequestId, UnixMs,
};
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Clock ticks per second in proc(5); a constant of Linux on every platform that we build for.
const TICKS_PER_SECOND: f64 = 100.0;

/// Clients, events per request, requests.
const CASES: [(usize, usize, usize); 6] = [
    (1, 1, 10_000),
    (16, 1, 60_000),
    (256, 1, 400_000),
    (1, 100, 6_000),
    (16, 100, 20_000),
    (256, 100, 60_000),
];

fn main() {
    println!(
        "{:>7} {:>6} {:>6} {:>10} {:>10} {:>12} {:>12} {:>10} {:>9}",
        "clients", "events", "bytes", "requests/s", "CPU us", "p50", "p99", "per fsync", "disk MiB"
    );
    for (clients, events, requests) in CASES {
        measure(clients, events, requests);
    }
}

fn measure(clients: usize, events: usize, requests: usize) {
    let folder = tempfile::tempdir_in("target").expect("a folder under target");
    let config = JournalConfig {
        journal_path: folder.path().join("journal"),
        ..JournalConfig::default()
    };
    let metrics = Metrics::default();
    let (journal, _) = FileJournal::open(&config, metrics.clone()).expect("a fresh folder");
    let journal: Arc<FileJournal> = Arc::new(journal);
    // Files, allocators and threads warm up.
    run(
        Arc::<FileJournal>::clone(&journal),
        clients,
        events,
        requests / 10,
    );
    let commits = metrics.commits.get();
    let with = run(
        Arc::<FileJournal>::clone(&journal),
        clients,
        events,
        requests,
    );
    let commits = metrics.commits.get() - commits;
    let without = run(Arc::new(NoJournal), clients, events, requests);
    #[allow(clippy::cast_precision_loss, reason = "less than a million")]
    let per_request = |seconds: f64| seconds / requests as f64;
    #[allow(clippy::cast_precision_loss, reason = "less than a million")]
    let (rate, shared) = (
        1.0 / per_request(with.seconds),
        requests as f64 / commits as f64,
    );
    println!(
        "{clients:>7} {events:>6} {:>6} {rate:>10.0} {:>10.1} {:>12?} {:>12?} {shared:>10.1} {:>9}",
        request(events).to_bytes().len(),
        per_request(with.cpu_seconds - without.cpu_seconds) * 1e6,
        with.latency(50),
        with.latency(99),
        disk_mib(&config.journal_path),
    );
}

struct Run {
    seconds: f64,
    cpu_seconds: f64,
    latencies: Vec<Duration>,
}

impl Run {
    fn latency(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() - 1) * percent / 100]
    }
}

fn run(journal: Arc<dyn Journal>, clients: usize, events: usize, requests: usize) -> Run {
    let runtime = Runtime::new().expect("a runtime");
    let finisher = Arc::new(Finisher::start(Arc::clone(&journal), || Ok(())));
    let (started, cpu) = (Instant::now(), cpu_seconds());
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            let (journal, finisher) = (Arc::clone(&journal), Arc::clone(&finisher));
            runtime.spawn(client(journal, finisher, events, requests / clients))
        })
        .collect();
    let mut latencies = runtime.block_on(async {
        let mut all = Vec::with_capacity(requests);
        for client in clients {
            all.extend(client.await.expect("a client ends"));
        }
        all
    });
    let seconds = started.elapsed().as_secs_f64();
    assert!(finisher.stop(Instant::now() + Duration::from_secs(60)));
    latencies.sort();
    Run {
        seconds,
        cpu_seconds: cpu_seconds() - cpu,
        latencies,
    }
}

async fn client(
    journal: Arc<dyn Journal>,
    finisher: Arc<Finisher>,
    events: usize,
    requests: usize,
) -> Vec<Duration> {
    let mut request = request(events);
    let mut latencies = Vec::with_capacity(requests);
    for _ in 0..requests {
        request.id = RequestId::generate();
        let asked = Instant::now();
        journal.append(&request).await.expect("there is room");
        latencies.push(asked.elapsed());
        finisher.finished(request.id);
    }
    latencies
}

fn request(events: usize) -> Request {
    let event = Event {
        login: LoginId(1_338_000_000),
        event_id: 100,
        timestamp: Some(UnixMs(1_795_293_388_117)),
        pairs: vec![
            (
                "attacker".into(),
                PairValue::Text("Ana of the North".into()),
            ),
            ("village".into(), PairValue::Text("Somewhere".into())),
        ],
    };
    Request {
        id: RequestId::generate(),
        accepted_at: UnixMs(1_795_293_388_117),
        lane: Lane::Urgent,
        app: AppId::LEGACY,
        items: vec![Item::Event(event); events],
        ended: model::Ended::default(),
    }
}

/// CPU seconds so far, user and system (proc(5), fields 14 and 15 of stat).
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let after_name = stat.rsplit_once(')').expect("proc(5)").1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>().expect("a number");
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn disk_mib(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).expect("the journal's folder");
    let bytes = files.map(|file| file.expect("a file").metadata().expect("its length").len());
    bytes.sum::<u64>() >> 20
}
