//! A buffer on the stack for what is short, on the hot path of every call.

use std::fmt;
use std::ops::Deref;

/// So many bytes need no allocation.
const INLINE: usize = 160;

/// Bytes that are only ever added to.
pub(crate) struct Buffer {
    inline: [u8; INLINE],
    /// Of the inline ones; they are in `spilled` once that is not empty.
    length: usize,
    spilled: Vec<u8>,
}

impl Buffer {
    #[inline]
    pub(crate) fn new() -> Self {
        Self { inline: [0; INLINE], length: 0, spilled: Vec::new() }
    }

    /// Appends bytes.
    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if self.spilled.is_empty() && end <= INLINE {
            self.inline[self.length..end].copy_from_slice(bytes);
            self.length = end;
        } else {
            self.spill(bytes);
        }
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() {
            self.spilled.extend_from_slice(&self.inline[..self.length]);
        }
        self.spilled.extend_from_slice(bytes);
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        if self.spilled.is_empty() { &self.inline[..self.length] } else { &self.spilled }
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_added_however_much() {
        for step in [1, 7, 159, 160, 161, 500] {
            let mut buffer = Buffer::new();
            let mut plain = Vec::new();
            for round in 0..5_u8 {
                let bytes = vec![round; step];
                buffer.extend(&bytes);
                plain.extend_from_slice(&bytes);
                assert_eq!(*buffer, *plain, "{step}");
            }
        }
    }
}
