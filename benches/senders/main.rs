//! The senders beside the least that could do their work, and the rates they reach.
//!
//! `cargo bench --bench senders` prints two tables.
//!
//! *CPU per notification*: the sender's thread beside a thread with a bare `h2` client, which
//! sends requests that were built beforehand, by the sender's own code, to the same simulator, over
//! as many connections and streams. They take turns, round by round; only the CPU time of the
//! two threads counts, read from the operating system. Read the ratios: what a microsecond is
//! depends on the machine and on who else uses it. The bare client takes no notification from
//! a queue, keeps no deadline, retries nothing and reports to nobody; the ratio is what all that
//! costs. The project's bar is 2.
//!
//! *Rates with a slow service*: how many notifications per second get through when every answer
//! takes 50 ms, which streams and connections decide, and not the CPU.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "a bench's output is its purpose")]

mod bare;

mod notifications;

mod ours;

mod simulator;

use std::time::{Duration, Instant};

use sender::Provider;

use crate::{
    bare::Bare,
    notifications::{Texts, notifications},
    ours::Ours,
    simulator::{Service, Simulator},
};

/// As the senders use it in the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Notifications of one round.
const ROUND: usize = 30_000;
/// Rounds of each side; odd, for a median.
const ROUNDS: usize = 9;
/// Opens the connections and fills the caches.
const WARM_UP: usize = 5_000;
/// The slow service's time to answer.
const LATENCY: Duration = Duration::from_millis(50);

fn main() {
    onegin::install_crypto_provider();
    println!(
        "CPU per notification: median of {ROUNDS} rounds of {ROUND}\n{:<36} {:>9} {:>9} {:>7}   least..most",
        "", "sender us", "bare us", "ratio"
    );
    for (service, connections, texts) in [
        (Service::Apns, 1, Texts::One),
        (Service::Apns, 4, Texts::One),
        (Service::Apns, 4, Texts::OneEach),
        (Service::Fcm, 1, Texts::One),
        (Service::Fcm, 4, Texts::One),
        (Service::Fcm, 4, Texts::OneEach),
    ] {
        let simulator = Simulator::start(Duration::ZERO);
        let compared = Compared {
            service,
            connections,
            texts,
        };
        match service {
            Service::Apns => compare(compared, &simulator, || simulator.apns()),
            Service::Fcm => compare(compared, &simulator, || simulator.fcm()),
        }
    }
    println!(
        "\nRates with a service that answers after {} ms",
        LATENCY.as_millis()
    );
    let simulator = Simulator::start(LATENCY);
    rate(Service::Apns, &simulator, simulator.apns(), 200_000);
    rate(Service::Fcm, &simulator, simulator.fcm(), 40_000);
}

/// What a comparison is about.
#[derive(Clone, Copy)]
struct Compared {
    service: Service,
    connections: usize,
    texts: Texts,
}

/// Prints a line of the first table.
fn compare<P: Provider>(compared: Compared, simulator: &Simulator, provider: impl Fn() -> P) {
    let Compared {
        service,
        connections,
        texts,
    } = compared;
    let ours = Ours::start(provider(), service, connections);
    let bare = Bare::start(simulator, service, provider(), connections);
    let some = |count| notifications(service, texts, count);
    ours.deliver(some(WARM_UP));
    bare.deliver(some(WARM_UP));
    let rounds: Vec<(f64, f64)> = (0..ROUNDS)
        .map(|_| {
            let sender_us = ours.deliver(some(ROUND)).as_secs_f64() * 1e6;
            let bare_us = bare.deliver(some(ROUND)).as_secs_f64() * 1e6;
            let count = number(ROUND);
            (sender_us / count, bare_us / count)
        })
        .collect();
    ours.end();
    bare.end();
    let [sender, bare, ratio] = [
        |(sender, _): &(f64, f64)| *sender,
        |(_, bare): &(f64, f64)| *bare,
        |(sender, bare): &(f64, f64)| sender / bare,
    ]
    .map(|of: fn(&(f64, f64)) -> f64| {
        let mut sorted: Vec<f64> = rounds.iter().map(of).collect();
        sorted.sort_by(f64::total_cmp);
        sorted
    });
    let name = format!(
        "{}, {connections} connection{}, {}",
        service.name(),
        if connections == 1 { "" } else { "s" },
        texts.name()
    );
    println!(
        "{name:<36} {:>9.2} {:>9.2} {:>7.2}   {:.2}..{:.2}",
        sender[ROUNDS / 2],
        bare[ROUNDS / 2],
        ratio[ROUNDS / 2],
        ratio[0],
        ratio[ROUNDS - 1],
    );
}

/// Prints a line of the second table.
fn rate<P: Provider>(service: Service, simulator: &Simulator, provider: P, count: usize) {
    const CONNECTIONS: usize = 4;
    let ours = Ours::start(provider, service, CONNECTIONS);
    ours.deliver(notifications(service, Texts::One, WARM_UP));
    let waiting = notifications(service, Texts::One, count);
    let begin = Instant::now();
    let cpu = ours.deliver(waiting);
    let per_second = number(count) / begin.elapsed().as_secs_f64();
    let used = simulator.connections_opened(service);
    ours.end();
    let possible = number(CONNECTIONS * service.streams()) / LATENCY.as_secs_f64();
    println!(
        "{}, {} streams, {used} connections: {per_second:.0}/s, {:.3} of streams x connections / latency; sender's thread {:.1} us CPU each",
        service.name(),
        service.streams(),
        per_second / possible,
        cpu.as_secs_f64() * 1e6 / number(count),
    );
}

#[allow(clippy::cast_precision_loss, reason = "a few hundred thousand")]
fn number(count: usize) -> f64 {
    count as f64
}

/// CPU time so far of the thread whose folder in /proc this is: the first number of schedstat
/// is its time on a processor, in nanoseconds.
fn cpu_time(thread: &str) -> Duration {
    let schedstat = std::fs::read_to_string(format!("{thread}/schedstat"))
        .expect("Linux shows a thread's times while it lives");
    let nanoseconds = schedstat.split_whitespace().next().map(str::parse);
    Duration::from_nanos(nanoseconds.expect("three numbers").expect("a number"))
}
