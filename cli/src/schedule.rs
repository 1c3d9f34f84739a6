//! Runs the tasks of a plan on several threads, each after those above it.
//!
//! A task is *waiting* until all above it that take part are done well, then *ready*; the ready one that comes first in the
//! plan's order is *running* next; it ends *good* or *bad*. Below a bad one everything is *skipped*; unless told to keep going,
//! nothing new starts either.
//!
//! While a run is under way it can be told that what some tasks read has changed. They, and what reads from them, are
//! done again: those that are running are cancelled first, all others are left alone.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::interrupt::Interrupt;
use crate::plan::{Plan, Relation, TaskId};

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
    /// Told before that it had ended or was skipped, it is to be done again.
    Reopened,
    /// It ended with this, and is to be done again, since what it reads has changed meanwhile.
    Cancelled(T),
}

/// Follows the world while tasks run.
pub trait Lookout: Sync {
    /// Is called on a thread of its own, and returns soon after [`Lookout::end`].
    fn follow(&self, run: &dyn Steer);
    /// All tasks are done.
    fn end(&self);
}

/// A run under way.
pub trait Steer {
    /// What these tasks read has changed: has them done again, and what reads from them. False if the run is over.
    fn again(&self, tasks: &[TaskId]) -> bool;
    /// Starts nothing new, and cancels those of the running tasks that `pointless` says so of.
    fn wind_up(&self, pointless: &dyn Fn(TaskId) -> bool);
}

enum Stage {
    Out,
    Waiting,
    /// With what cancels it, and whether that was done.
    Running(Interrupt, bool),
    Good,
    Bad,
    Skipped,
}

struct State {
    stages: Vec<Stage>,
    /// How many above each are not good.
    missing: Vec<usize>,
    ready: BTreeSet<(usize, TaskId)>,
    /// Those that are waiting or running.
    open: usize,
    running: usize,
    bad: usize,
    winding_up: bool,
    over: bool,
}

/// A round whose judge is told of results of that kind.
struct Judged<'r, 'p, T, J>(&'r Round<'p, J>, PhantomData<fn(T)>);

struct Round<'p, J> {
    plan: &'p Plan,
    tasks: &'p [TaskId],
    rank: Vec<usize>,
    state: Mutex<(State, J)>,
    changed: Condvar,
}

/// Runs `tasks` (in the plan's order) with `work`, which is given what cancels the task, and tells `judge` of each, one at a
/// time; it answers whether that was good.
pub fn run<T>(
    plan: &Plan,
    tasks: &[TaskId],
    options: Options<'_>,
    work: impl Fn(TaskId, &Interrupt) -> T + Sync,
    judge: impl FnMut(TaskId, Step<T>) -> bool + Send,
    lookout: Option<&dyn Lookout>,
) -> std::io::Result<()> {
    let never = Interrupt::new()?;
    let round = Round::new(plan, tasks, judge);
    let worker = || {
        let mut guard = round.lock();
        loop {
            let state = &mut guard.0;
            let stopped =
                options.interrupt.is_set() || state.winding_up || (state.bad > 0 && !options.keep_going);
            if state.running == 0 && (stopped || state.open == 0) {
                state.over = true;
                round.changed.notify_all();
                return;
            }
            let Some((_, task)) = (if stopped { None } else { state.ready.pop_first() }) else {
                guard = round.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            // Nobody cancels where nobody looks out, and there may be very many tasks.
            let cancel = match lookout.map(|_| Interrupt::new()) {
                Some(Ok(cancel)) => cancel,
                _ => never.clone(),
            };
            state.stages[task] = Stage::Running(cancel.clone(), false);
            state.running += 1;
            drop(guard);
            let result = work(task, &cancel);
            guard = round.lock();
            round.ended(&mut guard, task, result);
            round.changed.notify_all();
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..options.jobs.get().min(tasks.len())).map(|_| scope.spawn(worker)).collect();
        if let Some(lookout) = lookout {
            scope.spawn(|| lookout.follow(&Judged(&round, PhantomData)));
        }
        let ends: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        if let Some(lookout) = lookout {
            round.lock().0.over = true;
            lookout.end();
        }
        if let Some(panic) = ends.into_iter().find_map(Result::err) {
            std::panic::resume_unwind(panic);
        }
    });
    // Whatever never got its turn, in order.
    let (state, mut judge) = round.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    for task in tasks {
        if matches!(state.stages[*task], Stage::Waiting) {
            judge(*task, Step::Skipped(None));
        }
    }
    Ok(())
}

