//! Tells what happens during a run: lines for people with a progress line on a terminal, or one JSON object a line.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fleche::explain::ago;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde_json::{Value, json};

use crate::arguments::Format;
use crate::console::{BAD, Console, FAINT, GOOD, NAME, NOTABLE, duration};
use crate::difference::Change;
use crate::execute::{Failure, Outcome};
use crate::manifest::quote::quote;
use crate::process::Ended;
use crate::terminal::Terminal;

/// How many lines of a failing task are shown.
const SHOWN: usize = 20;

/// Collects and tells what happens.
#[derive(Debug)]
pub struct Report<'c> {
    console: &'c Console,
    format: Format,
    verbose: bool,
    start: Instant,
    counts: Mutex<Counts>,
    /// Those that came out badly, each with its place in the counts.
    bad: Mutex<BTreeMap<String, Bad>>,
    live: Arc<Mutex<Live>>,
    bar: Option<ProgressBar>,
}

#[derive(Clone, Copy, Debug)]
enum Bad {
    Failed,
    Changed,
    Skipped,
}

/// How often each thing happened.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    ran: u64,
    same: u64,
    hit: u64,
    restored: u64,
    cut_off: u64,
    failed: u64,
    changed: u64,
    skipped: u64,
    interrupted: bool,
    saved: Duration,
}

