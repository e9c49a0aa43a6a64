//! Where somebody must act, the main log says so: once, however many notifications heard it.

use simulator::{Rule, Service};

use crate::{
    answer_case::{Program, platform, refuse, token},
    app::{eventually, login},
};

/// Checks the one error that follows the `seen` ones; returns how many there are now.
#[track_caller]
fn one_more_error(program: &Program, seen: usize, words: &[&str]) -> usize {
    // The log is written behind the daemon's back.
    eventually("the error is in the log", || program.errors().len() > seen);
    let errors = program.errors();
    let [error] = &errors[seen..] else {
        panic!("{} errors instead of one: {errors:#?}", errors.len() - seen);
    };
    for word in words {
        assert!(error.contains(word), "{word:?} is not in {error:?}");
    }
    errors.len()
}

#[test]
fn what_needs_somebody_to_act_is_one_error_in_the_main_log() {
    let program = Program::start();
    let iphones = 1..=120;
    let androids = 201..=220;
    let on = |service, user| login(user, platform(service), &token(service, user), 1);
    let mut logins: Vec<_> = iphones
        .clone()
        .map(|user| on(Service::Apns, user))
        .collect();
    logins.extend(androids.clone().map(|user| on(Service::Fcm, user)));
    program.log_in(&logins);
    program.notify([1, 201]);
    assert_eq!(program.errors(), [""; 0], "all is well");

    let script = program.simulator.script();
    let bad = refuse(400, "BadDeviceToken");
    script.add(Rule::new(bad).service(Service::Apns));
    program.notify(iphones);
    let words = ["most tokens are refused", "BadDeviceToken", "apns"];
    let seen = one_more_error(&program, 0, &words);

    script.clear();
    let third_party = refuse(401, "THIRD_PARTY_AUTH_ERROR");
    script.add(Rule::new(third_party).service(Service::Fcm));
    program.notify(androids);
    let seen = one_more_error(&program, seen, &["THIRD_PARTY_AUTH_ERROR", "fcm"]);

    script.clear();
    let topic = refuse(400, "TopicDisallowed");
    script.add(Rule::new(topic).service(Service::Apns).times(1));
    program.notify(1..=5);
    let words = ["TopicDisallowed", "[Messenger]", "apns"];
    one_more_error(&program, seen, &words);
}
