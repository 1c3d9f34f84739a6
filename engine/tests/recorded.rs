//! The recorded graph: what depends on what, by the records of any store.

mod common;

use std::io;
use std::path::Path;
use std::time::Duration;

use common::Project;
use fleche::recorded::{Node, Recorded};
use fleche::{Dependency, fleche};

#[fleche]
fn words(path: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read_to_string(path)?.split_whitespace().count() as u64)
}

#[fleche]
fn both(a: &Path, b: &Path) -> io::Result<u64> {
    Ok(words(a)? + words(b)?)
}

#[fleche]
fn tree(dir: &Path) -> io::Result<bool> {
    Ok(fleche::fs::digest(dir)?.is_some())
}

#[fleche]
fn walked(dir: &Path) -> io::Result<bool> {
    fleche::fs::walk(dir).contents().map(|_| true)
}

#[fleche]
fn names(dir: &Path) -> io::Result<u64> {
    Ok(fleche::fs::read_dir(dir)?.count() as u64)
}

#[fleche]
fn sources(dir: &Path) -> io::Result<u64> {
    Ok(fleche::fs::glob(&format!("{}/**/*.c", dir.display()))?.paths()?.len() as u64)
}

#[fleche]
fn shallow(dir: &Path) -> io::Result<u64> {
    Ok(fleche::fs::walk(dir).max_depth(Some(2)).contents()?.entries().count() as u64)
}

/// Reads the file that another file names.
#[fleche]
fn follow(path: &Path) -> io::Result<u64> {
    let name = fleche::fs::read_to_string(path)?;
    words(&path.with_file_name(name.trim()))
}

fn labels<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Vec<String> {
    nodes.into_iter().map(Node::label).collect()
}

fn recorded(project: &Project) -> Recorded {
    Recorded::of(project.cache.store().unwrap())
}

