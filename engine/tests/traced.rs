//! The spans and events of `tracing`. One test alone in its program: whether a place in the code is of interest to
//! anybody is decided once for all threads, by the first to come.

mod common;

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::Project;
use fleche::fleche;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

#[fleche]
fn words(path: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64)
}

/// Writes spans and events down, indented by the spans that are entered.
#[derive(Default)]
struct Written {
    lines: Arc<Mutex<Vec<String>>>,
    names: Mutex<Vec<(&'static str, String)>>,
    depth: AtomicU64,
}

struct Fields<'a>(&'a mut String);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" || field.name() == "function" {
            let text = format!("{value:?}");
            let _ = write!(self.0, "{}", text.trim_matches('"').rsplit("::").next().unwrap_or_default());
        }
    }
}

impl Subscriber for Written {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "fleche"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = String::new();
        span.record(&mut Fields(&mut text));
        let mut names = self.names.lock().unwrap();
        names.push((span.metadata().name(), text));
        Id::from_u64(names.len() as u64)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut names = self.names.lock().unwrap();
        let index = usize::try_from(span.into_u64()).unwrap() - 1;
        values.record(&mut Fields(&mut names[index].1));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = String::new();
        event.record(&mut Fields(&mut text));
        self.write(&text);
    }

    fn enter(&self, span: &Id) {
        let index = usize::try_from(span.into_u64()).unwrap() - 1;
        let (name, of) = self.names.lock().unwrap()[index].clone();
        self.write(format!("{name} {of}").trim_end());
        self.depth.fetch_add(1, Ordering::SeqCst);
    }

    fn exit(&self, _: &Id) {
        self.depth.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Written {
    fn write(&self, text: &str) {
        let depth = usize::try_from(self.depth.load(Ordering::SeqCst)).unwrap();
        self.lines.lock().unwrap().push(format!("{}{text}", "  ".repeat(depth)));
    }
}

#[test]
fn a_subscriber_of_tracing_sees_spans_around_runs_and_verifications() {
    let mut project = Project::new();
    let book = project.write("book", "one two");
    let written = Written::default();
    let lines = written.lines.clone();
    let root = format!("{}/", project.root().display());
    let told = || -> Vec<String> {
        std::mem::take(&mut *lines.lock().unwrap()).iter().map(|line| line.replace(&root, "")).collect()
    };
    tracing::subscriber::with_default(written, || {
        words(&book).unwrap();
        assert_eq!(
            told(),
            [
                "verify",
                r#"words("book"): began"#,
                "run words",
                r#"words("book"): stored, 8 bytes"#,
                r#"words("book"): ran"#,
            ]
        );
        project.restart();
        project.write("book", "one");
        words(&book).unwrap();
        let told = told();
        assert_eq!(told[1], r#"words("book"): stale because book is different"#, "{told:?}");
        assert_eq!(told.iter().filter(|line| line.starts_with("run words")).count(), 1);
    });
    project.write("book", "one two three");
    words(&book).unwrap();
    assert!(told().is_empty());
}
