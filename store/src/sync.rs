//! Locks and atomics of the parts that threads share: those of `parking_lot` and of the standard library.
//!
//! In this crate's tests each operation is also a place where `shuttle` may go on with another thread, if the test runs
//! under it. Outside of such a test they are what they are everywhere else.

#[cfg(not(test))]
pub(crate) use parking_lot::{Mutex, RwLock};
#[cfg(not(test))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize};
#[cfg(not(test))]
pub(crate) use std::thread::sleep;

#[cfg(test)]
pub(crate) use scheduled::*;

#[cfg(test)]
mod scheduled {
    use std::cell::Cell;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    thread_local! {
        /// Does shuttle run what runs on this thread?
        static SCHEDULED: Cell<bool> = const { Cell::new(false) };
        /// A race that a test plants, to see that it is found.
        static PLANTED: Cell<&'static str> = const { Cell::new("") };
    }

    /// Runs a test under shuttle, with a race planted or none.
    pub(crate) fn under_shuttle<T>(planted: &'static str, f: impl FnOnce() -> T) -> T {
        struct Restore;
        impl Drop for Restore {
            fn drop(&mut self) {
                SCHEDULED.set(false);
                PLANTED.set("");
            }
        }
        let _restore = Restore;
        SCHEDULED.set(true);
        PLANTED.set(planted);
        f()
    }

    pub(crate) fn is_scheduled() -> bool {
        SCHEDULED.get()
    }

    pub(crate) fn is_planted(race: &str) -> bool {
        PLANTED.get() == race
    }

    /// Another thread may go on here.
    fn point() {
        // Not while a panic unwinds: the scheduler may be the one that panics.
        if SCHEDULED.get() && !std::thread::panicking() {
            // An access that shuttle knows is a place where it decides.
            shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
        }
    }

    /// Waits for `attempt` to give something.
    fn wait<T>(attempt: impl Fn() -> Option<T>, block: impl FnOnce() -> T) -> T {
        point();
        if !SCHEDULED.get() || std::thread::panicking() {
            return block();
        }
        loop {
            match attempt() {
                Some(done) => return done,
                None => shuttle::thread::yield_now(),
            }
        }
    }

    pub(crate) fn sleep(time: Duration) {
        if SCHEDULED.get() {
            shuttle::thread::yield_now();
        } else {
            std::thread::sleep(time);
        }
    }

    #[derive(Default)]
    pub(crate) struct Mutex<T>(parking_lot::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(parking_lot::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> parking_lot::MutexGuard<'_, T> {
            wait(|| self.0.try_lock(), || self.0.lock())
        }

        pub(crate) fn try_lock(&self) -> Option<parking_lot::MutexGuard<'_, T>> {
            point();
            self.0.try_lock()
        }

        pub(crate) fn get_mut(&mut self) -> &mut T {
            self.0.get_mut()
        }
    }

    #[derive(Default)]
    pub(crate) struct RwLock<T>(parking_lot::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn read(&self) -> parking_lot::RwLockReadGuard<'_, T> {
            wait(|| self.0.try_read(), || self.0.read())
        }

        pub(crate) fn write(&self) -> parking_lot::RwLockWriteGuard<'_, T> {
            wait(|| self.0.try_write(), || self.0.write())
        }
    }

    macro_rules! atomics {
        ($($name:ident: $word:ty => $($method:ident($($argument:ident),*) $(-> $result:ty)?),*;)*) => {$(
            #[derive(Default)]
            pub(crate) struct $name(std::sync::atomic::$name);

            impl $name {
                pub(crate) const fn new(word: $word) -> Self {
                    Self(std::sync::atomic::$name::new(word))
                }

                $(pub(crate) fn $method(&self, $($argument: $word,)* order: Ordering) $(-> $result)? {
                    point();
                    self.0.$method($($argument,)* order)
                })*
            }
        )*};
    }

    atomics! {
        AtomicBool: bool => store(word), swap(word) -> bool;
        AtomicU32: u32 => load() -> u32, store(word);
        AtomicU64: u64 => load() -> u64, store(word), fetch_max(word) -> u64;
        AtomicUsize: usize => load() -> usize, fetch_max(word) -> usize;
    }
}
