//! What counts as an input, and what a call that read it does when it changes.

mod common;

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use common::Project;
use fleche::fleche;

#[fleche]
fn kind_and_length(path: &Path) -> io::Result<String> {
    let metadata = fleche::fs::metadata(path)?;
    Ok(format!("{} {} {}", metadata.is_dir(), metadata.len(), metadata.is_executable()))
}

#[fleche]
fn time(path: &Path) -> io::Result<u64> {
    let modified = fleche::fs::metadata(path)?.modified()?;
    Ok(modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs())
}

#[fleche]
fn is_there(path: &Path) -> io::Result<bool> {
    fleche::fs::exists(path)
}

#[fleche]
fn text(path: &Path) -> String {
    fleche::fs::read_to_string(path).unwrap_or_else(|error| format!("{:?}", error.kind()))
}

#[fleche]
fn target(path: &Path) -> String {
    match fleche::fs::read_link(path) {
        Ok(target) => target.display().to_string(),
        Err(error) => format!("{:?}", error.kind()),
    }
}

#[fleche]
fn streamed(path: &Path) -> io::Result<u64> {
    let mut sum = 0;
    for byte in io::BufReader::new(fleche::fs::open(path)?).bytes() {
        sum += u64::from(byte?);
    }
    Ok(sum)
}

#[fleche]
fn mapped(path: &Path) -> io::Result<u64> {
    // SAFETY: the test does not write while this runs.
    let bytes = unsafe { fleche::fs::map(path)? };
    Ok(bytes.iter().map(|byte| u64::from(*byte)).sum())
}

