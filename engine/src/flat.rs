//! Flat closures: all inputs below a call that is asked for at top level, read off the image that an earlier process left.
//!
//! If each of them has the digest that it had, everything below the call would come to what it came to, and so would the
//! call: it is answered, and nothing is entered into the graph. Otherwise this says nothing, and the traces are walked.
//!
//! A call that is asked for again and again is better off in the graph, which knows at once what changed. So answers
//! from here may cost as much as to bring the whole image into the graph, and after that there are none.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fleche_store::{CallId, CallKey, Digest, Stored};
use foldhash::HashMap;
use parking_lot::Mutex;

use crate::graph;
use crate::image::{Image, Target};
use crate::input::InputId;
use crate::thread::Place;

/// To bring a call into the graph takes as long as to pass by so many in the image.
const PASSES: usize = 16;

/// The flat closures of the calls in an image that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Flats {
    known: Mutex<HashMap<CallId, Arc<Flat>>>,
    /// Calls and inputs that were passed by.
    passed: AtomicUsize,
}

/// What lies below a call, and what the call came to.
#[derive(Debug)]
struct Flat {
    key: CallKey,
    result: Stored,
    inputs: Box<[(InputId, Digest)]>,
}

/// The call's result, if an image has it and everything below it is as it was.
pub(crate) fn answer(place: &Place, call: CallId, key: CallKey) -> Option<Stored> {
    let image = place.cache.image(usize::MAX).filter(|image| place.cache.is_current(image))?;
    let most = PASSES.saturating_mul(image.len());
    if image.flats.passed.load(Ordering::Relaxed) >= most {
        return None;
    }
    let count = |passed: usize| image.flats.passed.fetch_add(passed.max(1), Ordering::Relaxed);
    let known = image.flats.known.lock().get(&call).filter(|flat| flat.key == key).cloned();
    if let Some(flat) = known {
        count(flat.inputs.len());
        let holds = |(input, digest): &(InputId, Digest)| graph::look(place, *input) == Some(*digest);
        return flat.inputs.iter().all(holds).then_some(flat.result);
    }
    let (flat, passed) = walk(place, image, call, key);
    count(passed);
    let flat = flat?;
    let result = flat.result;
    image.flats.known.lock().insert(call, Arc::new(flat));
    Some(result)
}

/// Looks at all that lies below the call, up to the first input that is not as it was. Also tells how much that was.
fn walk(place: &Place, image: &Image, call: CallId, key: CallKey) -> (Option<Flat>, usize) {
    let Some(root) = image.find(call) else { return (None, 0) };
    let Some(entry) = image.entry(root).filter(|entry| entry.key == key) else { return (None, 0) };
    let mut met = vec![false; image.len()];
    let mut looked = vec![false; image.inputs()];
    let mut inputs = Vec::new();
    let mut open = vec![root];
    let mut passed = 0;
    while let Some(at) = open.pop() {
        // A place that the image does not have is one of a program with a mistake.
        match met.get_mut(at) {
            Some(met) if !*met => *met = true,
            Some(_) => continue,
            None => return (None, passed),
        }
        passed += 1;
        let Some(links) = image.links(at) else { return (None, passed) };
        for target in links.iter() {
            match target {
                Target::Call(callee) if met.get(callee) == Some(&true) => {}
                Target::Call(callee) => open.push(callee),
                Target::Input(input) if looked.get(input) == Some(&true) => {}
                Target::Input(input) => {
                    let holds = || {
                        let (kind, name, digest) = image.input(input)?;
                        let known = place.cache.files().input(kind, name)?;
                        (graph::look(place, known)? == digest).then_some((known, digest))
                    };
                    let Some(held) = holds() else { return (None, passed) };
                    looked[input] = true;
                    inputs.push(held);
                }
            }
        }
    }
    (Some(Flat { key, result: entry.result, inputs: inputs.into() }), passed)
}
