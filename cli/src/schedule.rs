//! Runs the tasks of a plan on several threads, each after those above it.
//!
//! A task is *waiting* until all above it that take part are done well, then *ready*; the ready one that comes first in the
//! plan's order is *running* next; it ends *good* or *bad*. Below a bad one everything is *skipped*; unless told to keep going,
//! nothing new starts either.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::interrupt::Interrupt;
use crate::plan::{Plan, TaskId};

/// How to go about it.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// How many at once.
    pub jobs: NonZeroUsize,
    /// Whether to start what does not depend on a failure.
    pub keep_going: bool,
    /// Starts nothing new once set.
    pub interrupt: &'a Interrupt,
}

/// What happens to a task.
#[derive(Debug)]
pub enum Step<T> {
    /// It ended with this.
    Ended(T),
    /// It never started; the task whose failure was the reason, if it waits for one.
    Skipped(Option<TaskId>),
}

struct State {
    ready: BTreeSet<(usize, TaskId)>,
    waiting: Vec<usize>,
    open: usize,
    stopped: bool,
    taking_part: Vec<bool>,
    skipped: Vec<bool>,
}

/// Runs `tasks` (in the plan's order) with `work`, and tells `judge` of each, one at a time; it answers whether that was good.
pub fn run<T>(
    plan: &Plan,
    tasks: &[TaskId],
    options: Options<'_>,
    work: impl Fn(TaskId) -> T + Sync,
    judge: impl FnMut(TaskId, Step<T>) -> bool + Send,
) {
    let mut rank = vec![0; plan.tasks.len()];
    let mut taking_part = vec![false; plan.tasks.len()];
    for (position, task) in tasks.iter().enumerate() {
        rank[*task] = position;
        taking_part[*task] = true;
    }
    let mut waiting = vec![0; plan.tasks.len()];
    for task in tasks {
        waiting[*task] = plan.above(*task).iter().filter(|(above, _)| taking_part[*above]).count();
    }
    let ready = tasks.iter().filter(|task| waiting[**task] == 0).map(|task| (rank[*task], *task)).collect();
    let skipped = vec![false; plan.tasks.len()];
    let state = Mutex::new((
        State { ready, waiting, open: tasks.len(), stopped: false, taking_part, skipped },
        judge,
    ));
    let changed = Condvar::new();
    let worker = || {
        let mut guard = state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if options.interrupt.is_set() {
                guard.0.stopped = true;
            }
            if guard.0.open == 0 || guard.0.stopped {
                changed.notify_all();
                return;
            }
            let Some((_, task)) = guard.0.ready.pop_first() else {
                guard = changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(guard);
            let result = work(task);
            guard = state.lock().unwrap_or_else(PoisonError::into_inner);
            let (state, judge) = &mut *guard;
            state.open -= 1;
            if judge(task, Step::Ended(result)) {
                for (below, _) in plan.below(task) {
                    if state.taking_part[below] {
                        state.waiting[below] -= 1;
                        if state.waiting[below] == 0 && !state.skipped[below] {
                            state.ready.insert((rank[below], below));
                        }
                    }
                }
            } else {
                skip_below(plan, task, state, judge);
                state.stopped |= !options.keep_going;
            }
            changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.get().min(tasks.len()) {
            scope.spawn(worker);
        }
    });
    let (state, mut judge) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Whatever never got its turn, in order.
    for task in tasks {
        let started = state.waiting[*task] == 0 && !state.ready.contains(&(rank[*task], *task));
        if !started && !state.skipped[*task] {
            judge(*task, Step::Skipped(None));
        }
    }
}

fn skip_below<T>(
    plan: &Plan,
    failed: TaskId,
    state: &mut State,
    judge: &mut impl FnMut(TaskId, Step<T>) -> bool,
) {
    let mut queue = vec![failed];
    while let Some(task) = queue.pop() {
        for (below, _) in plan.below(task) {
            if state.taking_part[below] && !std::mem::replace(&mut state.skipped[below], true) {
                state.open -= 1;
                judge(below, Step::Skipped(Some(failed)));
                queue.push(below);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use super::*;
    use crate::manifest::parse::parse;

    fn plan() -> Plan {
        let text = "[task.a]\nrun='x'\noutputs=['a']\n[task.b]\nrun='x'\ninputs=['a']\noutputs=['b']\n\
                    [task.c]\nrun='x'\nafter=['b']\noutputs=['c']\n[task.d]\nrun='x'\noutputs=['d']\n\
                    [task.e]\nrun='x'\ninputs=['d','c']\n";
        Plan::new(Path::new("/p"), parse(Path::new("f"), text.into()).expect("parses")).expect("plans")
    }

    fn log(jobs: usize, keep_going: bool, bad: &str) -> Vec<String> {
        let plan = plan();
        let interrupt = Interrupt::new().expect("a pipe");
        let jobs = NonZeroUsize::new(jobs).expect("not zero");
        let name = |task: TaskId| plan.tasks[task].name.clone();
        let mut log = Vec::new();
        run(&plan, &plan.order, Options { jobs, keep_going, interrupt: &interrupt }, name, |task, step| {
            match step {
                Step::Ended(text) => {
                    let good = !bad.contains(&text);
                    log.push(text);
                    good
                }
                Step::Skipped(because) => {
                    log.push(format!(
                        "-{}{}",
                        name(task),
                        because.map(|task| format!("<{}", name(task))).unwrap_or_default()
                    ));
                    true
                }
            }
        });
        log
    }

    #[test]
    fn one_at_a_time_follows_the_plan() {
        assert_eq!(log(1, false, ""), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_failure_skips_what_depends_on_it_and_stops_the_rest() {
        assert_eq!(log(1, false, "b"), ["a", "b", "-c<b", "-e<b", "-d"]);
        assert_eq!(log(1, true, "b"), ["a", "b", "-c<b", "-e<b", "d"]);
    }

    #[test]
    fn an_interruption_starts_nothing_new() {
        let plan = plan();
        let interrupt = Interrupt::new().expect("a pipe");
        let options = Options { jobs: NonZeroUsize::MIN, keep_going: true, interrupt: &interrupt };
        let mut ended = 0;
        run(
            &plan,
            &plan.order,
            options,
            |_| interrupt.set(),
            |_, step| {
                ended += usize::from(matches!(step, Step::Ended(())));
                true
            },
        );
        assert_eq!(ended, 1);
    }

    #[test]
    fn independent_tasks_run_at_once() {
        let plan = plan();
        let interrupt = Interrupt::new().expect("a pipe");
        let jobs = NonZeroUsize::new(2).expect("not zero");
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        run(
            &plan,
            &plan.order,
            Options { jobs, keep_going: false, interrupt: &interrupt },
            |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(100));
                now.fetch_sub(1, Ordering::SeqCst);
            },
            |_, _| true,
        );
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }
}