fn touch(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    fs::File::options().append(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn of_metadata_only_what_can_be_asked_counts() {
    let project = Project::new();
    let a = project.write("a", "one");
    assert_eq!(kind_and_length(&a).unwrap(), "false 3 false");
    project.log();
    touch(&a, 1000);
    project.write("a", "two");
    assert_eq!(kind_and_length(&a).unwrap(), "false 3 false");
    assert_eq!(project.log(), [r#"kind_and_length("a"): hit"#]);
    project.write("a", "three");
    assert_eq!(kind_and_length(&a).unwrap(), "false 5 false");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&a, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(kind_and_length(&a).unwrap(), "false 5 true");
    }
    project.remove("a");
    assert_eq!(kind_and_length(&a).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::create_dir(&a).unwrap();
    assert_eq!(kind_and_length(&a).unwrap(), "true 0 true");
}

#[test]
fn the_time_is_an_input_once_it_is_asked_for() {
    let project = Project::new();
    let a = project.write("a", "one");
    touch(&a, 1000);
    assert_eq!(time(&a).unwrap(), 1000);
    touch(&a, 2000);
    assert_eq!(time(&a).unwrap(), 2000);
    project.log();
    assert_eq!(time(&a).unwrap(), 2000);
    assert_eq!(project.log(), [r#"time("a"): hit"#]);
}

#[test]
fn what_appears_and_disappears_is_noticed_and_its_content_is_not() {
    let project = Project::new();
    let a = project.path("a");
    assert!(!is_there(&a).unwrap());
    project.write("a", "");
    assert!(is_there(&a).unwrap());
    project.log();
    project.write("a", "other");
    assert!(is_there(&a).unwrap());
    assert_eq!(project.log(), [r#"is_there("a"): hit"#]);
    project.remove("a");
    assert!(!is_there(&a).unwrap());
    assert_eq!(project.log(), [r#"is_there("a"): hit"#], "the first record holds again");
}

#[test]
fn what_is_not_there_is_an_input_of_whoever_reads_it() {
    let mut project = Project::new();
    let a = project.path("a");
    assert_eq!(text(&a), "NotFound");
    project.restart();
    project.log();
    assert_eq!(text(&a), "NotFound");
    assert_eq!(project.log(), [r#"text("a"): hit"#]);
    project.write("a", "one");
    assert_eq!(text(&a), "one");
}

/// On a thread that permissions hold for, whoever runs the tests: root is allowed everything by two capabilities.
#[cfg(target_os = "linux")]
fn unprivileged<T: Send>(project: &Project, f: impl FnOnce() -> T + Send) -> T {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let (cache, f) = (project.cache.clone(), std::sync::Mutex::new(Some(f)));
    std::thread::scope(|threads| {
        let thread = threads.spawn(move || {
            let mut sets = capabilities(None).unwrap();
            sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
            set_capabilities(None, sets).unwrap();
            let _scope = fleche::cache(&cache).unwrap();
            f.lock().unwrap().take().unwrap()()
        });
        thread.join().unwrap()
    })
}

#[cfg(target_os = "linux")]
#[test]
fn what_may_not_be_read_is_an_error_and_is_not_kept() {
    use std::os::unix::fs::PermissionsExt;
    let project = Project::new();
    let (dir, a, inner) = (project.path("d"), project.write("a", "one"), project.path("d/x"));
    fs::create_dir(&dir).unwrap();
    fs::write(&inner, "in").unwrap();
    let allow = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let all = || {
        let shown = |result: io::Result<String>| result.unwrap_or_else(|error| format!("{:?}", error.kind()));
        [
            text(&a),
            text(&inner),
            shown(is_there(&inner).map(|there| there.to_string())),
            shown(kind_and_length(&inner)),
            shown(names(&dir).map(|names| names.join(" "))),
            shown(size(&dir).map(|size| size.to_string())),
            shown(streamed(&a).map(|sum| sum.to_string())),
            shown(mapped(&a).map(|sum| sum.to_string())),
        ]
    };
    let allowed = ["one", "in", "true", "false 2 false", "x", "2", "322", "322"];
    assert_eq!(unprivileged(&project, all), allowed);
    for round in ["after a record", "once more"] {
        allow(&a, 0o000);
        allow(&dir, 0o000);
        project.log();
        assert_eq!(unprivileged(&project, all), ["PermissionDenied"; 8], "{round}");
        let log = project.log();
        assert_eq!(log.len(), 8);
        assert!(log.iter().all(|line| !line.contains("hit") && !line.ends_with(": ran")), "{log:?}");
        allow(&a, 0o644);
        allow(&dir, 0o755);
        assert_eq!(unprivileged(&project, all), allowed, "{round}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_their_texts_are_inputs_of_their_own() {
    use std::os::unix::fs::symlink;
    let project = Project::new();
    let link = project.path("link");
    project.write("a", "A");
    project.write("b", "B");
    symlink("a", &link).unwrap();
    assert_eq!((text(&link).as_str(), target(&link).as_str()), ("A", "a"));
    project.write("a", "AA");
    project.log();
    assert_eq!((text(&link).as_str(), target(&link).as_str()), ("AA", "a"));
    assert_eq!(project.log(), [r#"text("link"): ran"#, r#"target("link"): hit"#]);
    fs::remove_file(&link).unwrap();
    symlink("b", &link).unwrap();
    assert_eq!((text(&link).as_str(), target(&link).as_str()), ("B", "b"));
    // Dangling: absent, until what it leads to appears.
    project.remove("b");
    assert_eq!((text(&link).as_str(), is_there(&link).unwrap()), ("NotFound", false));
    project.write("b", "again");
    assert_eq!((text(&link).as_str(), is_there(&link).unwrap()), ("again", true));
    assert_eq!(target(&project.path("a")), "InvalidInput");
}

#[cfg(unix)]
#[test]
fn a_circle_of_links_is_an_error_that_is_not_kept() {
    use std::os::unix::fs::symlink;
    let project = Project::new();
    let link = project.path("link");
    symlink("link", &link).unwrap();
    text(&link);
    text(&link);
    assert_eq!(project.log(), [r#"text("link"): ran, not kept"#, r#"text("link"): ran, not kept"#]);
    fs::remove_file(&link).unwrap();
    assert_eq!(text(&link), "NotFound");
}

#[cfg(unix)]
#[test]
fn a_special_file_is_refused_and_not_kept() {
    let project = Project::new();
    let pipe = project.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(text(&pipe), "Unsupported");
    assert_eq!(project.log(), [r#"text("pipe"): ran, not kept"#]);
}

#[cfg(unix)]
#[test]
fn names_need_not_be_utf_8() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    #[fleche]
    fn odd(n: u8) -> String {
        // An argument must be UTF-8 to be digested; the name of an input need not be.
        let path = std::env::temp_dir().join(OsStr::from_bytes(&[b'f', n, 0xff, 0xfe]));
        fleche::fs::read_to_string(path).unwrap_or_default()
    }
    let mut project = Project::new();
    let n = b'a' + u8::try_from(std::process::id() % 20).unwrap();
    let path = std::env::temp_dir().join(OsStr::from_bytes(&[b'f', n, 0xff, 0xfe]));
    fs::write(&path, "one").unwrap();
    assert_eq!(odd(n), "one");
    project.restart();
    project.log();
    assert_eq!(odd(n), "one");
    assert!(project.log()[0].ends_with("hit"));
    fs::write(&path, "two").unwrap();
    assert_eq!(odd(n), "two");
    fs::remove_file(&path).unwrap();
}

#[test]
fn spellings_of_a_path_do_not_confuse() {
    let mut project = Project::new();
    let a = project.write("a", "one");
    fs::create_dir(project.path("sub")).unwrap();
    let (slash, dots) = (PathBuf::from(format!("{}/", a.display())), project.path("sub/../a"));
    let read = || [text(&slash), text(&a), text(&dots)];
    let expected = |now: &str| ["NotADirectory".to_owned(), now.to_owned(), now.to_owned()];
    assert_eq!(read(), expected("one"));
    project.restart();
    project.log();
    assert_eq!(read(), expected("one"));
    assert!(project.log().iter().all(|line| line.ends_with("hit")));
    project.write("a", "two");
    assert_eq!(read(), expected("two"));
    project.remove("a");
    fs::create_dir(&a).unwrap();
    assert_eq!(read()[0], "IsADirectory");
    // With a slash a file is as good as nothing.
    assert!(is_there(&slash).unwrap());
    fs::remove_dir(&a).unwrap();
    project.write("a", "three");
    assert!(!is_there(&slash).unwrap());
}

#[test]
fn a_file_may_be_read_in_pieces_or_mapped() {
    let project = Project::new();
    let a = project.path("a");
    assert_eq!(streamed(&a).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::write(&a, [1; 1000]).unwrap();
    assert_eq!((streamed(&a).unwrap(), mapped(&a).unwrap()), (1000, 1000));
    fs::write(&a, vec![2; 5 << 20]).unwrap();
    assert_eq!((streamed(&a).unwrap(), mapped(&a).unwrap()), (10 << 20, 10 << 20));
    project.log();
    assert_eq!((streamed(&a).unwrap(), mapped(&a).unwrap()), (10 << 20, 10 << 20));
    assert_eq!(project.log(), [r#"streamed("a"): hit"#, r#"mapped("a"): hit"#]);
}

#[test]
fn a_file_that_changes_under_its_reader_starts_the_call_over() {
    use std::sync::atomic::{AtomicBool, Ordering};
    static CHANGED: AtomicBool = AtomicBool::new(false);
    #[fleche]
    fn slowly(path: &Path) -> io::Result<u64> {
        let mut file = fleche::fs::open(path)?;
        let mut bytes = vec![0; 1 << 20];
        let mut sum = 0;
        loop {
            let count = file.read(&mut bytes)?;
            if count == 0 {
                return Ok(sum);
            }
            sum += bytes[..count].iter().map(|byte| u64::from(*byte)).sum::<u64>();
            if !CHANGED.swap(true, Ordering::Relaxed) {
                fs::write(path, vec![2; 5 << 20]).unwrap();
            }
        }
    }
    let project = Project::new();
    let a = project.path("a");
    fs::write(&a, vec![1; 5 << 20]).unwrap();
    match slowly(&a) {
        // What a start-over makes, or the error of a reader that could not go on.
        Ok(sum) => assert_eq!(sum, 10 << 20),
        Err(error) => assert!(error.to_string().contains("changed while"), "{error}"),
    }
    assert_eq!(slowly(&a).unwrap(), 10 << 20);
}

/// Run again by the test below, in processes of its own.
#[test]
fn of_a_variable_of_the_environment() {
    #[fleche]
    fn variable() -> String {
        match fleche::env::var("FLECHE_TEST_VARIABLE") {
            Ok(value) => value,
            Err(error) => format!("{error:?}"),
        }
    }
    let Some(dir) = std::env::var_os("FLECHE_TEST_DIR") else { return };
    let cache = fleche::Cache::open(dir).unwrap();
    let _scope = fleche::cache(&cache).unwrap();
    println!("result {}, ran {}", variable(), cache.stats().ran);
}

#[test]
fn a_variable_is_an_input_and_its_value_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let run = |value: Option<&str>| {
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "of_a_variable_of_the_environment", "--nocapture"]);
        command.env("FLECHE_TEST_DIR", dir.path()).env_remove("FLECHE_TEST_VARIABLE");
        command.envs(value.map(|value| ("FLECHE_TEST_VARIABLE", value)));
        let output = String::from_utf8(command.output().unwrap().stdout).unwrap();
        output[output.find("result").unwrap()..].lines().next().unwrap().to_owned()
    };
    assert_eq!(run(None), "result NotPresent, ran 1");
    assert_eq!(run(Some("geheim-4711")), "result geheim-4711, ran 1");
    assert_eq!(run(Some("")), "result , ran 1");
    assert_eq!(run(None), "result NotPresent, ran 0");
    assert_eq!(run(Some("other")), "result other, ran 1");
    let cache = fleche::Cache::open(dir.path()).unwrap();
    let store = cache.store().unwrap();
    let mut inputs = 0;
    store
        .for_each_record(&mut |record| {
            for edge in &record.trace {
                inputs += 1;
                assert!(!format!("{edge:?}").contains("geheim"));
            }
            std::ops::ControlFlow::Continue(())
        })
        .unwrap();
    assert!(inputs > 0);
}

#[fleche]
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = fleche::fs::read_dir(dir)?;
    entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[fleche]
fn sources(dir: &Path) -> io::Result<Vec<String>> {
    let paths = fleche::fs::glob(&format!("{}/**/*.c", dir.display()))?;
    paths.into_iter().map(|path| Ok(path?.strip_prefix(dir).unwrap().display().to_string())).collect()
}

#[fleche]
fn size(dir: &Path) -> io::Result<u64> {
    let tree = fleche::fs::walk(dir).git_ignore(true).contents()?;
    let mut size = 0;
    for entry in tree.entries().filter(|entry| entry.file_type().is_file()) {
        size += tree.read(entry.path())?.len() as u64;
    }
    Ok(size)
}

#[test]
fn a_listing_is_one_input_of_names_alone() {
    let mut project = Project::new();
    let dir = project.path("d");
    assert_eq!(names(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::create_dir(&dir).unwrap();
    project.write("d/b", "1");
    assert_eq!(names(&dir).unwrap(), ["b"]);
    project.restart();
    project.log();
    project.write("d/b", "2");
    assert_eq!(names(&dir).unwrap(), ["b"]);
    assert_eq!(project.log(), [r#"names("d"): hit"#]);
    project.write("d/a", "");
    assert_eq!(names(&dir).unwrap(), ["a", "b"]);
    project.remove("d/b");
    assert_eq!(names(&dir).unwrap(), ["a"]);
    fs::remove_dir_all(&dir).unwrap();
    project.write("d", "a file");
    assert_eq!(names(&dir).unwrap_err().kind(), io::ErrorKind::NotADirectory);
}

#[test]
fn a_glob_reacts_to_what_matches_and_to_nothing_else() {
    let mut project = Project::new();
    let dir = project.path("d");
    assert!(sources(&dir).unwrap().is_empty());
    fs::create_dir_all(dir.join("sub")).unwrap();
    project.write("d/a.c", "");
    project.write("d/sub/b.c", "");
    assert_eq!(sources(&dir).unwrap(), ["a.c", "sub/b.c"]);
    project.restart();
    project.log();
    project.write("d/readme", "");
    project.write("d/a.c", "other");
    fs::create_dir(dir.join("empty")).unwrap();
    assert_eq!(sources(&dir).unwrap(), ["a.c", "sub/b.c"]);
    assert_eq!(project.log(), [r#"sources("d"): hit"#]);
    fs::rename(dir.join("sub"), dir.join("tub")).unwrap();
    assert_eq!(sources(&dir).unwrap(), ["a.c", "tub/b.c"]);
}

#[test]
fn a_tree_with_contents_is_one_input_however_many_files() {
    let mut project = Project::new();
    let dir = project.path("d");
    fs::create_dir_all(dir.join("sub")).unwrap();
    project.write("d/a", "12");
    project.write("d/sub/b", "345");
    project.write("d/sub/b.o", "6789");
    project.write("d/.gitignore", "*.o\n");
    assert_eq!(size(&dir).unwrap(), 9);
    let id = size::digest(&dir);
    let record = project.cache.store().unwrap().newest(&id).unwrap().unwrap();
    assert_eq!(record.trace.len(), 1);
    project.restart();
    project.log();
    project.write("d/sub/b.o", "not looked at");
    assert_eq!(size(&dir).unwrap(), 9);
    assert_eq!(project.log(), [r#"size("d"): hit"#]);
    project.write("d/sub/b", "3456");
    assert_eq!(size(&dir).unwrap(), 10);
    project.write("d/.gitignore", "");
    assert_eq!(size(&dir).unwrap(), 6 + "not looked at".len() as u64);
}

#[test]
fn a_result_from_a_buffer_is_found_again_when_the_buffer_is_saved() {
    let mut project = Project::new();
    let a = project.write("a", "saved");
    let overlay = project.cache.overlay();
    overlay.set(&a, "unsaved").unwrap();
    assert_eq!(text(&a), "unsaved");
    assert!(overlay.paths().len() == 1 && fleche::fs::exists(&a).unwrap());
    project.restart();
    project.log();
    // Another process, without the overlay: nothing of it has stuck to the file.
    assert_eq!(text(&a), "saved");
    project.write("a", "unsaved");
    assert_eq!(text(&a), "unsaved");
    assert_eq!(project.log(), [r#"text("a"): ran"#, r#"text("a"): hit"#]);
    let overlay = project.cache.overlay();
    overlay.hide(&a).unwrap();
    assert_eq!((text(&a).as_str(), is_there(&a).unwrap()), ("NotFound", false));
    overlay.set(project.path("new/dir/file"), "x").unwrap();
    assert_eq!(names(&project.path("new")).unwrap(), ["dir"]);
    assert_eq!(fleche::fs::read(&a).unwrap_err().kind(), io::ErrorKind::NotFound, "outside of calls too");
    overlay.clear();
    assert_eq!(text(&a), "unsaved");
    assert_eq!(names(&project.path("new")).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[cfg(unix)]
#[test]
fn a_buffer_is_seen_by_every_name_of_the_file() {
    use std::os::unix::fs::symlink;
    let project = Project::new();
    let a = project.write("a", "saved");
    let link = project.path("link");
    symlink("a", &link).unwrap();
    fs::create_dir(project.path("sub")).unwrap();
    project.cache.overlay().set(&link, "unsaved").unwrap();
    assert_eq!(project.cache.overlay().paths(), [a.canonicalize().unwrap()]);
    for path in [&a, &link, &project.path("sub/../a"), &project.path("./a")] {
        assert_eq!(text(path), "unsaved", "{}", path.display());
    }
}

#[test]
fn nothing_there_is_one_state_and_one_error() {
    #[fleche]
    fn said(path: &Path, asked: u8) -> String {
        let read = fleche::fs::read(path).err().map(|error| error.to_string());
        let link = fleche::fs::read_link(path).err().map(|error| error.to_string());
        let slash = fleche::fs::read(path.join("")).err().map(|error| error.to_string());
        assert!(asked < 3, "{read:?}");
        format!("{read:?} {link:?} {slash:?}")
    }
    let project = Project::new();
    let path = project.path("way/file");
    let missing = said(&path, 0);
    assert!(missing.contains("No such file") || cfg!(not(unix)), "{missing}");
    // A file in the directory's place: the same as before, from a record and from scratch.
    project.write("way", "in the way");
    assert_eq!((said(&path, 0), said(&path, 1)), (missing.clone(), missing.clone()));
    project.remove("way");
    assert_eq!((said(&path, 1), said(&path, 2)), (missing.clone(), missing));
}
