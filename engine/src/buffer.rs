//! A buffer on the stack for what is short, on the hot path of every call.

use std::fmt;
use std::ops::Deref;

/// So many bytes need no allocation.
const INLINE: usize = 256;

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

    /// Room for `N` bytes behind what was added, if there is so much without an allocation; see [`Buffer::grow`].
    #[inline]
    pub(crate) fn room<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.inline[self.length..].first_chunk_mut().filter(|_| self.spilled.is_empty())
    }

    /// Adds so many of the bytes that were written into the [room](Buffer::room).
    #[inline]
    pub(crate) fn grow(&mut self, bytes: usize) {
        self.length = (self.length + bytes).min(INLINE);
    }

    /// Replaces a byte that was added.
    pub(crate) fn set(&mut self, at: usize, byte: u8) {
        let bytes = if self.spilled.is_empty() { &mut self.inline[..self.length] } else { &mut self.spilled };
        bytes[at] = byte;
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
        for step in [1, 7, 255, 256, 257, 500] {
            let mut buffer = Buffer::new();
            let mut plain = Vec::new();
            for round in 0..5_u8 {
                let bytes = vec![round; step];
                match buffer.room::<8>() {
                    Some(room) if step < 8 => {
                        room[..step].fill(round);
                        buffer.grow(step);
                    }
                    _ => buffer.extend(&bytes),
                }
                plain.extend_from_slice(&bytes);
                buffer.set(usize::from(round), 77);
                plain[usize::from(round)] = 77;
                assert_eq!(*buffer, *plain, "{step}");
            }
        }
    }
}
