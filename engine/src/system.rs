//! The system as tracked reads see it: the one door through which they look at files, the clock, the environment.
//!
//! Nothing here decides what is an input or remembers anything. No call may block on a pipe or a device. In tests a
//! double can stand in the door: it makes errors, short reads and coarse stamps, and changes files between two looks.

#![allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "one door, and a double may refuse")]

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::stamp::Stamp;

#[cfg(test)]
pub(crate) mod double;

/// What is found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    File,
    Directory,
    Link,
    /// A pipe, a socket, a device: reading it is no observation that can be made again.
    Special(&'static str),
}

/// What the system says of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) kind: Kind,
    /// Permission bits, where there are such; else whether it is read-only.
    pub(crate) mode: u32,
    pub(crate) stamp: Stamp,
}

impl Status {
    pub(crate) fn is_executable(&self) -> bool {
        cfg!(unix) && self.kind == Kind::File && self.mode & 0o111 != 0
    }
}

/// What is asked of the system, for the double.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(not(test), expect(dead_code, reason = "only the double asks"))]
pub(crate) enum Op {
    Status,
    Open,
    Read,
    List,
    Link,
}

/// The door.
#[derive(Debug, Default)]
pub(crate) struct System {
    #[cfg(test)]
    double: Option<std::sync::Arc<double::Double>>,
}

impl System {
    #[cfg(test)]
    pub(crate) fn with(double: std::sync::Arc<double::Double>) -> Self {
        Self { double: Some(double) }
    }

    #[cfg(test)]
    fn ask(&self, op: Op, path: &Path) -> io::Result<()> {
        self.double.as_ref().map_or(Ok(()), |double| double.ask(op, path))
    }

    #[cfg(not(test))]
    #[inline]
    fn ask(&self, _: Op, _: &Path) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn seen(&self, status: Status) -> Status {
        self.double.as_ref().map_or(status, |double| double.coarsen(status))
    }

    #[cfg(not(test))]
    #[inline]
    fn seen(&self, status: Status) -> Status {
        status
    }

    /// What is at the end of all links.
    pub(crate) fn status(&self, path: &Path) -> io::Result<Status> {
        self.ask(Op::Status, path)?;
        Ok(self.seen(status_of(&fs::metadata(path)?)))
    }

    /// What is there itself, be it a link.
    pub(crate) fn link_status(&self, path: &Path) -> io::Result<Status> {
        self.ask(Op::Status, path)?;
        Ok(self.seen(status_of(&fs::symlink_metadata(path)?)))
    }

    /// Opens for reading, without waiting for a writer should it be a pipe by now.
    pub(crate) fn open(&self, path: &Path) -> io::Result<Handle> {
        self.ask(Op::Open, path)?;
        let mut options = File::options();
        options.read(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
            options.custom_flags(flags.bits().cast_signed());
        }
        let file = options.open(path)?;
        Ok(Handle {
            file,
            #[cfg(test)]
            double: self.double.clone(),
            #[cfg(test)]
            path: path.to_owned(),
        })
    }

    /// Opens a directory, to see what is in it.
    pub(crate) fn folder(&self, path: &Path) -> io::Result<Folder<'_>> {
        self.ask(Op::List, path)?;
        Folder::open(self, path)
    }

    /// The text of a link.
    pub(crate) fn link(&self, path: &Path) -> io::Result<PathBuf> {
        self.ask(Op::Link, path)?;
        fs::read_link(path)
    }

    /// The working directory.
    pub(crate) fn here(&self) -> io::Result<PathBuf> {
        std::env::current_dir()
    }

    /// A variable of the environment.
    pub(crate) fn variable(&self, name: &OsStr) -> Option<OsString> {
        std::env::var_os(name)
    }

    /// The clock.
    pub(crate) fn now(&self) -> SystemTime {
        #[cfg(test)]
        if let Some(double) = &self.double {
            return double.now();
        }
        SystemTime::now()
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, duration: std::time::Duration) {
        #[cfg(test)]
        if let Some(double) = &self.double {
            return double.wait(duration);
        }
        std::thread::sleep(duration);
    }

    /// Whether names that differ in case only are the same file here, as a rule.
    pub(crate) fn folds_case(&self) -> bool {
        #[cfg(test)]
        if let Some(double) = &self.double {
            return double.folds_case();
        }
        cfg!(any(windows, target_vendor = "apple"))
    }
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) file: File,
    #[cfg(test)]
    double: Option<std::sync::Arc<double::Double>>,
    #[cfg(test)]
    path: PathBuf,
}

impl Handle {
    pub(crate) fn status(&self) -> io::Result<Status> {
        let status = status_of(&self.file.metadata()?);
        #[cfg(test)]
        if let Some(double) = &self.double {
            double.ask(Op::Status, &self.path)?;
            return Ok(double.coarsen(status));
        }
        Ok(status)
    }
}

impl io::Read for Handle {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        #[cfg(test)]
        if let Some(double) = &self.double {
            double.ask(Op::Read, &self.path)?;
            let end = double.shorten(buffer.len());
            return self.file.read(&mut buffer[..end]);
        }
        self.file.read(buffer)
    }
}

