//! What the tests share: small records and values to order, and children that are this test binary again.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::Path;
use std::process::{Child, Command, Stdio};

use fleche_store::{
    Argument, CallKey, Dependency, Digest, Edge, Identity, Options, Record, Store, Stored, TypeFingerprint,
    ValueDigest,
};

pub(crate) const FP: TypeFingerprint = TypeFingerprint(11);

pub(crate) fn digest(kind: &str, i: u64) -> Digest {
    Digest::of(format!("{kind} {i}").as_bytes())
}

/// The bytes of value `i`, recognisable and `length` long.
pub(crate) fn bytes(i: u64, length: usize) -> Vec<u8> {
    i.to_le_bytes().iter().copied().cycle().take(length).collect()
}

pub(crate) fn value(i: u64) -> ValueDigest {
    ValueDigest::new(digest("value", i))
}

pub(crate) fn identity(call: u64) -> Identity {
    Identity {
        function: format!("demo::f{}", call % 3),
        package: "demo".into(),
        module: "demo".into(),
        arguments: vec![Argument { name: "n".into(), digest: value(call), encoded: Some(bytes(call, 8)) }],
    }
}

pub(crate) fn input(i: u64) -> Dependency {
    Dependency::Input { kind: 1, name: format!("file{i}").into_bytes() }
}

/// A record of `call` under code `code`, which saw input `seen % 4` as `seen` and gave `result`.
pub(crate) fn record(call: u64, code: u64, seen: u64, result: u64) -> Record {
    let identity = identity(call);
    Record {
        key: CallKey::new(Digest::of(format!("{} {code}", identity.id()).as_bytes())),
        identity,
        trace: vec![
            Edge { dependency: input(seen % 4), observed: digest("seen", seen) },
            Edge { dependency: Dependency::Call(self::identity(call + 1).id()), observed: digest("seen", 0) },
        ],
        result: Stored { digest: value(result), fingerprint: FP },
        meta: vec![("tag".into(), format!("{call}"))],
        created_ms: 5,
        clock: 0,
    }
}

pub(crate) fn open(dir: &Path) -> Store {
    Store::open(dir, Options::default()).unwrap()
}

/// In a child: what the parent asked for. `None` in the test run itself.
pub(crate) fn role() -> Option<(String, std::path::PathBuf, u64)> {
    let text = std::env::var("FLECHE_STORE_CHILD").ok()?;
    let mut parts = text.splitn(3, '|');
    let role = parts.next()?.to_owned();
    let number = parts.next()?.parse().ok()?;
    Some((role, parts.next()?.into(), number))
}

/// Starts this test binary again to run just `test` (which asks [`role`]) on the store in `dir`.
pub(crate) fn child(test: &str, role: &str, dir: &Path, number: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("FLECHE_STORE_CHILD", format!("{role}|{number}|{}", dir.display()))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap()
}
