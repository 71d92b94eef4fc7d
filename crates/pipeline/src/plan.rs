//! What a pipeline would do.

use std::{fmt, time::Duration};

use crate::{Definition, OnError, Stage, Step, input::Input};

/// What a pipeline would do; printed, it is for people.
#[derive(Debug, Clone)]
pub struct Plan {
    lines: Vec<String>,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines.join("\n"))
    }
}

pub(crate) fn of(definition: &Definition, input: &Input) -> Plan {
    let mut lines = vec![match definition.description.as_str() {
        "" => definition.name.clone(),
        description => format!("{}: {description}", definition.name),
    }];
    let names: Vec<_> = input
        .names()
        .into_iter()
        .map(|(name, is_required)| if is_required { name.to_owned() } else { format!("{name} (optional)") })
        .collect();
    lines.push(format!("input: {}", if names.is_empty() { "none".to_owned() } else { names.join(", ") }));
    for (at, step) in definition.steps.iter().enumerate() {
        let number = at + 1;
        match step {
            Step::Stage(one) => stage(&mut lines, &format!("{number}."), one, ""),
            Step::Parallel(stages) => {
                lines.push(format!("{number}. side by side:"));
                for (within, one) in stages.iter().enumerate() {
                    stage(&mut lines, &format!("{number}.{}.", within + 1), one, "   ");
                }
            }
        }
    }
    lines.push(match &definition.output {
        Some(output) => format!("result: {output}"),
        None => "result: that of the last stage".to_owned(),
    });
    lines.push(format!(
        "limits: {} for all of it, {} bytes for the results of each stage",
        told(definition.timeout),
        definition.max_output_bytes
    ));
    Plan { lines }
}

fn stage(lines: &mut Vec<String>, number: &str, stage: &Stage, indent: &str) {
    let Stage { name, tool, arguments, for_each, concurrency, timeout, on_error } = stage;
    let each = match for_each {
        Some(list) => format!(" for each item of {}, {concurrency} at a time", list.trim()),
        None => String::new(),
    };
    lines.push(format!("{indent}{number} {name}: {tool}{each}"));
    for (argument, value) in arguments {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.push(format!("{indent}   {argument} = {value}"));
    }
    if let Some(timeout) = timeout {
        lines.push(format!("{indent}   each call has {}", told(*timeout)));
    }
    if *on_error == OnError::Continue {
        lines.push(format!("{indent}   a call that fails gives null, and the pipeline goes on"));
    }
}

/// A time for people: `10 min`, `1.5 s`.
pub(crate) fn told(time: Duration) -> String {
    match time.as_secs() {
        seconds if seconds >= 60 && seconds % 60 == 0 && time.subsec_nanos() == 0 => {
            format!("{} min", seconds / 60)
        }
        0 => format!("{} ms", time.as_millis()),
        _ => format!("{} s", time.as_secs_f64()),
    }
}
