//! Places where tests stop a process to look at what it has done so far. Nothing at all outside of this crate's tests.

#[cfg(not(test))]
#[inline]
pub(crate) fn at(_place: &'static str) {}

#[cfg(test)]
pub(crate) use hooks::{at, with};

#[cfg(test)]
mod hooks {
    use std::cell::RefCell;

    type Hook = Box<dyn FnMut(&'static str)>;

    thread_local! {
        static HOOK: RefCell<Option<Hook>> = const { RefCell::new(None) };
    }

    /// Tells the test which place this thread has come to.
    pub(crate) fn at(place: &'static str) {
        // Taken out while it runs: it may come to such places itself.
        let hook = HOOK.take();
        if let Some(mut hook) = hook {
            hook(place);
            HOOK.set(Some(hook));
        }
    }

    /// Runs `f`, calling `hook` at each place.
    pub(crate) fn with<T>(hook: impl FnMut(&'static str) + 'static, f: impl FnOnce() -> T) -> T {
        HOOK.set(Some(Box::new(hook)));
        let result = f();
        HOOK.set(None);
        result
    }
}