#[test]
fn an_input_leads_up_to_all_results_that_depend_on_it() {
    let mut project = Project::new();
    let (a, b, c) = (project.write("a", "x"), project.write("b", "y"), project.write("c", "z"));
    both(&a, &b).unwrap();
    both(&b, &c).unwrap();
    std::fs::create_dir(project.path("dir")).unwrap();
    let deep = project.write("dir/deep", "x");
    tree(&project.path("dir")).unwrap();
    project.restart();
    let up = recorded(&project).dependents(project.cache.inputs_at(&a).unwrap()).unwrap();
    let mut found: Vec<_> =
        up.calls().map(|call| call.label().replace(&project.root().display().to_string(), "")).collect();
    found.sort();
    assert_eq!(found, [r#"both("/a", "/b")"#, r#"words("/a")"#]);
    // The one input, not the other that `both` has through `words`.
    assert_eq!(up.inputs().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["a"]);
    let up = recorded(&project).dependents(project.cache.inputs_at(&deep).unwrap()).unwrap();
    assert!(up.contains(tree::digest(&project.path("dir"))), "a directory above is an input too");
    walked(project.root()).unwrap();
    names(project.root()).unwrap();
    let up = recorded(&project).dependents(project.cache.inputs_at(&deep).unwrap()).unwrap();
    assert!(up.contains(walked::digest(project.root())), "and so is a walk");
    assert!(!up.contains(names::digest(project.root())), "but not the names in one further up");
    let up = recorded(&project).dependents(project.cache.inputs_at(&a).unwrap()).unwrap();
    assert!(up.contains(names::digest(project.root())));
    assert!(
        recorded(&project)
            .dependents(project.cache.inputs_at("nobody").unwrap())
            .unwrap()
            .nodes()
            .next()
            .is_none()
    );
}

#[test]
fn a_file_leads_up_through_globs_and_walks_that_come_by_it() {
    let project = Project::new();
    let root = project.root().to_path_buf();
    std::fs::create_dir_all(project.path("src/deep")).unwrap();
    let (main, deep, notes) =
        (project.write("src/main.c", ""), project.write("src/deep/a.c", ""), project.write("src/notes", ""));
    let hidden = project.write("src/.hidden.c", "");
    sources(&root).unwrap();
    shallow(&root).unwrap();
    words(&main).unwrap();
    let up = |path: &Path| {
        let graph = recorded(&project).dependents(project.cache.inputs_at(path).unwrap()).unwrap();
        let mut names: Vec<_> =
            graph.calls().map(|call| call.function.rsplit("::").next().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(up(&main), ["shallow", "sources", "words"]);
    assert_eq!(up(&deep), ["sources"], "too deep for the walk");
    assert_eq!(up(&notes), ["shallow"], "no match of the glob");
    assert_eq!(up(&hidden), ["shallow"], "a glob passes over it");
    assert_eq!(up(&project.path("src")), ["shallow", "sources", "words"], "with all that lies in it");
    assert_eq!(up(&project.path("src/../src/main.c")), ["shallow", "sources", "words"]);
    std::fs::remove_dir_all(project.path("src")).unwrap();
    assert_eq!(up(&main), ["shallow", "sources", "words"], "though it is gone");
}

#[test]
fn a_result_leads_down_to_its_inputs_in_the_order_of_its_trace() {
    let project = Project::new();
    let (a, b) = (project.write("a", "x"), project.write("b", "y"));
    both(&a, &b).unwrap();
    let graph = recorded(&project).dependencies([both::digest(&a, &b)]).unwrap();
    assert_eq!(graph.calls().count(), 3);
    assert_eq!(graph.depth(), 2);
    assert_eq!(graph.inputs().map(|input| input.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let direct = graph.direct_dependencies(both::digest(&a, &b));
    assert!(matches!(direct[..], [Node::Call(first), Node::Call(second)]
        if first.id == words::digest(&a) && second.id == words::digest(&b)));
    assert_eq!(labels(graph.direct_dependencies(words::digest(&a))), ["a"]);
    assert_eq!(graph.all_dependencies(both::digest(&a, &b)).len(), 4);
    let above = graph.all_dependents(&project.cache.inputs_at(&b).unwrap()[0]);
    assert_eq!(above.len(), 2);
}

#[test]
fn what_only_an_older_record_names_counts_unless_it_is_not_asked_for() {
    let project = Project::new();
    let (a, b) = (project.write("a", "x"), project.write("b", "y"));
    let link = project.write("link", "a");
    follow(&link).unwrap();
    project.write("link", "b");
    follow(&link).unwrap();
    let old = Dependency::Call(words::digest(&a));
    let all = recorded(&project);
    let newest = all.clone().newest_only();
    assert_eq!(all.direct_dependents(&old).unwrap(), [follow::digest(&link)]);
    assert!(newest.direct_dependents(&old).unwrap().is_empty());
    assert!(all.dependents([old.clone()]).unwrap().contains(follow::digest(&link)));
    assert!(!newest.dependents([old]).unwrap().contains(follow::digest(&link)));
    let down = all.dependencies([follow::digest(&link)]).unwrap();
    let links: Vec<_> = down
        .links()
        .filter(|(from, ..)| matches!(from, Node::Call(call) if call.id == follow::digest(&link)))
        .map(|(_, to, link)| (to.clone(), link.newest))
        .collect();
    let newest_of =
        |call| links.iter().find(|(to, _)| matches!(to, Node::Call(to) if to.id == call)).unwrap().1;
    assert!(newest_of(words::digest(&b)) && !newest_of(words::digest(&a)));
    assert!(!newest.dependencies([follow::digest(&link)]).unwrap().contains(words::digest(&a)));
    assert_eq!(newest.everything().unwrap().links().count(), 4);
    assert_eq!(all.everything().unwrap().links().count(), 5);
    assert!(all.everything().unwrap().cycles().is_empty());
}

#[test]
fn long_runs_are_noted_and_lead_the_critical_path() {
    #[fleche]
    fn slow(n: u64) -> u64 {
        std::thread::sleep(Duration::from_millis(20));
        n
    }
    #[fleche]
    fn quick(n: u64) -> u64 {
        n
    }
    #[fleche]
    fn top(n: u64) -> u64 {
        quick(n) + slow(n)
    }
    let project = Project::new();
    top(1);
    let graph = recorded(&project).dependencies([top::digest(1)]).unwrap();
    let time = |call| graph.call(call).unwrap().time;
    assert!(time(slow::digest(1)).unwrap().own >= Duration::from_millis(20));
    let whole = time(top::digest(1)).unwrap();
    assert!(whole.took >= Duration::from_millis(20) && whole.own < whole.took, "{whole:?}");
    assert_eq!(graph.critical_path().calls, [top::digest(1), slow::digest(1)]);
}

#[test]
fn the_exports_have_every_node_and_link() {
    let project = Project::new();
    let (a, b) = (project.write("a \"quoted\"", "x"), project.write("b", "y"));
    both(&a, &b).unwrap();
    let graph = recorded(&project).everything().unwrap();
    let (nodes, links) = (graph.nodes().count(), graph.links().count());
    assert_eq!((nodes, links), (5, 4));
    let dot = graph.to_dot();
    assert_eq!((dot.matches("shape=").count(), dot.matches(" -> ").count()), (nodes, links));
    assert!(dot.contains(r#"[shape=note, label="a \"quoted\""]"#), "{dot}");
    let mermaid = graph.to_mermaid();
    assert_eq!(mermaid.matches(" --> ").count(), links);
    assert!(mermaid.contains(r#"[/"a #quot;quoted#quot;"/]"#), "{mermaid}");
    let json = graph.to_json();
    assert_eq!(json["nodes"].as_array().unwrap().len(), nodes);
    for link in json["links"].as_array().unwrap() {
        let from = usize::try_from(link["from"].as_u64().unwrap()).unwrap();
        assert_eq!(json["nodes"][from]["kind"], "call");
    }
}
