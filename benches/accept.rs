//! Accepting at the door: the servlet beside a minimal hyper server that parses the same body
//! into the same structs, and the servlet with a journal beside the servlet without one.
//!
//! The bench runs itself again as each server and as the client, so that each is a process of
//! its own. What counts is the server's CPU time, user and system, as the operating system says:
//! it holds on a busy machine, wall time does not. On our side that includes what the plain
//! server does not do: limits, time-outs, item-by-item checks, metrics, the request queue and the
//! thread that empties it; with a journal also the marks and the removal, for what is taken from
//! the queue is finished at once. A ratio is that of one round's two figures; the median of the
//! rounds is shown, with the lowest and the highest ratio.
//!
//! Bars: ours to plain 2.5 at 100 events per POST; journal to memory, with 256 clients, 1.6 at one
//! event and 1.2 at 100. The latencies are what a client waits for its answer; they are wall
//! time, and client and server share the machine.
//!
//! Run with `cargo bench --bench accept`, or with `-- doors` or `-- journal` for one of the tables.
//! The journal's files are under `target`, not in the system's temporary folder, which often is in
//! memory.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench's output is its purpose")]

#[path = "accept/load.rs"]
mod load;
#[path = "accept/plain.rs"]
mod plain;
#[path = "accept/process.rs"]
mod process;
#[path = "accept/serve.rs"]
mod serve;

use std::{env, time::Duration};

use self::{load::Load, plain::Format, process::ServerProcess, serve::Which};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds per case; in each of them both servers have their turn.
const ROUNDS: usize = 11;
/// Clients of the doors' table.
const CLIENTS: usize = 16;

/// What is posted beside the plain server: format, events per POST, POSTs per round.
const DOORS: [(Format, usize, usize); 4] = [
    (Format::Json, 1, 40_000),
    (Format::Protobuf, 1, 40_000),
    (Format::Json, 100, 16_000),
    (Format::Protobuf, 100, 16_000),
];

/// What is posted with and without a journal: clients, events per POST, POSTs per round.
const JOURNAL: [(usize, usize, usize); 6] = [
    (1, 1, 4_000),
    (16, 1, 20_000),
    (256, 1, 60_000),
    (1, 100, 3_000),
    (16, 100, 10_000),
    (256, 100, 20_000),
];

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["serve", which] => serve::serve(which.parse().expect("a server's name")),
        ["load", rest @ ..] => load::run(rest),
        ["doors", ..] => doors(),
        ["journal", ..] => journal(),
        // Cargo's own arguments.
        _ => {
            doors();
            journal();
        }
    }
}

fn doors() {
    println!("CPU us per POST, {CLIENTS} clients, medians of {ROUNDS} rounds");
    println!(
        "{:<10} {:>6} {:>7} {:>9} {:>9} {:>7} {:>15} {:>16}",
        "format", "events", "bytes", "ours", "plain", "ratio", "lowest, highest", "ours per event"
    );
    let (ours, plain) = (
        ServerProcess::start(Which::Memory),
        ServerProcess::start(Which::Plain),
    );
    for (format, events, posts) in DOORS {
        let load = Load {
            format,
            events,
            posts,
            clients: CLIENTS,
        };
        let pair = Pair::measure(&ours, &plain, load);
        #[allow(clippy::cast_precision_loss, reason = "at most a hundred")]
        let per_event = pair.one.cpu_us / events as f64;
        println!(
            "{format:<10} {events:>6} {:>7} {:>9.1} {:>9.1} {:>7.2} {:>15} {per_event:>16.2}",
            plain::body(format, events, 0).len(),
            pair.one.cpu_us,
            pair.other.cpu_us,
            pair.ratio,
            pair.range(),
        );
    }
}

fn journal() {
    println!("CPU us per POST of JSON and time to the answer, medians of {ROUNDS} rounds");
    println!(
        "{:>7} {:>6} {:>9} {:>9} {:>7} {:>15} {:>21} {:>21}",
        "clients",
        "events",
        "journal",
        "memory",
        "ratio",
        "lowest, highest",
        "journal p50, p99",
        "memory p50, p99"
    );
    let (journal, memory) = (
        ServerProcess::start(Which::Journal),
        ServerProcess::start(Which::Memory),
    );
    for (clients, events, posts) in JOURNAL {
        let load = Load {
            format: Format::Json,
            events,
            posts,
            clients,
        };
        let pair = Pair::measure(&journal, &memory, load);
        println!(
            "{clients:>7} {events:>6} {:>9.1} {:>9.1} {:>7.2} {:>15} {:>21} {:>21}",
            pair.one.cpu_us,
            pair.other.cpu_us,
            pair.ratio,
            pair.range(),
            pair.one.latencies(),
            pair.other.latencies(),
        );
    }
}

/// One load's cost for one server.
#[derive(Clone, Copy, Debug)]
struct Cost {
    cpu_us: f64,
    p50: Duration,
    p99: Duration,
}

impl Cost {
    fn latencies(&self) -> String {
        format!("{:.1?}, {:.1?}", self.p50, self.p99)
    }

    fn median(costs: &[Self]) -> Self {
        let middle = |mut times: Vec<Duration>| {
            times.sort();
            times[times.len() / 2]
        };
        Self {
            cpu_us: median(costs.iter().map(|cost| cost.cpu_us).collect()),
            p50: middle(costs.iter().map(|cost| cost.p50).collect()),
            p99: middle(costs.iter().map(|cost| cost.p99).collect()),
        }
    }
}

/// Two servers under the same load, in turn.
struct Pair {
    one: Cost,
    other: Cost,
    ratio: f64,
    lowest: f64,
    highest: f64,
}

impl Pair {
    fn measure(one: &ServerProcess, other: &ServerProcess, load: Load) -> Self {
        // The first round warms allocators and caches up.
        let rounds: Vec<(Cost, Cost)> = (0..=ROUNDS)
            .map(|_| (one.cost(load), other.cost(load)))
            .skip(1)
            .collect();
        let (ones, others): (Vec<Cost>, Vec<Cost>) = rounds.iter().copied().unzip();
        let mut ratios: Vec<f64> = rounds
            .iter()
            .map(|(one, other)| one.cpu_us / other.cpu_us)
            .collect();
        ratios.sort_by(f64::total_cmp);
        Self {
            one: Cost::median(&ones),
            other: Cost::median(&others),
            ratio: median(ratios.clone()),
            lowest: ratios[0],
            highest: ratios[ROUNDS - 1],
        }
    }

    fn range(&self) -> String {
        format!("{:.2}, {:.2}", self.lowest, self.highest)
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
