//! Shows the warnings of the engine and the store, such as a cache that cannot be written: `warning: what: why`.
//! They go to standard error; spans and everything less urgent are not looked at.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Shows warnings from now on, unless the program has arranged for that itself.
pub fn show() {
    let _ = tracing::subscriber::set_global_default(Warnings::to(std::io::stderr()));
}

struct Warnings {
    to: Mutex<Box<dyn Write + Send>>,
}

impl Warnings {
    fn to(to: impl Write + Send + 'static) -> Warnings {
        Warnings { to: Mutex::new(Box::new(to)) }
    }
}

#[derive(Default)]
struct Text {
    message: String,
    details: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "error" => write!(self.details, ": {value:?}"),
            name => write!(self.details, " ({name} {value:?})"),
        };
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= Level::WARN
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::WARN)
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text::default();
        event.record(&mut text);
        let line = format!("warning: {}{}\n", text.message, text.details);
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = to.write_all(line.as_bytes());
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn warnings_are_shown_with_their_reason_and_nothing_else_is() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("out");
        let subscriber = Warnings::to(fs::File::create(&path).expect("made"));
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("span").entered();
            tracing::info!("beside the point");
            tracing::warn!(error = %"no space", store = %"/s", "the cache is faulty");
        });
        assert_eq!(
            fs::read_to_string(path).expect("reads"),
            "warning: the cache is faulty: no space (store /s)\n"
        );
    }
}
