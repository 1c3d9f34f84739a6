//! Threads that evaluate calls of each other's, in every order that a scheduler comes upon: nobody waits for ever, no
//! call is evaluated twice at once where waiting closes no circle, and everything comes to an end.
//!
//! `cargo test -p fleche --features shuttle --lib interleavings`; `FLECHE_SHUTTLE` sets how many orders each program
//! is tried in.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleche_store::{CallId, ValueDigest};
use proptest::prelude::*;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};

use super::{Claim, Pilot, claim};

const CALLS: usize = 5;

/// What each call's body does, in order: calls, one after the other or as branches of a fan-out.
type Program = Vec<Vec<Step>>;

#[derive(Debug, Clone)]
enum Step {
    Call(usize),
    FanOut(Vec<usize>),
}

fn name(n: usize) -> CallId {
    CallId::of(&n.to_string(), "p", "m", std::iter::empty::<ValueDigest>())
}

/// Everybody's account of one execution.
#[derive(Default)]
struct Tally {
    evaluating: [AtomicUsize; CALLS],
    apart: AtomicUsize,
}

/// Asks for a call as the engine does, `above` being the calls that this one is for.
fn ask(program: &Arc<Program>, tally: &Arc<Tally>, me: &Pilot, above: &[usize], n: usize) {
    // A call that is met again below itself is reported as a cycle, not waited for.
    if above.contains(&n) {
        return;
    }
    let flight = match claim(me, 0, name(n)) {
        Claim::Mine(flight) => Some(flight),
        // Answered from what the other one found.
        Claim::Landed => return,
        Claim::Apart => {
            tally.apart.fetch_add(1, Ordering::Relaxed);
            None
        }
    };
    if flight.is_some() {
        assert_eq!(tally.evaluating[n].fetch_add(1, Ordering::Relaxed), 0, "{n} is evaluated twice at once");
    }
    let above: Vec<usize> = above.iter().copied().chain([n]).collect();
    for step in &program[n] {
        match step {
            Step::Call(m) => ask(program, tally, me, &above, *m),
            Step::FanOut(calls) => {
                let branches: Vec<_> = calls
                    .iter()
                    .map(|m| {
                        let (program, tally, above, m) = (program.clone(), tally.clone(), above.clone(), *m);
                        let branch = me.branch();
                        shuttle::thread::spawn(move || ask(&program, &tally, &branch, &above, m))
                    })
                    .collect();
                for branch in branches {
                    branch.join().unwrap();
                }
            }
        }
    }
    if flight.is_some() {
        tally.evaluating[n].fetch_sub(1, Ordering::Relaxed);
    }
}

/// Threads that ask for these calls, all at once.
fn execute(program: &Program, asked: &[usize]) -> usize {
    let (program, tally) = (Arc::new(program.clone()), Arc::<Tally>::default());
    let threads: Vec<_> = asked
        .iter()
        .map(|n| {
            let (program, tally, n) = (program.clone(), tally.clone(), *n);
            shuttle::thread::spawn(move || ask(&program, &tally, &Pilot::new(), &[], n))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    tally.apart.load(Ordering::Relaxed)
}

/// How many orders each program is tried in.
fn orders() -> usize {
    std::env::var("FLECHE_SHUTTLE").ok().and_then(|orders| orders.parse().ok()).unwrap_or(40)
}

/// Tries a program in many orders, half of them random and half with few changes of thread, which finds other
/// faults.
fn try_orders(program: &Program, asked: &[usize], check: fn(usize)) {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    let run = |program: Program, asked: Vec<usize>| move || check(execute(&program, &asked));
    Runner::new(RandomScheduler::new(orders()), config.clone()).run(run(program.clone(), asked.to_vec()));
    Runner::new(PctScheduler::new(3, orders()), config).run(run(program.clone(), asked.to_vec()));
}

fn steps(callable: impl Strategy<Value = usize> + Clone + 'static) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => callable.clone().prop_map(Step::Call),
        1 => prop::collection::vec(callable, 2..4).prop_map(Step::FanOut),
    ];
    prop::collection::vec(step, 0..3)
}

/// Calls that call later ones only.
fn layered() -> impl Strategy<Value = Program> {
    let calls: Vec<_> = (1..=CALLS)
        .map(|from| if from == CALLS { Just(Vec::new()).boxed() } else { steps(from..CALLS).boxed() })
        .collect();
    calls
}

/// Calls that call whatever they like: what different revisions, and traces that are no longer true, add up to.
fn tangled() -> impl Strategy<Value = Program> {
    prop::collection::vec(steps(0..CALLS), CALLS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn without_circles_nobody_evaluates_apart(program in layered(), asked in prop::collection::vec(0..CALLS, 2..4)) {
        try_orders(&program, &asked, |apart| assert_eq!(apart, 0, "nobody had to wait for itself"));
    }

    #[test]
    fn with_circles_nobody_waits_for_ever(program in tangled(), asked in prop::collection::vec(0..CALLS, 2..4)) {
        try_orders(&program, &asked, |_| ());
    }
}
