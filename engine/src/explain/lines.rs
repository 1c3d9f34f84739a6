//! How many lines of a text are different, where its old content is still stored.

use fleche_store::{Digest, Store, ValueDigest};
use similar::{ChangeTag, TextDiff};

/// Texts longer than this are not compared line by line.
pub(super) const LONGEST: u64 = 8 << 20;

/// What can be said of the lines of an input that is different.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lines {
    /// So many.
    Counted {
        /// How many lines it had.
        before: usize,
        /// How many it has.
        after: usize,
        /// How many of these are new.
        added: usize,
        /// How many of those are gone.
        removed: usize,
    },
    /// The old content is not stored: that there is a difference is all that is known.
    NotStored,
    /// One of the two is no text, or they are too long to compare.
    NotText,
}

/// Compares the content that the store has under `before` with this one. The digest of a file's content is the
/// BLAKE3 digest of its bytes.
pub fn compare(store: &Store, before: &Digest, after: &[u8]) -> Lines {
    let before = ValueDigest::new(*before);
    let length = store.value_length(&before, fleche_store::TypeFingerprint::BLOB).ok().flatten();
    let Some(length) = length else { return Lines::NotStored };
    if length.max(after.len() as u64) > LONGEST {
        return Lines::NotText;
    }
    let Some(old) = store.blob(&before).ok().flatten() else { return Lines::NotStored };
    let text = |bytes| std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    let (Some(old), Some(new)) = (text(&*old), text(after)) else { return Lines::NotText };
    let diff = TextDiff::from_lines(old, new);
    let count = |tag| diff.iter_all_changes().filter(|change| change.tag() == tag).count();
    Lines::Counted {
        before: old.lines().count(),
        after: new.lines().count(),
        added: count(ChangeTag::Insert),
        removed: count(ChangeTag::Delete),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_where_the_old_text_is_stored() {
        let store = Store::memory();
        let old = store.put_blob_bytes(b"a\nb\nc\n").unwrap().digest();
        assert_eq!(
            compare(&store, &old, b"a\nx\ny\nc\n"),
            Lines::Counted { before: 3, after: 4, added: 2, removed: 1 }
        );
        assert_eq!(compare(&store, &old, b"a\0"), Lines::NotText);
        let binary = store.put_blob_bytes(b"\xff\xfe").unwrap().digest();
        assert_eq!(compare(&store, &binary, b"a"), Lines::NotText);
        assert_eq!(compare(&store, &Digest::of(b"never stored"), b"a"), Lines::NotStored);
    }
}
