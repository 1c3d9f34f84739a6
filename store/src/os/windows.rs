//! Windows. It compiles; nobody has run it yet.
//!
//! Locks bind there: whoever locks bytes keeps others from reading them. So a lock is taken on a byte that no file has.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, IoSlice, Seek, SeekFrom};
use std::os::windows::fs::MetadataExt;
use std::os::windows::io::AsRawHandle;
use std::path::Path;

use windows_sys::Win32::Foundation::ERROR_LOCK_VIOLATION;
use windows_sys::Win32::Storage::FileSystem::{
    LOCKFILE_EXCLUSIVE_LOCK, LOCKFILE_FAIL_IMMEDIATELY, LockFileEx,
};
use windows_sys::Win32::System::IO::OVERLAPPED;

/// Reading and writing at an offset, as on Unix: the file's own position stays.
pub(crate) trait FileExt {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize>;

    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    buffer = &mut buffer[read..];
                    offset += read as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn write_all_at(&self, mut buffer: &[u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.write_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    buffer = &buffer[written..];
                    offset += written as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

impl FileExt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buffer, offset)
    }

    fn write_at(&self, buffer: &[u8], offset: u64) -> io::Result<usize> {
        // The system moves the position, which a buffered writer of the same file goes by.
        let mut file = self;
        let position = file.stream_position()?;
        let written = std::os::windows::fs::FileExt::seek_write(self, buffer, offset);
        file.seek(SeekFrom::Start(position))?;
        written
    }
}

/// How the store opens files.
pub(crate) fn options() -> OpenOptions {
    OpenOptions::new()
}

/// How the store makes directories: with the rights that the parent hands down.
pub(crate) fn directory() -> DirBuilder {
    DirBuilder::new()
}

/// What tells a file from one that took its name: the time it was made, to 100 ns.
pub(crate) fn identity(meta: &Metadata) -> (u64, u64) {
    (meta.creation_time(), u64::from(meta.file_attributes() & 0x10))
}

/// What the owner may, in the bits of Unix.
pub(crate) fn mode(meta: &Metadata) -> u32 {
    if meta.permissions().readonly() { 0o400 } else { 0o600 }
}

pub(crate) fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    let mut permissions = fs::symlink_metadata(path)?.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    fs::set_permissions(path, permissions)
}

pub(crate) fn set_file_mode(file: &File, mode: u32) -> io::Result<()> {
    let mut permissions = file.metadata()?.permissions();
    permissions.set_readonly(mode & 0o200 == 0);
    file.set_permissions(permissions)
}

/// Bytes that a file takes on the disk, nearly.
pub(crate) fn allocated(meta: &Metadata) -> u64 {
    meta.len().next_multiple_of(4096)
}

/// Users are not told apart.
pub(crate) fn user() -> u32 {
    0
}

/// Takes the lock of a file if nobody has it. The lock goes when the last copy of the handle is closed.
pub(crate) fn try_lock(file: &File) -> io::Result<bool> {
    // SAFETY: a plain struct of numbers and null pointers, for which zero is valid.
    let mut place: OVERLAPPED = unsafe { std::mem::zeroed() };
    place.Anonymous.Anonymous.OffsetHigh = 1 << 30;
    let flags = LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY;
    // SAFETY: the handle is open for as long as the borrow lasts, and the struct outlives the call, which does not
    // wait: the file was not opened for overlapped work.
    if unsafe { LockFileEx(file.as_raw_handle(), flags, 0, 1, 0, &raw mut place) } != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    let taken = error.raw_os_error().and_then(|code| u32::try_from(code).ok()) == Some(ERROR_LOCK_VIOLATION);
    if taken { Ok(false) } else { Err(error) }
}

/// Writes some of the parts at an offset: the first that is not empty.
pub(crate) fn write_vectored_at(file: &File, parts: &[IoSlice<'_>], offset: u64) -> io::Result<usize> {
    parts.iter().find(|part| !part.is_empty()).map_or(Ok(0), |part| file.write_at(part, offset))
}

/// Gives a file its length; the system reserves the space.
pub(crate) fn allocate(file: &File, length: u64) -> io::Result<()> {
    file.set_len(length)
}

/// Entries of directories are the file system's own business.
pub(crate) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn file_system(_path: &Path) -> Option<u64> {
    None
}

pub(crate) fn clone_file(_to: &File, _from: &File) -> bool {
    false
}

pub(crate) fn random(_bytes: &mut [u8]) -> bool {
    false
}
