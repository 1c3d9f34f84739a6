//! `fleche list`: the tasks with their descriptions.

use serde_json::json;

use super::{Result, Session};
use crate::arguments::{Format, List};
use crate::console::{FAINT, NAME, table};
use crate::host::Exit;

/// Runs the command.
pub fn run(session: &Session<'_>, arguments: &List) -> Result {
    let plan = session.project()?.plan;
    let console = &session.host.console;
    let mut rows = Vec::new();
    for (id, task) in plan.tasks.iter().enumerate() {
        let definition = plan.definition(id);
        if arguments.format == Format::Json {
            let inputs: Vec<_> = task.inputs.iter().map(|input| input.pattern.text()).collect();
            let outputs: Vec<_> = task.outputs.iter().map(|output| &output.path).collect();
            let line = json!({
                "task": task.name, "description": definition.description, "inputs": inputs, "outputs": outputs,
            });
            console.print(&format!("{line}\n"));
            continue;
        }
        // All instances in one row: they differ in one word only.
        let first = plan.find(&definition.name.value).is_ok_and(|all| all.first() == Some(&id));
        if first {
            let name = console.styled(NAME, &definition.name.value);
            let parameters: Vec<_> = definition
                .matrix
                .iter()
                .map(|(name, values)| format!("{}: {}", name.value, values.join(" ")))
                .collect();
            let parameters =
                if parameters.is_empty() { String::new() } else { format!("[{}]", parameters.join(", ")) };
            let description = definition.description.clone().unwrap_or_default();
            rows.push(vec![format!("{name}{}", console.styled(FAINT, &parameters)), description]);
        }
    }
    if arguments.format == Format::Text {
        let none = || format!("{} has no tasks\n", plan.manifest.source.name());
        console.print(&if rows.is_empty() { none() } else { table(&rows) });
    }
    Ok(Exit::Done)
}