impl<'p, J> Round<'p, J> {
    fn new(plan: &'p Plan, tasks: &'p [TaskId], judge: J) -> Self {
        let all = plan.tasks.len();
        let mut rank = vec![0; all];
        let mut stages: Vec<Stage> = (0..all).map(|_| Stage::Out).collect();
        for (position, task) in tasks.iter().enumerate() {
            rank[*task] = position;
            stages[*task] = Stage::Waiting;
        }
        let mut missing = vec![0; all];
        for task in tasks {
            let above = plan.above(*task);
            missing[*task] = above.iter().filter(|(above, _)| !matches!(stages[*above], Stage::Out)).count();
        }
        let ready =
            tasks.iter().filter(|task| missing[**task] == 0).map(|task| (rank[*task], *task)).collect();
        let state = State {
            stages,
            missing,
            ready,
            open: tasks.len(),
            running: 0,
            bad: 0,
            winding_up: false,
            over: false,
        };
        Self { plan, tasks, rank, state: Mutex::new((state, judge)), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, (State, J)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended<T>(&self, guard: &mut (State, J), task: TaskId, result: T)
    where
        J: FnMut(TaskId, Step<T>) -> bool,
    {
        let (state, judge) = guard;
        state.running -= 1;
        if let Stage::Running(_, true) = state.stages[task] {
            state.stages[task] = Stage::Waiting;
            self.offer(state, task);
            judge(task, Step::Cancelled(result));
        } else if judge(task, Step::Ended(result)) {
            state.stages[task] = Stage::Good;
            state.open -= 1;
            for (below, _) in self.plan.below(task) {
                if !matches!(state.stages[below], Stage::Out) {
                    state.missing[below] -= 1;
                    self.offer(state, below);
                }
            }
        } else {
            state.stages[task] = Stage::Bad;
            state.open -= 1;
            state.bad += 1;
            let mut queue = vec![task];
            while let Some(above) = queue.pop() {
                for (below, _) in self.plan.below(above) {
                    if matches!(state.stages[below], Stage::Waiting) {
                        state.stages[below] = Stage::Skipped;
                        state.ready.remove(&(self.rank[below], below));
                        state.open -= 1;
                        judge(below, Step::Skipped(Some(task)));
                        queue.push(below);
                    }
                }
            }
        }
    }

    /// Makes a task ready if it waits for nothing.
    fn offer(&self, state: &mut State, task: TaskId) {
        if matches!(state.stages[task], Stage::Waiting) && state.missing[task] == 0 {
            state.ready.insert((self.rank[task], task));
        }
    }

    /// These, and those that read what they make, directly or through others.
    fn with_readers(&self, tasks: &[TaskId]) -> BTreeSet<TaskId> {
        let mut all: BTreeSet<TaskId> = tasks.iter().copied().collect();
        let mut queue: Vec<TaskId> = tasks.to_vec();
        while let Some(task) = queue.pop() {
            for (below, relation) in self.plan.below(task) {
                if relation == Relation::Data && all.insert(below) {
                    queue.push(below);
                }
            }
        }
        all
    }
}

impl<T, J: FnMut(TaskId, Step<T>) -> bool + Send> Steer for Judged<'_, '_, T, J> {
    fn again(&self, tasks: &[TaskId]) -> bool {
        let round = self.0;
        let mut guard = round.lock();
        let (state, judge) = &mut *guard;
        if state.over {
            return false;
        }
        for task in round.with_readers(tasks) {
            match &mut state.stages[task] {
                Stage::Running(cancel, cancelled) => {
                    *cancelled = true;
                    cancel.set();
                }
                stage @ (Stage::Good | Stage::Bad) => {
                    let was_good = matches!(stage, Stage::Good);
                    *stage = Stage::Waiting;
                    state.open += 1;
                    state.bad -= usize::from(!was_good);
                    for (below, _) in round.plan.below(task) {
                        if was_good && !matches!(state.stages[below], Stage::Out) {
                            state.missing[below] += 1;
                            state.ready.remove(&(round.rank[below], below));
                        }
                    }
                    judge(task, Step::Reopened);
                    round.offer(state, task);
                }
                Stage::Out | Stage::Waiting | Stage::Skipped => {}
            }
        }
        // What was skipped for the sake of a failure that is made good.
        for task in round.tasks {
            let hopeless =
                |(above, _): &(TaskId, _)| matches!(state.stages[*above], Stage::Bad | Stage::Skipped);
            if matches!(state.stages[*task], Stage::Skipped) && !round.plan.above(*task).iter().any(hopeless)
            {
                state.stages[*task] = Stage::Waiting;
                state.open += 1;
                judge(*task, Step::Reopened);
                round.offer(state, *task);
            }
        }
        round.changed.notify_all();
        true
    }

    fn wind_up(&self, pointless: &dyn Fn(TaskId) -> bool) {
        let mut guard = self.0.lock();
        let state = &mut guard.0;
        state.winding_up = true;
        for task in self.0.tasks {
            if let Stage::Running(cancel, cancelled) = &mut state.stages[*task]
                && pointless(*task)
            {
                *cancelled = true;
                cancel.set();
            }
        }
        self.0.changed.notify_all();
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
        let judge = |task, step| match step {
            Step::Ended(text) => {
                let good = !bad.contains(&text);
                log.push(text);
                good
            }
            Step::Skipped(because) => {
                let because = because.map(|task| format!("<{}", name(task))).unwrap_or_default();
                log.push(format!("-{}{because}", name(task)));
                true
            }
            Step::Reopened | Step::Cancelled(_) => panic!("nobody looks out"),
        };
        let options = Options { jobs, keep_going, interrupt: &interrupt };
        run(&plan, &plan.order, options, |task, _| name(task), judge, None).expect("runs");
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
            |_, _| interrupt.set(),
            |_, step| {
                ended += usize::from(matches!(step, Step::Ended(())));
                true
            },
            None,
        )
        .expect("runs");
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
            |_, _| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(100));
                now.fetch_sub(1, Ordering::SeqCst);
            },
            |_, _| true,
            None,
        )
        .expect("runs");
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    /// Tells the run once that what `changed` reads is different, as soon as `when` is running.
    struct Once<'a> {
        plan: &'a Plan,
        when: &'a str,
        changed: &'a str,
        running: Mutex<String>,
        news: Condvar,
        wind_up: bool,
    }

    impl Lookout for Once<'_> {
        fn follow(&self, run: &dyn Steer) {
            let mut running = self.running.lock().expect("whole");
            while *running != self.when {
                running = self.news.wait(running).expect("whole");
            }
            let changed = self.plan.find(self.changed).expect("is there");
            if self.wind_up {
                run.wind_up(&|task| changed.contains(&task));
            } else {
                assert!(run.again(changed));
            }
        }

        fn end(&self) {}
    }

    /// Runs the plan, one at a time, while `when` waits to be cancelled, or for a moment.
    fn steered(when: &str, changed: &str, bad_first: &str, wind_up: bool) -> Vec<String> {
        let plan = plan();
        let interrupt = Interrupt::new().expect("a pipe");
        let lookout =
            Once { plan: &plan, when, changed, running: Mutex::default(), news: Condvar::new(), wind_up };
        let (told, log) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = |task: TaskId, cancel: &Interrupt| {
            let name = &plan.tasks[task].name;
            name.clone_into(&mut lookout.running.lock().expect("whole"));
            lookout.news.notify_all();
            if name == when && told.fetch_add(1, Ordering::SeqCst) == 0 {
                let start = std::time::Instant::now();
                while !cancel.is_set() && start.elapsed() < Duration::from_millis(500) {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        };
        let mut failed = false;
        let judge = |task: TaskId, step| {
            let name = plan.tasks[task].name.as_str();
            let word = match step {
                Step::Ended(()) if name == bad_first && !std::mem::replace(&mut failed, true) => "bad",
                Step::Ended(()) => "good",
                Step::Skipped(_) => "skipped",
                Step::Reopened => "reopened",
                Step::Cancelled(()) => "cancelled",
            };
            log.lock().expect("whole").push(format!("{name} {word}"));
            word == "good"
        };
        let options = Options { jobs: NonZeroUsize::MIN, keep_going: true, interrupt: &interrupt };
        run(&plan, &plan.order, options, work, judge, Some(&lookout)).expect("runs");
        log.into_inner().expect("whole")
    }

    #[test]
    fn a_running_task_is_cancelled_and_starts_again_when_what_it_reads_changes() {
        let expected = ["a good", "b good", "c good", "d cancelled", "d good", "e good"];
        assert_eq!(steered("d", "d", "", false), expected);
    }

    #[test]
    fn what_reads_from_a_changed_task_is_cancelled_too_and_what_only_waits_is_not_done_again() {
        // b reads from a; c waits for b without reading from it.
        let expected =
            ["a good", "a reopened", "b cancelled", "a good", "b good", "c good", "d good", "e good"];
        assert_eq!(steered("b", "a", "", false), expected);
        let expected = [
            "a good",
            "b good",
            "a reopened",
            "b reopened",
            "c good",
            "a good",
            "b good",
            "d good",
            "e good",
        ];
        assert_eq!(steered("c", "a", "", false), expected);
    }

    #[test]
    fn a_failure_is_done_again_with_what_was_skipped_for_it() {
        let expected = [
            "a good",
            "b bad",
            "c skipped",
            "e skipped",
            "b reopened",
            "c reopened",
            "e reopened",
            "d good",
            "b good",
            "c good",
            "e good",
        ];
        let mut steps = steered("d", "b", "b", false);
        // Once d has ended, b comes before the others in any case.
        assert_eq!(steps.len(), expected.len(), "{steps:?}");
        steps.sort();
        let mut expected = expected;
        expected.sort_unstable();
        assert_eq!(steps, expected);
    }

    #[test]
    fn a_run_that_is_wound_up_cancels_what_is_pointless_and_starts_nothing() {
        let expected = ["a good", "b cancelled", "b skipped", "c skipped", "d skipped", "e skipped"];
        assert_eq!(steered("b", "b", "", true), expected);
        let expected = ["a good", "b good", "c skipped", "d skipped", "e skipped"];
        assert_eq!(steered("b", "d", "", true), expected);
    }
}
