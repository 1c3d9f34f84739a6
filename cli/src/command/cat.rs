//! `fleche cat`: the bytes of a stored value, such as an earlier content of an output.

use fleche_store::{Named, TypeFingerprint};

use super::{Result, Session, resolve, store};
use crate::arguments::Show;
use crate::diagnostic::Diagnostic;
use crate::host::Exit;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Show) -> Result {
    let project = session.project()?;
    let (_cache, store) = store(&project, false)?;
    let Named::Value(digest, fingerprint) = resolve(&store, &arguments.digest)? else {
        return Err(vec![
            Diagnostic::new(format!("{} is a call, not a value", arguments.digest))
                .help("`fleche show` shows it"),
        ]);
    };
    let console = &session.host.console;
    if fingerprint != TypeFingerprint::BLOB && console.is_terminal() {
        return Err(vec![
            Diagnostic::new(format!(
                "{} is an archived value, which only its program can read",
                arguments.digest
            ))
            .help("redirect it into a file to have its bytes"),
        ]);
    }
    match store.value(&digest, fingerprint) {
        Ok(Some(bytes)) => {
            console.print_bytes(&bytes);
            Ok(Exit::Done)
        }
        Ok(None) => Err(vec![Diagnostic::new(format!("the cache no longer has {}", arguments.digest))]),
        Err(error) => Err(vec![Diagnostic::new(format!("the cache cannot be read: {error}"))]),
    }
}
