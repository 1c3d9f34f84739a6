//! Explanations as text for people, and as JSON.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Difference, Explanation, How, Lines, Standing, Step};

impl Difference {
    /// In one word: `changed`, `added`, `removed`.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Input(change) => match change.how {
                How::Changed => "changed",
                How::Appeared => "added",
                How::Vanished => "removed",
                How::Hidden => "hidden",
            },
            Self::Code(_) | Self::Result { .. } => "changed",
            Self::Below { .. } => "stale",
            Self::Unknown { .. } => "unknown",
            Self::Invalidated { .. } => "forced",
        }
    }

    /// What is different: an input's name, a call.
    pub fn what(&self) -> String {
        match self {
            Self::Input(change) => change.name.clone(),
            Self::Code(_) => "code".into(),
            Self::Result { name, .. } => format!("result of {name}"),
            Self::Below { name, .. } | Self::Unknown { name, .. } => name.clone(),
            Self::Invalidated { .. } => "invalidated by hand".into(),
        }
    }

    /// From what to what.
    pub fn detail(&self) -> String {
        match self {
            Self::Input(change) => {
                let mut parts = Vec::new();
                match (change.how, change.lines, change.after) {
                    (How::Hidden, ..) => parts.push("cannot be looked at here".to_owned()),
                    (How::Appeared | How::Vanished, ..) => {}
                    (_, Lines::Counted { before, after, added, removed }, _) => {
                        parts.push(format!("{before} → {after} lines (+{added} −{removed})"));
                    }
                    (_, lines, Some(after)) => {
                        parts.push(format!("{} → {}", change.before.short(), after.short()));
                        if lines == Lines::NotStored {
                            parts.push("the old content is not stored".to_owned());
                        }
                    }
                    (_, _, None) => {}
                }
                let within = match &change.within[..] {
                    [] => String::new(),
                    names @ ([_] | [_, _] | [_, _, _]) => format!("in it {} ", names.join(", ")),
                    [a, b, rest @ ..] => format!("in it {a}, {b} and {} more ", rest.len()),
                };
                parts.extend(change.modified_ms.map(|ms| format!("{within}written {}", ago(ms))));
                parts.join(", ")
            }
            Self::Code(change) => {
                let mut parts = Vec::new();
                if let Some((before, after)) = &change.version {
                    parts.push(format!("version {before:?} → {after:?}"));
                }
                match &change.items {
                    Some(items) => parts.extend(items.iter().map(ToString::to_string)),
                    None if change.version.is_none() => {
                        parts.push("what it was is not known".to_owned());
                    }
                    None => {}
                }
                parts.join("; ")
            }
            Self::Result { before, after, .. } => format!("{} → {}", before.short(), after.short()),
            Self::Below { .. } => "see below".into(),
            Self::Unknown { .. } => "this program has no such function, or it is generic".into(),
            Self::Invalidated { at_ms } => ago(*at_ms),
        }
    }

    fn as_json(&self) -> Value {
        let mut value = json!({ "verb": self.verb(), "what": self.what(), "detail": self.detail() });
        match self {
            Self::Input(change) => {
                value["kind"] = "input".into();
                value["before"] = change.before.to_string().into();
                value["after"] = change.after.map(|after| after.to_string()).into();
                value["modified_ms"] = change.modified_ms.into();
                if !change.within.is_empty() {
                    value["within"] = json!(change.within);
                }
                if let Lines::Counted { before, after, added, removed } = change.lines {
                    value["lines"] =
                        json!({ "before": before, "after": after, "added": added, "removed": removed });
                }
            }
            Self::Code(change) => {
                value["kind"] = "code".into();
                value["items"] = change
                    .items
                    .as_ref()
                    .map(|items| items.iter().map(ToString::to_string).collect::<Vec<_>>())
                    .into();
            }
            Self::Result { call, before, after, .. } => {
                value["kind"] = "result".into();
                value["call"] = call.to_string().into();
                value["before"] = before.to_string().into();
                value["after"] = after.to_string().into();
            }
            Self::Below { call, .. } | Self::Unknown { call, .. } => {
                value["kind"] = "call".into();
                value["call"] = call.to_string().into();
            }
            Self::Invalidated { at_ms } => {
                value["kind"] = "invalidated".into();
                value["at_ms"] = (*at_ms).into();
            }
        }
        value
    }
}

impl Standing {
    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Pending => "pending",
            Self::Recomputed => "recomputed",
        }
    }
}

impl Step {
    /// The first line: how it stands, and against what.
    pub fn headline(&self) -> String {
        let standing = match self.standing {
            Standing::New => "would run: no record of it is kept",
            Standing::Fresh => "up to date",
            Standing::Stale => "would run",
            Standing::Pending => "would run if a call below it makes something else",
            Standing::Recomputed => "up to date, with another result than before",
        };
        let against = match &self.against {
            Some(against) if self.standing == Standing::Fresh => {
                format!("; last ran {}", ago(against.created_ms))
            }
            Some(against) => {
                format!(
                    "; against its record {}, made {}",
                    against.key.digest().short(),
                    ago(against.created_ms)
                )
            }
            None if self.standing == Standing::Recomputed => "; its earlier record is gone".to_owned(),
            None => String::new(),
        };
        let code = if self.code_known || self.standing == Standing::New {
            ""
        } else {
            "; its code is not part of this program and was not compared"
        };
        format!("{}: {standing}{against}{code}", self.name)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(to, "{}", self.headline())?;
        let width = self.differences.iter().map(|one| one.what().chars().count()).max().unwrap_or(0).min(40);
        for difference in &self.differences {
            let line =
                format!("  {:8} {:width$}  {}", difference.verb(), difference.what(), difference.detail());
            writeln!(to, "{}", line.trim_end())?;
        }
        match self.same {
            0 => Ok(()),
            1 => writeln!(to, "  same     1 dependency"),
            same => writeln!(to, "  same     {same} dependencies"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.steps.iter().try_for_each(|step| step.fmt(to))
    }
}

impl Explanation {
    /// One object with the steps; a difference that has a `call` is told of by the step of that call, if there is one.
    pub fn to_json(&self) -> Value {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|step| {
                let differences: Vec<Value> = step.differences.iter().map(Difference::as_json).collect();
                json!({
                    "call": step.call.to_string(),
                    "name": step.name,
                    "standing": step.standing.word(),
                    "against": step.against.as_ref().map(|against| json!({
                        "key": against.key.to_string(),
                        "result": against.result.to_string(),
                        "created_ms": against.created_ms,
                    })),
                    "differences": differences,
                    "same": step.same,
                    "code_known": step.code_known,
                })
            })
            .collect();
        json!({ "steps": steps })
    }
}

/// How long ago a time in milliseconds since 1970 was, roughly: `12 s ago`.
pub fn ago(ms: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    let seconds = i64::try_from(now).unwrap_or(i64::MAX).saturating_sub(ms) / 1000;
    match seconds {
        ..1 => "just now".into(),
        1..120 => format!("{seconds} s ago"),
        120..7200 => format!("{} min ago", seconds / 60),
        7200..172_800 => format!("{} h ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}