/// What the progress line shows.
#[derive(Debug, Default)]
struct Live {
    total: usize,
    ended: usize,
    running: BTreeMap<String, (Instant, String)>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'c> Report<'c> {
    /// Of a run of so many tasks.
    pub fn new(console: &'c Console, format: Format, verbose: bool, total: usize) -> Report<'c> {
        let live = Arc::new(Mutex::new(Live { total, ..Live::default() }));
        let bar = (format == Format::Text && console.can_draw()).then(|| progress_line(Arc::clone(&live)));
        console.set_bar(bar.clone());
        Report {
            console,
            format,
            verbose,
            start: Instant::now(),
            counts: Mutex::new(Counts::default()),
            bad: Mutex::default(),
            live,
            bar,
        }
    }

    fn json(&self, value: &Value) {
        self.console.print(&format!("{value}\n"));
    }

    /// It is going to run.
    pub fn started(&self, task: &str, changes: Option<&[Change]>) {
        locked(&self.live).running.insert(task.to_owned(), (Instant::now(), String::new()));
        match self.format {
            Format::Json => {
                let mut event = json!({ "event": "started", "task": task });
                if let Some(changes) = changes {
                    event["because"] = changes.iter().map(change_as_json).collect();
                }
                self.json(&event);
            }
            Format::Text => {
                if let Some(changes) = changes {
                    let mut text = format!("{}\n", self.console.styled(NAME, &format!("{task} runs:")));
                    let rows: Vec<_> =
                        changes.iter().map(|change| change_as_row(self.console, change, false)).collect();
                    text.push_str(&crate::console::table(&rows));
                    self.console.print(&text);
                }
            }
        }
    }

    /// It wrote this line.
    pub fn line(&self, task: &str, line: &str) {
        if let Some((_, last)) = locked(&self.live).running.get_mut(task) {
            line.trim_end().clone_into(last);
        }
    }

    /// It ended; `cut_off`: it did not have to run although something that it reads from did.
    pub fn ended(&self, task: &str, outcome: &Outcome, cut_off: bool, echo: bool) {
        {
            let mut live = locked(&self.live);
            live.running.remove(task);
            live.ended += 1;
        }
        self.count(task, outcome, cut_off);
        match self.format {
            Format::Json => self.json(&outcome_as_json(task, outcome, cut_off)),
            Format::Text => {
                if let Some(text) = self.outcome_as_text(task, outcome, cut_off, echo) {
                    self.console.print(&text);
                }
            }
        }
    }

    fn count(&self, task: &str, outcome: &Outcome, cut_off: bool) {
        let mut counts = locked(&self.counts);
        match outcome {
            Outcome::Hit(produced) if cut_off => {
                counts.cut_off += 1;
                counts.saved += Duration::from_millis(produced.milliseconds);
            }
            Outcome::Hit(_) => counts.hit += 1,
            Outcome::Restored(produced, _) => {
                counts.restored += 1;
                counts.saved += Duration::from_millis(produced.milliseconds);
            }
            Outcome::Ran { same, .. } => {
                counts.ran += 1;
                counts.same += u64::from(*same);
            }
            Outcome::Nothing => {}
            Outcome::Failed(Failure::Changed(_)) => self.count_bad(&mut counts, task, Bad::Changed),
            Outcome::Failed(Failure::Interrupted) => counts.interrupted = true,
            Outcome::Failed(_) => self.count_bad(&mut counts, task, Bad::Failed),
        }
    }

    fn count_bad(&self, counts: &mut Counts, task: &str, bad: Bad) {
        *counts.of(bad) += 1;
        locked(&self.bad).insert(task.to_owned(), bad);
    }

    /// It was cancelled, and begins again.
    pub fn cancelled(&self, task: &str) {
        locked(&self.live).running.remove(task);
        match self.format {
            Format::Json => self.json(&json!({ "event": "ended", "task": task, "outcome": "cancelled" })),
            Format::Text => {
                let word = self.console.styled(NOTABLE, "cancelled");
                self.console.print(&format!("{word} {task}  what it reads has changed\n"));
            }
        }
    }

    /// It had ended, or was skipped, and is to be done again: what was told of it does not count any more, unless it ran.
    pub fn reopened(&self, task: &str) {
        let bad = locked(&self.bad).remove(task);
        if let Some(bad) = bad {
            *locked(&self.counts).of(bad) -= 1;
        }
        if !matches!(bad, Some(Bad::Skipped)) {
            locked(&self.live).ended -= 1;
        }
    }

    /// It did not start; `because` of the failure of another.
    pub fn skipped(&self, task: &str, because: Option<&str>) {
        self.count_bad(&mut locked(&self.counts), task, Bad::Skipped);
        match self.format {
            Format::Json => self.json(&json!({ "event": "skipped", "task": task, "because": because })),
            Format::Text if self.verbose => {
                let why = because.map(|because| format!("  needs {because}")).unwrap_or_default();
                self.console.print(&format!("{}  {task}{why}\n", self.console.styled(FAINT, "skipped ")));
            }
            Format::Text => {}
        }
    }

    fn outcome_as_text(&self, task: &str, outcome: &Outcome, cut_off: bool, echo: bool) -> Option<String> {
        let word = |style, word: &str| self.console.styled(style, &format!("{word:<8}"));
        Some(match outcome {
            Outcome::Hit(_) if !self.verbose => return None,
            Outcome::Nothing => return None,
            Outcome::Hit(_) if cut_off => format!("{}  {task}\n", word(FAINT, "cut off")),
            Outcome::Hit(_) => format!("{}  {task}\n", word(FAINT, "hit")),
            Outcome::Restored(_, paths) => {
                let paths = if *paths == 1 { "1 path".to_owned() } else { format!("{paths} paths") };
                format!("{}  {task}  {}\n", word(GOOD, "restored"), self.console.styled(FAINT, &paths))
            }
            Outcome::Ran { duration: time, same, not_recorded, tail, .. } => {
                let same = if *same { ", same result" } else { "" };
                let time = self.console.styled(FAINT, &format!("{}{same}", duration(*time)));
                let mut text = format!("{}  {task}  {time}\n", word(GOOD, "ran"));
                if echo {
                    text.push_str(&self.quoted(tail));
                }
                if let Some(reason) = not_recorded {
                    let _ = writeln!(
                        text,
                        "  {} it was not recorded: {reason}",
                        self.console.styled(NOTABLE, "warning:")
                    );
                }
                text
            }
            Outcome::Failed(failure) => self.failure_as_text(task, failure),
        })
    }

    fn failure_as_text(&self, task: &str, failure: &Failure) -> String {
        let failed = self.console.styled(BAD, "FAILED");
        let name = self.console.styled(NAME, task);
        let log = format!("fleche log {}", quote(task));
        match failure {
            Failure::Command { status, duration: time, tail, withheld } => {
                let how = Ended::describe(*status);
                let mut text = format!("{failed} {name} {how}, {} · {log}\n", duration(*time));
                text.push_str(&self.quoted(tail));
                if !withheld.is_empty() {
                    let _ = writeln!(
                        text,
                        "  {} the command names {}, which this task does not see; list it under `env` or `pass_env`",
                        self.console.styled(NOTABLE, "note:"),
                        withheld.join(", ")
                    );
                }
                text
            }
            Failure::Message(message) => format!("{failed} {name}: {message}\n"),
            Failure::Changed(paths) => format!(
                "{} {name}: {} changed while it ran; the result was not recorded, and it runs again next time\n",
                self.console.styled(BAD, "CHANGED"),
                paths.join(", ")
            ),
            Failure::Interrupted => format!("{} {name}\n", self.console.styled(NOTABLE, "interrupted")),
        }
    }

    fn quoted(&self, tail: &[String]) -> String {
        let bar = self.console.styled(FAINT, "|");
        let mut text = String::new();
        for line in &tail[tail.len().saturating_sub(SHOWN)..] {
            let _ = writeln!(text, "  {bar} {line}");
        }
        text
    }

    /// Takes the progress line away and tells the sums.
    pub fn finish(self) -> Counts {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.console.set_bar(None);
        let counts = locked(&self.counts).clone();
        let time = self.start.elapsed();
        match self.format {
            Format::Json => self.json(&json!({
                "event": "summary", "ran": counts.ran, "same_result": counts.same, "hit": counts.hit,
                "restored": counts.restored, "cut_off": counts.cut_off, "failed": counts.failed,
                "changed": counts.changed, "skipped": counts.skipped, "interrupted": counts.interrupted,
                "seconds": seconds(time), "saved_seconds": seconds(counts.saved),
            })),
            Format::Text => self.console.print(&format!("{}\n", self.summary(&counts, time))),
        }
        counts
    }

    fn summary(&self, counts: &Counts, time: Duration) -> String {
        let part = |count: u64, style, word: &str| {
            (count > 0).then(|| self.console.styled(style, &format!("{count} {word}")))
        };
        let mut parts: Vec<String> = [
            part(counts.ran, GOOD, "ran"),
            part(counts.hit, GOOD, "hit"),
            part(counts.restored, GOOD, "restored"),
            part(counts.cut_off, GOOD, "cut off"),
            part(counts.failed, BAD, "failed"),
            part(counts.changed, BAD, "changed while running"),
            part(counts.skipped, NOTABLE, "skipped"),
        ]
        .into_iter()
        .flatten()
        .collect();
        if counts.interrupted {
            parts.push(self.console.styled(NOTABLE, "interrupted"));
        }
        if parts.is_empty() {
            parts.push("nothing to do".to_owned());
        }
        let mut time = duration(time);
        if counts.saved >= Duration::from_millis(50) {
            let _ = write!(time, ", saved {}", duration(counts.saved));
        }
        parts.push(time);
        parts.join(" · ")
    }
}

impl Counts {
    fn of(&mut self, bad: Bad) -> &mut u64 {
        match bad {
            Bad::Failed => &mut self.failed,
            Bad::Changed => &mut self.changed,
            Bad::Skipped => &mut self.skipped,
        }
    }

    /// Whether everything came out well.
    pub fn is_good(&self) -> bool {
        self.failed == 0 && self.changed == 0 && self.skipped == 0
    }

    /// Whether a task was ended by an interruption.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted
    }
}

/// Drawn by a thread of its own ten times a second: `[163/200] 2 running · train[oslo] 0:42 epoch 7/20`.
fn progress_line(live: Arc<Mutex<Live>>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::term_like(Box::new(Terminal)));
    let style = ProgressStyle::with_template("{live}").unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.with_key("live", move |_: &ProgressState, to: &mut dyn std::fmt::Write| {
        let live = locked(&live);
        let _ = write!(to, "[{}/{}] {} running", live.ended, live.total, live.running.len());
        let longest = live.running.iter().min_by_key(|(_, (since, _))| *since);
        if let Some((task, (since, line))) = longest {
            let seconds = since.elapsed().as_secs();
            let line: String = line.chars().filter(|c| !c.is_control()).take(60).collect();
            let _ = write!(to, " · {task} {}:{:02} {line}", seconds / 60, seconds % 60);
        }
    }));
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn seconds(time: Duration) -> f64 {
    // Milliseconds are precise enough, and short.
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

/// A difference as an object.
pub fn change_as_json(change: &Change) -> Value {
    let mut object = json!({ "verb": change.verb, "what": change.what, "detail": change.detail });
    if let Some(ms) = change.written_ms {
        object["written_ms"] = ms.into();
    }
    object
}

/// A difference as a row of a table; `when`: with the time at which a file was written.
pub fn change_as_row(console: &Console, change: &Change, when: bool) -> Vec<String> {
    let style = match change.verb {
        "added" => GOOD,
        "removed" => BAD,
        _ => NOTABLE,
    };
    vec![
        format!("  {}", console.styled(style, &format!("{:<7}", change.verb))),
        change.what.clone(),
        match (change.written_ms.filter(|_| when).map(ago), change.detail.as_str()) {
            (None, detail) => detail.to_owned(),
            (Some(ago), "") => format!("written {ago}"),
            (Some(ago), detail) => format!("{detail}, written {ago}"),
        },
    ]
}

fn outcome_as_json(task: &str, outcome: &Outcome, cut_off: bool) -> Value {
    let mut event = json!({ "event": "ended", "task": task });
    let word = match outcome {
        Outcome::Hit(_) if cut_off => "cut off",
        Outcome::Hit(_) => "hit",
        Outcome::Restored(_, paths) => {
            event["paths"] = json!(paths);
            "restored"
        }
        Outcome::Ran { duration, same, not_recorded, .. } => {
            event["seconds"] = json!(seconds(*duration));
            event["same_result"] = json!(same);
            event["recorded"] = json!(not_recorded.is_none());
            "ran"
        }
        Outcome::Nothing => "nothing to run",
        Outcome::Failed(failure) => match failure {
            Failure::Command { status, duration, tail, withheld } => {
                event["seconds"] = json!(seconds(*duration));
                event["exit"] = json!(status.code());
                event["output"] = json!(tail);
                event["withheld"] = json!(withheld);
                "failed"
            }
            Failure::Message(message) => {
                event["message"] = json!(message);
                "failed"
            }
            Failure::Changed(paths) => {
                event["inputs"] = json!(paths);
                "changed"
            }
            Failure::Interrupted => "interrupted",
        },
    };
    event["outcome"] = json!(word);
    event
}
