//! Finds executables as a shell would: on the task's PATH, or relative to the directory it runs in.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The executable that `name` means.
pub fn find(name: &str, search: Option<&OsStr>, directory: &Path) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(directory.join(name)).filter(|path| is_executable(path));
    }
    std::env::split_paths(search?)
        .map(|place| directory.join(place).join(name))
        .find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searches_the_path_it_is_given_and_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let tool = dir.path().join("tool");
        fs::write(&tool, "").expect("written");
        assert_eq!(find("tool", Some(dir.path().as_os_str()), Path::new("/")), None, "is not executable");
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).expect("set");
        assert_eq!(find("tool", Some(dir.path().as_os_str()), Path::new("/")), Some(tool.clone()));
        assert_eq!(find("./tool", None, dir.path()), Some(dir.path().join("./tool")));
        assert_eq!(find("tool", None, dir.path()), None);
    }
}
