//! Draws a task graph as SVG: a column for each step from the first tasks to the last, edges as curves between them.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::plan::{Plan, Relation, TaskId};

/// Sweeps over the columns that bring neighbours near each other.
const SWEEPS: usize = 8;
const LETTER: f64 = 7.3;
const PADDING: f64 = 14.0;
const HEIGHT: f64 = 26.0;
const ROW: f64 = 40.0;
const GAP: f64 = 70.0;
const MARGIN: f64 = 20.0;

/// Where a task is drawn.
struct Place {
    x: f64,
    y: f64,
    width: f64,
}

/// The picture of `tasks`, which come in the plan's order.
pub fn svg(plan: &Plan, tasks: &[TaskId]) -> String {
    let columns = columns(plan, tasks);
    let (places, width, height) = places(plan, &columns);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"ui-monospace, monospace\" font-size=\"12\">\n\
         <style>\n\
         .task rect {{ fill: #f4f1ea; stroke: #6b6454; }}\n\
         .task text {{ fill: #1f1d18; }}\n\
         .edge {{ fill: none; stroke: #9a927f; stroke-width: 1.2; }}\n\
         .after {{ stroke-dasharray: 4 3; }}\n\
         </style>\n"
    );
    for task in tasks {
        for (above, relation) in plan.above(*task) {
            let (Some(from), Some(to)) = (places.get(&above), places.get(task)) else { continue };
            let (x1, y1) = (from.x + from.width, from.y + HEIGHT / 2.0);
            let (x2, y2) = (to.x, to.y + HEIGHT / 2.0);
            let bend = ((x2 - x1) / 2.0).max(20.0);
            let class = if relation == Relation::After { "edge after" } else { "edge" };
            let _ = writeln!(
                text,
                "<path class=\"{class}\" data-from=\"{above}\" data-to=\"{task}\" \
                 d=\"M{x1:.1} {y1:.1} C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}\"/>",
                x1 + bend,
                x2 - bend
            );
        }
    }
    for task in tasks {
        let Some(Place { x, y, width }) = places.get(task) else { continue };
        let name = escape(&plan.tasks[*task].name);
        let title = plan.definition(*task).description.as_deref().map(escape).unwrap_or_default();
        let _ = writeln!(
            text,
            "<g class=\"task\" data-task=\"{task}\"><title>{title}</title>\
             <rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{HEIGHT}\" rx=\"5\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text></g>",
            x + width / 2.0,
            y + HEIGHT / 2.0 + 4.0
        );
    }
    text.push_str("</svg>\n");
    text
}

/// A text as it may stand in XML, also within quotes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Each task one column right of the last one that it waits for; within a column near those that it is linked with.
fn columns(plan: &Plan, tasks: &[TaskId]) -> Vec<Vec<TaskId>> {
    let mut column: HashMap<TaskId, usize> = HashMap::new();
    let mut columns: Vec<Vec<TaskId>> = Vec::new();
    for task in tasks {
        let above = plan.above(*task);
        let at = above.iter().filter_map(|(above, _)| column.get(above)).max().map_or(0, |last| last + 1);
        column.insert(*task, at);
        if columns.len() <= at {
            columns.resize(at + 1, Vec::new());
        }
        columns[at].push(*task);
    }
    for sweep in 0..SWEEPS {
        let mut rank: HashMap<TaskId, f64> = HashMap::new();
        for tasks in &columns {
            for (row, task) in tasks.iter().enumerate() {
                rank.insert(*task, position(row, tasks.len()));
            }
        }
        let forwards = sweep % 2 == 0;
        for tasks in &mut columns {
            let wish = |task: &TaskId| {
                let linked = if forwards { plan.above(*task) } else { plan.below(*task) };
                let ranks: Vec<f64> =
                    linked.iter().filter_map(|(other, _)| rank.get(other)).copied().collect();
                match ranks.len() {
                    0 => rank[task],
                    count => ranks.iter().sum::<f64>() / as_float(count),
                }
            };
            tasks.sort_by(|a, b| wish(a).total_cmp(&wish(b)).then(a.cmp(b)));
        }
    }
    columns
}

/// The middle of a column is 0, whatever its length.
fn position(row: usize, length: usize) -> f64 {
    as_float(row) - (as_float(length) - 1.0) / 2.0
}

fn places(plan: &Plan, columns: &[Vec<TaskId>]) -> (HashMap<TaskId, Place>, f64, f64) {
    let longest = as_float(columns.iter().map(Vec::len).max().unwrap_or(1));
    let height = longest * ROW + 2.0 * MARGIN;
    let mut places = HashMap::new();
    let mut x = MARGIN;
    for tasks in columns {
        let width = |task: &TaskId| as_float(plan.tasks[*task].name.chars().count()) * LETTER + 2.0 * PADDING;
        let widest = tasks.iter().map(width).fold(0.0, f64::max);
        for (row, task) in tasks.iter().enumerate() {
            let y = height / 2.0 + position(row, tasks.len()) * ROW - HEIGHT / 2.0;
            places.insert(*task, Place { x, y, width: width(task) });
        }
        x += widest + GAP;
    }
    (places, (x - GAP + MARGIN).max(2.0 * MARGIN), height)
}

#[expect(clippy::cast_precision_loss, reason = "counts of things that are drawn are small")]
fn as_float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::manifest::parse::parse;

    #[test]
    fn columns_follow_the_longest_way() {
        let text = "[task.a]\nrun='x'\noutputs=['a']\n[task.b]\nrun='x'\ninputs=['a']\noutputs=['b']\n\
                    [task.c]\nrun='x'\ninputs=['a','b']\n[task.d]\nrun='x'\noutputs=['d<']\n";
        let plan =
            Plan::new(Path::new("/p"), parse(Path::new("f"), text.into()).expect("parses")).expect("plans");
        let columns = columns(&plan, &plan.order);
        assert_eq!(columns.len(), 3);
        assert_eq!((columns[0].len(), &columns[1], &columns[2]), (2, &vec![1], &vec![2]));
        let svg = svg(&plan, &plan.order);
        assert_eq!(svg.matches("<g class=\"task\"").count(), 4);
        assert_eq!(svg.matches("<path class=\"edge\"").count(), 3);
    }

    #[test]
    fn names_cannot_break_out() {
        assert_eq!(escape("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
    }
}
