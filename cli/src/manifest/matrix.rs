//! A task with a matrix is one instance for each combination of its parameters, in the order in which the values are written:
//! `plot[oslo]`, or with two parameters `plot[oslo,2012]`.

use super::Definition;

/// One combination: the part of the name in brackets (empty without a matrix), and the values of the parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The task's name with the values of the parameters.
    pub name: String,
    /// Parameter and value, in order of declaration.
    pub parameters: Vec<(String, String)>,
}

/// All instances of a task.
pub fn instances(task: &Definition) -> Vec<Instance> {
    let mut combinations = vec![Vec::new()];
    for (parameter, values) in &task.matrix {
        combinations = combinations
            .into_iter()
            .flat_map(|combination: Vec<(String, String)>| {
                values.iter().map(move |value| {
                    let mut combination = combination.clone();
                    combination.push((parameter.value.clone(), value.clone()));
                    combination
                })
            })
            .collect();
    }
    combinations
        .into_iter()
        .map(|parameters| {
            let values: Vec<_> = parameters.iter().map(|(_, value)| value.as_str()).collect();
            let name = if values.is_empty() {
                task.name.value.clone()
            } else {
                format!("{}[{}]", task.name.value, values.join(","))
            };
            Instance { name, parameters }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::parse::parse;

    #[test]
    fn later_parameters_vary_fastest() {
        let text = "[task.p]\nrun = 'x'\nmatrix = { s = ['oslo', 'rome'], y = [1, 2] }\n";
        let manifest = parse(Path::new("f"), text.into()).expect("is fine");
        let names: Vec<_> = instances(&manifest.tasks[0]).into_iter().map(|instance| instance.name).collect();
        assert_eq!(names, ["p[oslo,1]", "p[oslo,2]", "p[rome,1]", "p[rome,2]"]);
    }
}
