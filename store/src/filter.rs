//! The filter of an index table: says of most leading bits that are not in the table that they are not, for one look
//! at far less memory than the buckets take. A store has up to a dozen tables, and a miss asks all of them.
//!
//! A Bloom filter in blocks of one word: leading bits have four bits in one word of 64. Words are in the order of
//! leading bits, as buckets are, so that it is written as a stream.

use std::fs::File;
use std::io;

use crate::os::FileExt as _;
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

/// A filter that is being written. Every word of it is, zeros too: on a full disk a hole in a mapped file is a trap.
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
        Self { start, words, window: Vec::new(), first: 0 }
    }

    pub(crate) fn add(&mut self, file: &File, lead: u64) -> io::Result<()> {
        let word = home(lead, self.words);
        self.reach(file, word + 1)?;
        if let Some(last) = self.window.last_mut() {
            *last |= bits(lead);
        }
        Ok(())
    }

    /// Goes on to the word before `end`, writing what is done with.
    fn reach(&mut self, file: &File, end: u64) -> io::Result<()> {
        while self.first + (WINDOW as u64) < end {
            self.window.resize(WINDOW, 0);
            self.write(file)?;
        }
        self.window.resize(usize::try_from(end - self.first).unwrap_or(WINDOW), 0);
        Ok(())
    }

    fn write(&mut self, file: &File) -> io::Result<()> {
        let bytes: Vec<u8> = self.window.iter().flat_map(|word| word.to_le_bytes()).collect();
        file.write_all_at(&bytes, self.start + self.first * 8)?;
        self.first += self.window.len() as u64;
        self.window.clear();
        Ok(())
    }

    /// Writes the rest.
    pub(crate) fn finish(&mut self, file: &File) -> io::Result<()> {
        self.reach(file, self.words)?;
        self.write(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_there_and_every_word_is_written() {
        let words = 3 * WINDOW as u64 + 8;
        for leads in [vec![], vec![0], vec![u64::MAX], vec![5, 5, 1 << 62, u64::MAX - 7]] {
            let file = tempfile::tempfile().unwrap();
            let mut writer = FilterWriter::new(64, words);
            for lead in &leads {
                writer.add(&file, *lead).unwrap();
            }
            writer.finish(&file).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 64 + words * 8);
            let mut set = 0;
            for word in 0..words {
                let mut bytes = [0; 8];
                file.read_exact_at(&mut bytes, 64 + word * 8).unwrap();
                let here = leads.iter().filter(|lead| home(**lead, words) == word);
                let expected = here.fold(0, |all, lead| all | bits(*lead));
                assert_eq!(u64::from_le_bytes(bytes), expected);
                set += u64::from(expected != 0);
            }
            assert_eq!(set == 0, leads.is_empty());
        }
    }
}
