//! The filter of an index table: says of most leading bits that are not in the table that they are not, for one look
//! at far less memory than the buckets take. A store has up to a dozen tables, and a miss asks all of them.
//!
//! A Bloom filter in blocks of one word: leading bits have four bits in one word of 64. Words are in the order of
//! leading bits, as buckets are, so that it is written as a stream.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::table::home;

/// Entries that share a word, on average: about one in thirty others passes.
const SHARE: u64 = 8;

/// So many words are gathered before they are written.
const WINDOW: usize = 1 << 14;

/// How many words a table of so many entries gets. A whole number of cache lines.
pub(crate) fn words(entries: u64) -> u64 {
    entries.div_ceil(SHARE).next_multiple_of(8)
}

/// The four bits of some leading bits, by their lowest ones: the highest choose the word.
pub(crate) fn bits(lead: u64) -> u64 {
    1 << (lead & 63) | 1 << (lead >> 6 & 63) | 1 << (lead >> 12 & 63) | 1 << (lead >> 18 & 63)
}

/// A filter that is being written.
pub(crate) struct FilterWriter {
    /// Where in the file it begins.
    start: u64,
    words: u64,
    /// The words from `first` on. Those before are written: leading bits only rise.
    window: Vec<u64>,
    first: u64,
}

impl FilterWriter {
    pub(crate) fn new(start: u64, words: u64) -> Self {
        Self { start, words, window: vec![0], first: 0 }
    }

    pub(crate) fn add(&mut self, file: &File, lead: u64) -> io::Result<()> {
        let word = home(lead, self.words);
        let mut at = usize::try_from(word - self.first).unwrap_or(usize::MAX);
        if at >= WINDOW {
            self.flush(file)?;
            self.first = word;
            self.window.clear();
            at = 0;
        }
        if self.window.len() <= at {
            self.window.resize(at + 1, 0);
        }
        self.window[at] |= bits(lead);
        Ok(())
    }

    /// Writes what is gathered. Words that no entry has are zero, as a file is where nothing was written.
    pub(crate) fn flush(&mut self, file: &File) -> io::Result<()> {
        let bytes: Vec<u8> = self.window.iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all_at(&bytes, self.start + self.first * 8)
    }
}
