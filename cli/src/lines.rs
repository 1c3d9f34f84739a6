//! How many lines a text has, for `why`; counted once for each content and kept in the store beside it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use fleche_store::{Digest, Store};

/// Kind of the notes that hold counts.
const NOTE: u16 = 0x4c4e;
/// Longer files are not read only for being counted.
const LONGEST: u64 = 64 << 20;

/// The number of lines of the file, whose content has this digest; `None` for what is not a text, or too long.
pub fn count(path: &Path, digest: &Digest, store: Option<&Store>) -> Option<u64> {
    let known = store.and_then(|store| store.note(NOTE, digest).ok().flatten());
    if let Some(known) = known {
        return <[u8; 8]>::try_from(known).ok().map(u64::from_le_bytes);
    }
    let lines = read(path).ok().flatten();
    if let Some(store) = store {
        // A note that cannot be written is counted again next time.
        let _ = store.put_note(
            NOTE,
            digest,
            &lines.map(|lines| lines.to_le_bytes().to_vec()).unwrap_or_default(),
        );
    }
    lines
}

fn read(path: &Path) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > LONGEST {
        return Ok(None);
    }
    let (mut lines, mut last, mut buffer) = (0, b'\n', vec![0; 64 * 1024]);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(end) = buffer[..read].last() else { break };
        if buffer[..read].contains(&0) {
            return Ok(None);
        }
        last = *end;
        lines += buffer[..read].split(|byte| *byte == b'\n').count() as u64 - 1;
    }
    Ok(Some(lines + u64::from(last != b'\n')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_texts_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("f");
        let lines = |content: &[u8]| {
            std::fs::write(&path, content).expect("written");
            read(&path).expect("reads")
        };
        assert_eq!(lines(b""), Some(0));
        assert_eq!(lines(b"a\nb"), Some(2));
        assert_eq!(lines(b"a\nb\n"), Some(2));
        assert_eq!(lines(b"a\0\n"), None);
    }
}
