//! The locks of the parts whose interleavings are checked: in unit tests with the feature `shuttle` they are those
//! of a scheduler that tries one interleaving after the other, everywhere else `parking_lot`'s.
//!
//! Nothing but locks belongs here, and nothing here may behave differently in the two builds.

#[cfg(not(all(test, feature = "shuttle")))]
mod real {
    pub(crate) use parking_lot::{Condvar, Mutex, RwLock};

    /// A static that is made when it is first used.
    macro_rules! global {
        ($(#[$about:meta])* static ref $name:ident: $type:ty = $value:expr;) => {
            $(#[$about])*
            static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
        };
    }
    pub(crate) use global;
}

#[cfg(all(test, feature = "shuttle"))]
mod real {
    use std::ops::{Deref, DerefMut};

    /// A static that each execution makes anew.
    pub(crate) use shuttle::lazy_static as global;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(shuttle::sync::Mutex<T>);

    /// `None` only while a condition variable has it.
    pub(crate) struct Guard<'a, T>(Option<shuttle::sync::MutexGuard<'a, T>>);

    impl<T> Mutex<T> {
        pub(crate) fn lock(&self) -> Guard<'_, T> {
            Guard(Some(self.0.lock().unwrap()))
        }
    }

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            self.0.as_ref().unwrap()
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            self.0.as_mut().unwrap()
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct RwLock<T>(shuttle::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(shuttle::sync::RwLock::new(value))
        }

        pub(crate) fn read(&self) -> shuttle::sync::RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub(crate) fn write(&self) -> shuttle::sync::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }

    #[derive(Default)]
    pub(crate) struct Condvar(shuttle::sync::Condvar);

    impl Condvar {
        pub(crate) fn wait<T>(&self, guard: &mut Guard<'_, T>) {
            guard.0 = guard.0.take().map(|held| self.0.wait(held).unwrap());
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}

pub(crate) use real::*;
