use proptest::prelude::*;

use super::*;

fn settings() -> BreakerSettings {
    BreakerSettings {
        bad_answers: NonZeroU32::new(7).unwrap(),
        ..BreakerSettings::default()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A breaker that a refusal has just opened, for half a second.
fn open(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(settings());
    let stamp = breaker.stamp();
    assert_eq!(
        breaker.ended(stamp, Sign::Refused, now, 0.0),
        Change::Opened
    );
    breaker
}

fn probe(breaker: &mut Breaker, now: Instant) -> Stamp {
    assert_eq!(breaker.allows(now), Allowed::OneProbe);
    breaker.sent();
    assert_eq!(breaker.allows(now), Allowed::Nothing, "one at a time");
    breaker.stamp()
}

#[test]
fn one_refusal_opens_it_and_a_good_probe_closes_it() {
    let now = Instant::now();
    let mut breaker = open(now);
    assert_eq!(breaker.allows(now), Allowed::Nothing);
    let later = now + seconds(1);
    let stamp = probe(&mut breaker, later);
    assert_eq!(breaker.ended(stamp, Sign::Good, later, 0.0), Change::Closed);
    assert_eq!(breaker.allows(later), Allowed::Everything);
}

#[test]
fn what_was_in_flight_when_it_opened_says_nothing_more() {
    let now = Instant::now();
    let mut breaker = Breaker::new(settings());
    let old = breaker.stamp();
    assert!(breaker.counts_tries(old));
    breaker.ended(old, Sign::Refused, now, 0.0);
    for sign in [Sign::Good, Sign::Refused, Sign::Bad, Sign::Unanswered] {
        assert_eq!(breaker.ended(old, sign, now, 0.0), Change::None);
    }
    assert!(!breaker.counts_tries(old));
    let stamp = probe(&mut breaker, now + seconds(1));
    assert!(!breaker.counts_tries(stamp), "not while it is half-open");
    breaker.ended(stamp, Sign::Good, now, 0.0);
    assert!(!breaker.counts_tries(old), "nor after it has closed");
}

#[test]
fn failed_connections_open_it_only_when_nothing_is_answered_between() {
    let now = Instant::now();
    let mut breaker = Breaker::new(settings());
    for _ in 0..10 {
        assert_eq!(breaker.connection_failed(now, 0.0), Change::None);
        assert_eq!(breaker.connection_failed(now, 0.0), Change::None);
        breaker.ended(breaker.stamp(), Sign::Good, now, 0.0);
    }
    breaker.connection_failed(now, 0.0);
    breaker.connection_failed(now, 0.0);
    assert_eq!(breaker.connection_failed(now, 0.0), Change::Opened);
    assert_eq!(breaker.connection_failed(now, 0.0), Change::None, "once");
}

#[test]
fn only_a_long_run_of_nothing_but_bad_answers_opens_it() {
    let now = Instant::now();
    let mut breaker = Breaker::new(settings());
    let bad = |breaker: &mut Breaker| breaker.ended(breaker.stamp(), Sign::Bad, now, 0.0);
    for _ in 0..6 {
        assert_eq!(bad(&mut breaker), Change::None);
    }
    breaker.ended(breaker.stamp(), Sign::Good, now, 0.0);
    for _ in 0..6 {
        assert_eq!(bad(&mut breaker), Change::None);
    }
    assert_eq!(bad(&mut breaker), Change::Opened);
}

#[test]
fn an_undecided_probe_is_followed_by_another_at_once() {
    let now = Instant::now();
    let mut breaker = open(now);
    let later = now + seconds(1);
    let stamp = probe(&mut breaker, later);
    assert_eq!(
        breaker.ended(stamp, Sign::Undecided, later, 0.0),
        Change::None
    );
    probe(&mut breaker, later);
}

#[test]
fn progress_is_not_seen_across_an_opening() {
    let now = Instant::now();
    let mut breaker = Breaker::new(settings());
    let before = breaker.progress();
    assert!(!breaker.others_got_through_since(before));
    breaker.ended(breaker.stamp(), Sign::Good, now, 0.0);
    assert!(breaker.others_got_through_since(before));
    breaker.refused(now, 0.0);
    let stamp = probe(&mut breaker, now + seconds(1));
    breaker.ended(stamp, Sign::Good, now, 0.0);
    assert!(!breaker.others_got_through_since(before));
}

#[derive(Clone, Debug)]
enum Step {
    Send,
    /// Of those in flight, counted from the oldest.
    End(usize, Sign),
    ConnectionFails,
    Refusal,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let sign = prop_oneof![
        Just(Sign::Good),
        Just(Sign::Bad),
        Just(Sign::Refused),
        Just(Sign::Unanswered),
        Just(Sign::Undecided),
    ];
    let step = prop_oneof![
        4 => Just(Step::Send),
        4 => (0_usize..8, sign).prop_map(|(which, sign)| Step::End(which, sign)),
        1 => Just(Step::ConnectionFails),
        1 => Just(Step::Refusal),
        2 => (0_u64..20_000).prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #[test]
    fn whatever_happens_only_the_probe_is_sent_until_one_is_answered_well(
        steps in steps(),
        random in 0.0_f64..1.0,
    ) {
        let mut breaker = Breaker::new(settings());
        let mut now = Instant::now();
        let mut in_flight: Vec<Stamp> = Vec::new();
        for step in steps {
            let was_closed = breaker.is_closed();
            let change = match step {
                Step::Send => {
                    if breaker.allows(now) != Allowed::Nothing {
                        in_flight.push(breaker.stamp());
                        breaker.sent();
                    }
                    Change::None
                }
                Step::End(which, sign) => {
                    if in_flight.is_empty() {
                        continue;
                    }
                    let stamp = in_flight.remove(which % in_flight.len());
                    let stale = breaker.is_stale(stamp);
                    let change = breaker.ended(stamp, sign, now, random);
                    if stale {
                        prop_assert_eq!(change, Change::None);
                    } else if sign == Sign::Refused {
                        prop_assert_eq!(breaker.gauge(), 2);
                    } else if sign == Sign::Good {
                        prop_assert!(breaker.is_closed());
                    }
                    change
                }
                Step::ConnectionFails => breaker.connection_failed(now, random),
                Step::Refusal => breaker.refused(now, random),
                Step::Wait(ms) => {
                    now += Duration::from_millis(ms);
                    Change::None
                }
            };
            prop_assert_eq!(change == Change::Opened, was_closed && !breaker.is_closed());
            prop_assert_eq!(change == Change::Closed, !was_closed && breaker.is_closed());
            if let Some(until) = breaker.opens_to_a_probe_at(now) {
                prop_assert_eq!(breaker.gauge(), 2);
                prop_assert!(until - now <= settings().wait.cap);
            }
            if !breaker.is_closed() {
                let current = in_flight.iter().filter(|stamp| !breaker.is_stale(**stamp));
                prop_assert!(current.count() <= 1, "one probe at a time");
            }
        }
    }

    #[test]
    fn the_wait_grows_from_half_a_second_to_a_minute(random in 0.0_f64..1.0) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(settings());
        breaker.refused(now, random);
        let mut longest = Duration::ZERO;
        for nth in 0..20 {
            let until = breaker.opens_to_a_probe_at(now).unwrap();
            let wait = until - now;
            prop_assert!(wait >= Duration::from_millis(500) && wait <= seconds(60));
            prop_assert!(wait >= longest);
            longest = wait;
            now = until;
            let stamp = probe(&mut breaker, now);
            let sign = [Sign::Refused, Sign::Bad, Sign::Unanswered][nth % 3];
            prop_assert_eq!(breaker.ended(stamp, sign, now, random), Change::StaysOpen);
        }
        prop_assert!(longest >= seconds(30));
    }
}
