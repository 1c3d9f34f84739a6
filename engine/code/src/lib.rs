//! What code a function reaches, and its digest.
//!
//! Sources go in, digests come out; nothing is compiled and cargo is not asked. The macro `#[fleche]` uses it while the
//! compiler runs, tools use it to show what a digest covers. It must never say that code is unchanged when it is not:
//! where it cannot tell, it counts more.

#[cfg(feature = "analysis")]
pub mod assets;
#[cfg(feature = "analysis")]
pub mod calls;
#[cfg(feature = "analysis")]
pub mod closure;
#[cfg(feature = "analysis")]
pub mod compiler;
#[cfg(feature = "analysis")]
mod cut;
#[cfg(feature = "analysis")]
mod declared;
#[cfg(feature = "analysis")]
pub mod facts;
#[cfg(feature = "analysis")]
mod function;
#[cfg(feature = "analysis")]
pub mod impls;
#[cfg(feature = "analysis")]
pub mod items;
#[cfg(feature = "analysis")]
pub mod lexer;
#[cfg(feature = "analysis")]
mod listed;
mod listing;
#[cfg(feature = "analysis")]
pub mod load;
#[cfg(feature = "analysis")]
pub mod lock;
#[cfg(feature = "analysis")]
mod marks;
#[cfg(feature = "analysis")]
pub mod modules;
#[cfg(feature = "analysis")]
pub mod names;
#[cfg(feature = "analysis")]
pub mod package;
#[cfg(feature = "analysis")]
pub mod references;
pub mod report;
#[cfg(feature = "analysis")]
mod scan;
#[cfg(feature = "analysis")]
pub mod scope;
#[cfg(feature = "analysis")]
pub mod session;
#[cfg(feature = "analysis")]
pub mod shared;
#[cfg(feature = "analysis")]
pub mod sources;
#[cfg(feature = "analysis")]
mod spelt;
#[cfg(feature = "analysis")]
pub mod survey;
#[cfg(feature = "analysis")]
mod texts;
#[cfg(feature = "analysis")]
mod walk;
#[cfg(feature = "analysis")]
pub mod whole;
#[cfg(feature = "analysis")]
pub mod world;

#[cfg(feature = "analysis")]
use lexer::Tokens;

/// A digest of code: BLAKE3 of its tokens and of what else it depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeDigest(pub [u8; 32]);

#[cfg(feature = "analysis")]
impl CodeDigest {
    /// The digest of a function's own tokens: the level `"body"`.
    pub fn of_body(tokens: &str) -> Self {
        let tokens = Tokens::lex(tokens);
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"fleche body 1");
        tokens.feed(0..tokens.len(), &mut hasher);
        Self(*hasher.finalize().as_bytes())
    }

    /// The digest of the function that has so many equal ones before it in its place.
    #[must_use]
    pub fn of_twin(self, before: u32) -> Self {
        if before == 0 { self } else { self.within(blake3::hash(&before.to_le_bytes())) }
    }

    /// The digest of a function's own tokens with that of all the code it may reach.
    #[must_use]
    pub fn within(self, whole: blake3::Hash) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(whole.as_bytes());
        Self(*hasher.finalize().as_bytes())
    }
}
