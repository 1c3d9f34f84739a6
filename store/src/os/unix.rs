//! Unix, and what of it only Linux has.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, FlockOperation, OFlags};

pub(crate) use std::os::unix::fs::FileExt;

/// How the store opens files: for this user alone, through no link, waiting for no FIFO.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[expect(clippy::cast_possible_wrap, reason = "flags are bits")]
    let flags = (OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK).bits() as i32;
    options.mode(0o600).custom_flags(flags);
    options
}

/// How the store makes directories: for this user alone.
pub(crate) fn directory() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Two numbers that no other file has while this one is there.
pub(crate) fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// The bits of a file's mode that say what its owner may.
pub(crate) fn mode(meta: &Metadata) -> u32 {
    meta.mode() & 0o700
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

pub(crate) fn set_file_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// Bytes that a file takes on the disk.
pub(crate) fn allocated(meta: &Metadata) -> u64 {
    meta.blocks() * 512
}

/// The user that this process acts for.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Takes the lock of a file if nobody has it. The lock goes when the last copy of the descriptor is closed.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Writes some of the parts at an offset.
pub(crate) fn write_vectored_at(file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    Ok(rustix::io::pwritev(file, parts, offset)?)
}

/// Gives a file real blocks.
pub(crate) fn allocate(file: &File, length: u64) -> io::Result<()> {
    Ok(rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length)?)
}

/// Brings a directory's entries to the disk.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// The number of the file system that a path lies on.
pub(crate) fn file_system(path: &Path) -> Option<u64> {
    let statfs = rustix::fs::statfs(path).ok()?;
    #[expect(clippy::cast_sign_loss, clippy::allow_attributes, reason = "a magic number of the kernel's")]
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "its type differs between platforms")]
    let number = statfs.f_type as u64;
    Some(number)
}

/// Makes an empty file share the blocks of another, where the file system can do that.
#[cfg(target_os = "linux")]
pub(crate) fn clone_file(to: &File, from: &File) -> bool {
    rustix::fs::ioctl_ficlone(to, from).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn clone_file(_to: &File, _from: &File) -> bool {
    false
}

/// Random bytes, if the system has any.
#[cfg(target_os = "linux")]
pub(crate) fn random(bytes: &mut [u8]) -> bool {
    let mut filled = 0;
    while filled < bytes.len() {
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(more) => filled += more,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn random(_bytes: &mut [u8]) -> bool {
    false
}
