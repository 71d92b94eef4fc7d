//! Five hundred tools that nobody asks for, and that resemble those that are asked for: 25 services, 5 things each, 4 verbs each.

use serde_json::{Value, json};

use super::Asked;

/// A verb, what its tools do (`%` is the thing, `$` more than one, `@` the service), and their parameters besides `workspace`.
pub(super) type Verb = (String, String, Vec<String>);

/// The tools, each with its public name.
pub(super) fn distractors(asked: &Asked) -> Vec<Value> {
    let services = asked.services.iter();
    let things = services.flat_map(|(service, things)| things.iter().map(move |thing| (service, thing)));
    let tools = things.enumerate().flat_map(|(number, (service, thing))| {
        let verbs = asked.verbs.iter().cycle().skip(number * 3).take(4);
        verbs.map(move |verb| tool(service, thing, verb))
    });
    tools.collect()
}

fn tool(service: &str, thing: &str, (verb, description, parameters): &Verb) -> Value {
    let name = format!("{service}__{verb}_{}", thing.replace(' ', "_"));
    let description = description.replace('%', thing).replace('$', &several(thing)).replace('@', service);
    let properties = parameters.iter().map(String::as_str).chain(["workspace"]).map(|parameter| {
        let says = format!("The {} of the {thing}", parameter.replace('_', " "));
        (parameter.to_owned(), json!({"type": "string", "description": says}))
    });
    let properties = Value::Object(properties.collect());
    let schema = json!({"type": "object", "properties": properties, "required": [parameters[0]]});
    json!({"name": name, "description": description, "inputSchema": schema})
}

fn several(thing: &str) -> String {
    match thing.strip_suffix('y').filter(|rest| !rest.ends_with(['a', 'e', 'o'])) {
        Some(rest) => format!("{rest}ies"),
        None => format!("{thing}s"),
    }
}
