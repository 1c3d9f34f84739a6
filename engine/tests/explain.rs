//! Why a call is fresh, or all that is different, down to what a person changed.

mod common;

use std::io;
use std::path::Path;
use std::sync::Arc;

use common::Project;
use fleche::explain::{Difference, Explanation, How, Lines, Standing};
use fleche::{CallId, CallKey, Dependency, Digest, Edge, Record, ValueDigest, explain, fleche};

#[fleche(version = 3)]
fn words(path: &Path) -> io::Result<u64> {
    match fleche::fs::read_to_string(path) {
        Ok(text) => Ok(text.split_whitespace().count() as u64),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

#[fleche]
fn sum(a: &Path, b: &Path) -> io::Result<u64> {
    let extra = fleche::fs::read(a.with_file_name("extra")).map_or(0, |bytes| bytes.len() as u64);
    Ok(words(a)? + words(b)? + extra)
}

#[fleche]
fn title(a: &Path, b: &Path) -> io::Result<String> {
    Ok(format!("{} words", sum(a, b)?))
}

/// Each step: the call's standing, then its differences.
fn told(why: &Explanation, project: &Project) -> Vec<String> {
    let root = format!("{}/", project.root().display());
    why.steps
        .iter()
        .map(|step| {
            let differences: Vec<_> =
                step.differences.iter().map(|one| format!("{} {}", one.verb(), one.what())).collect();
            format!("{} {}: {}", step.standing.word(), step.name, differences.join(", ")).replace(&root, "")
        })
        .collect()
}

fn newest(project: &Project, call: CallId) -> Arc<Record> {
    project.cache.store().unwrap().newest(&call).unwrap().unwrap()
}

#[test]
fn all_differences_are_told_and_followed_down_to_the_inputs() {
    let mut project = Project::new();
    let (a, b) = (project.write("a", "one two"), project.write("b", "three"));
    let call = title::digest(&a, &b);
    assert_eq!(told(&explain(call).unwrap(), &project), [format!("new call {}: ", call.digest().short())]);
    title(&a, &b).unwrap();
    let why = explain(call).unwrap();
    assert!(why.is_fresh() && why.steps.len() == 1 && why.steps[0].same == 1);
    assert_eq!(why.causes().count(), 0);

    project.write("a", "one");
    project.remove("b");
    project.write("extra", "!");
    for _ in ["warm", "cold"] {
        project.log();
        let why = explain(call).unwrap();
        assert_eq!(
            told(&why, &project),
            [
                r#"pending title("a", "b"): stale sum("a", "b")"#,
                r#"stale sum("a", "b"): added extra, stale words("a"), stale words("b")"#,
                r#"stale words("a"): changed a"#,
                r#"stale words("b"): removed b"#,
            ]
        );
        let causes: Vec<_> = why.causes().map(|(_, difference)| difference.what()).collect();
        assert_eq!(causes, ["extra", "a", "b"]);
        let Difference::Input(change) = &why.steps[2].differences[0] else { panic!("{why}") };
        assert_eq!((change.before, change.after), (Digest::of(b"one two"), Some(Digest::of(b"one"))));
        assert!(change.modified_ms.is_some() && why.steps[2].against.as_ref().unwrap().created_ms > 0);
        assert!(project.log().is_empty(), "nothing runs and nothing is told of");
        project.restart();
    }
    assert!(explain(call).unwrap().to_string().contains("would run if a call below it makes something else"));
    // A revert finds the record that holds.
    project.write("a", "one two");
    project.write("b", "three");
    project.remove("extra");
    assert!(explain(call).unwrap().is_fresh());
}

#[test]
fn a_nested_call_that_ran_since_tells_why_it_did() {
    let project = Project::new();
    let (a, b) = (project.write("a", "one two"), project.write("b", "three"));
    title(&a, &b).unwrap();
    project.write("a", "one");
    words(&a).unwrap();
    let why = explain(title::digest(&a, &b)).unwrap();
    assert_eq!(
        told(&why, &project),
        [
            r#"pending title("a", "b"): stale sum("a", "b")"#,
            r#"stale sum("a", "b"): changed result of words("a")"#,
            r#"recomputed words("a"): changed a"#,
        ]
    );
    assert_eq!(why.to_json()["steps"][2]["differences"][0]["kind"], "input");
}

#[test]
fn of_a_tree_what_was_written_in_it_is_named() {
    #[fleche]
    fn size(dir: &Path) -> io::Result<u64> {
        Ok(fleche::fs::walk(dir).contents()?.entries().count() as u64)
    }
    #[fleche]
    fn sources(dir: &Path) -> io::Result<u64> {
        Ok(fleche::fs::glob(&format!("{}/**/*.c", dir.display()))?.paths()?.len() as u64)
    }
    let project = Project::new();
    let dir = project.path("src");
    std::fs::create_dir_all(dir.join("deep")).unwrap();
    for name in ["src/a.c", "src/deep/b.c", "src/deep/c"] {
        project.write(name, "1");
    }
    // So that they are older than the records.
    std::thread::sleep(std::time::Duration::from_millis(20));
    size(&dir).unwrap();
    sources(&dir).unwrap();
    let change = |call: CallId| {
        let why = explain(call).unwrap();
        let Some(Difference::Input(change)) = why.steps[0].differences.first() else { panic!("{why}") };
        (change.within.clone(), why.to_string())
    };
    std::thread::sleep(std::time::Duration::from_millis(20));
    project.write("src/deep/b.c", "2");
    let (within, text) = change(size::digest(&dir));
    assert_eq!(within, ["deep/b.c"]);
    assert!(text.contains(", in it deep/b.c written just now"), "{text}");
    assert!(explain(sources::digest(&dir)).unwrap().is_fresh(), "names only");
    std::thread::sleep(std::time::Duration::from_millis(20));
    project.remove("src/a.c");
    assert_eq!(change(sources::digest(&dir)).0, ["./"]);
    assert_eq!(change(size::digest(&dir)).0, ["./", "deep/b.c"]);
}

#[test]
fn a_call_whose_callee_came_out_the_same_is_fresh() {
    let project = Project::new();
    let (a, b) = (project.write("a", "one two"), project.write("b", "three"));
    title(&a, &b).unwrap();
    project.write("a", "eins zwei");
    assert_eq!(explain(title::digest(&a, &b)).unwrap().standing(), Standing::Pending);
    words(&a).unwrap();
    assert!(explain(title::digest(&a, &b)).unwrap().is_fresh());
}

#[test]
fn lines_are_counted_where_the_old_text_is_stored() {
    let project = Project::new();
    let (a, b) = (project.write("a", "one\ntwo\n"), project.write("b", "x"));
    title(&a, &b).unwrap();
    project.cache.store().unwrap().put_blob(&a).unwrap();
    project.write("a", "one\n2\n3\n");
    project.write("b", "y z");
    let why = explain(title::digest(&a, &b)).unwrap();
    let lines: Vec<_> = why
        .causes()
        .map(|(_, difference)| match difference {
            Difference::Input(change) => (change.how, change.lines),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        lines,
        [
            (How::Changed, Lines::Counted { before: 2, after: 3, added: 2, removed: 1 }),
            (How::Changed, Lines::NotStored)
        ]
    );
    let text = why.to_string();
    assert!(text.contains("2 → 3 lines (+2 −1)") && text.contains("the old content is not stored"), "{text}");
}

#[test]
fn other_code_is_told_with_what_is_different_in_it() {
    let mut project = Project::new();
    let (a, b) = (project.write("a", "one two"), project.write("b", "three"));
    title(&a, &b).unwrap();
    // As an earlier program would have left it.
    let call = words::digest(&a);
    let mut old = (*newest(&project, call)).clone();
    old.key = CallKey::new(Digest::of(b"an earlier program"));
    old.meta.iter_mut().find(|(name, _)| name == "version").unwrap().1 = "2".into();
    project.cache.store().unwrap().evict_call(&call).unwrap();
    project.cache.store().unwrap().put_record(&old).unwrap();
    project.restart();
    let why = explain(title::digest(&a, &b)).unwrap();
    assert_eq!(told(&why, &project)[2], r#"stale words("a"): changed code"#);
    let (_, Difference::Code(change)) = why.causes().next().unwrap() else { panic!("{why}") };
    assert_eq!(change.version, Some(("2".into(), "3".into())));
    assert_eq!(change.items.as_deref(), Some(&[][..]), "the code itself is the same");

    project.cache.invalidate(words::digest(&b)).unwrap();
    let why = explain(title::digest(&a, &b)).unwrap();
    assert!(why.causes().any(|(_, difference)| matches!(difference, Difference::Invalidated { .. })));
}

#[test]
fn a_function_that_is_gone_makes_its_callers_stale_and_is_named() {
    let project = Project::new();
    let (a, b) = (project.write("a", "one two"), project.write("b", "three"));
    title(&a, &b).unwrap();
    let store = project.cache.store().unwrap();
    let mut gone = (*newest(&project, words::digest(&a))).clone();
    gone.identity.function = "crate::deleted".into();
    gone.key = CallKey::new(Digest::of(b"gone"));
    store.put_record(&gone).unwrap();
    let mut caller = (*newest(&project, title::digest(&a, &b))).clone();
    caller.trace.push(Edge {
        dependency: Dependency::Call(gone.identity.id()),
        observed: gone.result.digest.digest(),
    });
    store.evict_call(&title::digest(&a, &b)).unwrap();
    store.put_record(&caller).unwrap();
    let why = explain(title::digest(&a, &b)).unwrap();
    assert_eq!(told(&why, &project), [r#"stale title("a", "b"): unknown deleted("a")"#]);

    // Asked for itself, it is told by what it observed: the record of another program.
    let why = explain(gone.identity.id()).unwrap();
    assert!(why.is_fresh() && !why.steps[0].code_known);
    project.write("a", "one");
    let why = explain(gone.identity.id()).unwrap();
    assert_eq!(told(&why, &project), [r#"stale deleted("a"): changed a"#]);
    assert!(why.to_string().contains("its code is not part of this program"));
}

#[test]
fn a_chain_of_any_depth_and_a_circle_are_explained() {
    let project = Project::new();
    let file = project.write("a", "one");
    words(&file).unwrap();
    let store = project.cache.store().unwrap();
    let leaf = newest(&project, words::digest(&file));
    let call = |n: usize| {
        let mut record = (*leaf).clone();
        record.identity.function = format!("chain {n}");
        record.key = CallKey::new(Digest::of(&n.to_le_bytes()));
        record.trace.clear();
        record
    };
    let edge = |record: &Record| Edge {
        dependency: Dependency::Call(record.identity.id()),
        observed: record.result.digest.digest(),
    };
    let mut below = (*leaf).clone();
    for n in 0..20_000 {
        let mut record = call(n);
        record.trace.push(edge(&below));
        store.put_record(&record).unwrap();
        below = record;
    }
    assert!(explain(below.identity.id()).unwrap().is_fresh());
    project.write("a", "one two");
    let why = explain(below.identity.id()).unwrap();
    assert_eq!(why.steps.len(), 20_001);
    assert_eq!(why.causes().map(|(_, difference)| difference.what()).collect::<Vec<_>>(), ["a"]);

    let (mut k, mut m) = (call(1_000_001), call(1_000_002));
    k.trace.push(edge(&m));
    m.trace.push(edge(&k));
    store.put_record(&k).unwrap();
    store.put_record(&m).unwrap();
    let why = explain(k.identity.id()).unwrap();
    assert_eq!(why.standing(), Standing::Pending);
    assert_eq!(why.steps.len(), 2);
    let nobody = CallId::of("nobody", "p", "m", std::iter::empty::<ValueDigest>());
    assert_eq!(explain(nobody).unwrap().standing(), Standing::New);
}
