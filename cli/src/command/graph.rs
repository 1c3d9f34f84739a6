//! `fleche graph`: which task reads from which, as a tree, for Graphviz or Mermaid, as JSON, as a picture or as a page.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::json;

use super::{Result, Session, recorded};
use crate::arguments::{Drawing, Graph};
use crate::console::{Console, FAINT};
use crate::drawing::svg;
use crate::host::Exit;
use crate::plan::{Plan, Relation, TaskId};
use crate::spec::text;

const PAGE: &str = include_str!("graph.html");

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &Graph) -> Result {
    if arguments.calls.is_some() || arguments.depends_on.is_some() {
        return recorded::graph(session, arguments);
    }
    let plan = session.project()?.plan;
    let roots = if arguments.tasks.is_empty() {
        (0..plan.tasks.len()).collect()
    } else {
        plan.select(&arguments.tasks).map_err(|error| vec![error])?
    };
    let tasks = plan.with_all_above(&roots);
    let console = &session.host.console;
    console.print(&match arguments.format {
        Drawing::Tree => tree(&plan, &tasks, console),
        Drawing::Dot => dot(&plan, &tasks),
        Drawing::Mermaid => mermaid(&plan, &tasks),
        Drawing::Json => format!("{:#}\n", as_json(&plan, &tasks)),
        Drawing::Svg => svg(&plan, &tasks),
        Drawing::Html => html(&plan, &tasks),
    });
    Ok(Exit::Done)
}

/// Under each task those that it waits for; what was shown before is not repeated.
fn tree(plan: &Plan, tasks: &[TaskId], console: &Console) -> String {
    let mut text = String::new();
    let mut shown = BTreeSet::new();
    let taking_part: BTreeSet<_> = tasks.iter().collect();
    for task in tasks {
        if !plan.below(*task).iter().any(|(below, _)| taking_part.contains(below)) {
            text.push_str(&plan.tasks[*task].name);
            text.push('\n');
            shown.insert(*task);
            branch(plan, *task, "", &mut shown, console, &mut text);
        }
    }
    text
}

fn branch(
    plan: &Plan,
    task: TaskId,
    indent: &str,
    shown: &mut BTreeSet<TaskId>,
    console: &Console,
    text: &mut String,
) {
    let above = plan.above(task);
    for (position, (other, relation)) in above.iter().enumerate() {
        let last = position + 1 == above.len();
        let (fork, rest) = if last { ("└── ", "    ") } else { ("├── ", "│   ") };
        let after = if *relation == Relation::After { "after " } else { "" };
        let first_time = shown.insert(*other);
        let again = !first_time && !plan.above(*other).is_empty();
        let _ = writeln!(
            text,
            "{}{}{}",
            console.styled(FAINT, &format!("{indent}{fork}{after}")),
            plan.tasks[*other].name,
            if again { console.styled(FAINT, " …") } else { String::new() }
        );
        if first_time {
            branch(plan, *other, &format!("{indent}{rest}"), shown, console, text);
        }
    }
}

fn html(plan: &Plan, tasks: &[TaskId]) -> String {
    let mut data = as_json(plan, tasks)["tasks"].take();
    for (object, id) in data.as_array_mut().into_iter().flatten().zip(tasks) {
        object["id"] = json!(id);
        object["command"] = json!(text(&plan.tasks[*id]));
    }
    // Within a script nothing is escaped, so that nothing may look like its end.
    let data = data.to_string().replace("</", "<\\/");
    PAGE.replacen("@SVG@", &svg(plan, tasks), 1).replacen("@DATA@", &data, 1)
}

fn edges(plan: &Plan, tasks: &[TaskId]) -> Vec<(TaskId, TaskId, Relation)> {
    let above = |task: &TaskId| {
        let task = *task;
        plan.above(task).into_iter().map(move |(above, relation)| (above, task, relation))
    };
    tasks.iter().flat_map(above).collect()
}

fn dot(plan: &Plan, tasks: &[TaskId]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let mut text = "digraph tasks {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n".to_owned();
    for task in tasks {
        let tooltip = plan.definition(*task).description.as_deref().unwrap_or_default();
        let _ = writeln!(text, "  {} [tooltip={}];", quoted(&plan.tasks[*task].name), quoted(tooltip));
    }
    for (above, task, relation) in edges(plan, tasks) {
        let style = if relation == Relation::After { " [style=dashed]" } else { "" };
        let (above, task) = (quoted(&plan.tasks[above].name), quoted(&plan.tasks[task].name));
        let _ = writeln!(text, "  {above} -> {task}{style};");
    }
    text.push_str("}\n");
    text
}

fn mermaid(plan: &Plan, tasks: &[TaskId]) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for task in tasks {
        // Numbers as names: Mermaid takes few characters in those, and any in a quoted label.
        let _ = writeln!(text, "  t{task}[\"{}\"]", plan.tasks[*task].name.replace('"', "#quot;"));
    }
    for (above, task, relation) in edges(plan, tasks) {
        let arrow = if relation == Relation::After { "-.->" } else { "-->" };
        let _ = writeln!(text, "  t{above} {arrow} t{task}");
    }
    text
}

fn as_json(plan: &Plan, tasks: &[TaskId]) -> serde_json::Value {
    let tasks: Vec<_> = tasks
        .iter()
        .map(|id| {
            let task = &plan.tasks[*id];
            let names = |wanted: Relation| -> Vec<_> {
                let above = plan.above(*id).into_iter().filter(|(_, relation)| *relation == wanted);
                above.map(|(above, _)| plan.tasks[above].name.clone()).collect()
            };
            json!({
                "name": task.name,
                "description": plan.definition(*id).description,
                "inputs": task.inputs.iter().map(|input| input.pattern.text()).collect::<Vec<_>>(),
                "outputs": task.outputs.iter().map(|output| &output.path).collect::<Vec<_>>(),
                "reads_from": names(Relation::Data),
                "after": names(Relation::After),
            })
        })
        .collect();
    json!({ "tasks": tasks })
}