impl io::Seek for Handle {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn status_of(metadata: &fs::Metadata) -> Status {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        unix::status(&Raw {
            mode: metadata.mode(),
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
    #[cfg(not(unix))]
    {
        let kind = if metadata.is_symlink() {
            Kind::Link
        } else if metadata.is_dir() {
            Kind::Directory
        } else if metadata.is_file() {
            Kind::File
        } else {
            Kind::Special("special file")
        };
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
            .and_then(|time| i64::try_from(time.as_nanos()).ok())
            .unwrap_or_default();
        // Without inode and time of change a stamp says too little: it never counts as settled.
        let stamp = Stamp { device: 0, inode: 0, size: metadata.len(), modified, changed: i64::MAX };
        Status { kind, mode: u32::from(metadata.permissions().readonly()), stamp }
    }
}

#[cfg(not(unix))]
pub(crate) use portable::Folder;
#[cfg(unix)]
pub(crate) use unix::Folder;
#[cfg(unix)]
use unix::Raw;

/// Looks into directories by descriptor: names are resolved against it, which is quicker than from the root and
/// stays in one directory though that is renamed.
#[cfg(unix)]
mod unix {
    use std::ffi::{CString, OsStr, OsString};
    use std::io;
    use std::os::fd::OwnedFd;
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    use std::path::Path;

    use rustix::fs::{AtFlags, FileType, Mode, OFlags};

    use super::{Kind, Status, System};
    use crate::stamp::Stamp;

    pub(super) struct Raw {
        pub(super) mode: u32,
        pub(super) device: u64,
        pub(super) inode: u64,
        pub(super) size: u64,
        pub(super) modified: (i64, i64),
        pub(super) changed: (i64, i64),
    }

    pub(super) fn status(raw: &Raw) -> Status {
        let nanos = |(seconds, rest): (i64, i64)| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Status {
            kind: kind(FileType::from_raw_mode(raw.mode as rustix::fs::RawMode))
                .unwrap_or(Kind::Special("special file")),
            mode: raw.mode & 0o7777,
            stamp: Stamp {
                device: raw.device,
                inode: raw.inode,
                size: raw.size,
                modified: nanos(raw.modified),
                changed: nanos(raw.changed),
            },
        }
    }

    fn kind(kind: FileType) -> Option<Kind> {
        Some(match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Link,
            FileType::Fifo => Kind::Special("pipe"),
            FileType::Socket => Kind::Special("socket"),
            FileType::CharacterDevice | FileType::BlockDevice => Kind::Special("device"),
            FileType::Unknown => return None,
        })
    }

    /// An open directory.
    pub(crate) struct Folder<'a> {
        system: &'a System,
        directory: OwnedFd,
        #[cfg(test)]
        path: std::path::PathBuf,
    }

    impl<'a> Folder<'a> {
        pub(super) fn open(system: &'a System, path: &Path) -> io::Result<Self> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NONBLOCK;
            Ok(Self {
                system,
                directory: rustix::fs::open(path, flags, Mode::empty())?,
                #[cfg(test)]
                path: path.to_owned(),
            })
        }

        /// The names in it, sorted by their bytes, with their kinds where the directory tells.
        pub(crate) fn names(&self) -> io::Result<Vec<(OsString, Option<Kind>)>> {
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&self.directory)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    names.push((OsString::from_vec(name.to_vec()), kind(entry.file_type())));
                }
            }
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Ok(names)
        }

        /// What a name in it is; links are followed if `follow`.
        #[allow(
            clippy::unnecessary_cast,
            clippy::cast_sign_loss,
            clippy::cast_possible_wrap,
            reason = "the fields differ in type between systems"
        )]
        pub(crate) fn status(&self, name: &OsStr, follow: bool) -> io::Result<Status> {
            #[cfg(test)]
            self.system.ask(super::Op::Status, &self.path.join(name))?;
            let flags = if follow { AtFlags::empty() } else { AtFlags::SYMLINK_NOFOLLOW };
            let name = CString::new(name.as_bytes())?;
            let stat = rustix::fs::statat(&self.directory, &*name, flags)?;
            Ok(self.system.seen(status(&Raw {
                mode: stat.st_mode as u32,
                device: stat.st_dev as u64,
                inode: stat.st_ino as u64,
                size: stat.st_size as u64,
                modified: (stat.st_mtime as i64, stat.st_mtime_nsec as i64),
                changed: (stat.st_ctime as i64, stat.st_ctime_nsec as i64),
            })))
        }
    }
}

#[cfg(not(unix))]
mod portable {
    use std::ffi::{OsStr, OsString};
    use std::path::{Path, PathBuf};
    use std::{fs, io};

    use super::{Kind, Status, System};

    /// A directory, by its path.
    pub(crate) struct Folder<'a> {
        system: &'a System,
        path: PathBuf,
    }

    impl<'a> Folder<'a> {
        pub(super) fn open(system: &'a System, path: &Path) -> io::Result<Self> {
            Ok(Self { system, path: path.to_owned() })
        }

        /// The names in it, sorted, with their kinds where the directory tells.
        pub(crate) fn names(&self) -> io::Result<Vec<(OsString, Option<Kind>)>> {
            let mut names = Vec::new();
            for entry in fs::read_dir(&self.path)? {
                names.push((entry?.file_name(), None));
            }
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            Ok(names)
        }

        /// What a name in it is; links are followed if `follow`.
        pub(crate) fn status(&self, name: &OsStr, follow: bool) -> io::Result<Status> {
            let path = self.path.join(name);
            if follow { self.system.status(&path) } else { self.system.link_status(&path) }
        }
    }
}
