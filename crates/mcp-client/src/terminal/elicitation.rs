//! What servers ask of the person at the terminal: forms, field by field, and links.

use std::sync::Arc;

use rmcp::model::{ElicitResult, ElicitationAction, ElicitationSchema, JsonObject};
use serde_json::Value;
use url::Url;

use super::{
    editor::{Candidate, LineAid, Read},
    field::{Field, fields, listed},
    keyboard::Turn,
    screen::Screen,
};
use crate::render::plain::{visible, visible_line};

const KEYS: &str =
    "\n(Enter takes the default or leaves an optional field out; /back, /decline, /cancel or Ctrl-C)";

/// How the answer to one field ended.
enum Answer {
    Given(Option<Value>),
    Back,
    Ended(ElicitationAction),
}

/// Asks for a form. `from` is the server's name, which stands above everything that it says.
pub(super) async fn form(
    screen: &Screen,
    turn: &Turn<'_>,
    from: &str,
    message: &str,
    form: &ElicitationSchema,
) -> ElicitResult {
    let fields = fields(form);
    screen.remark(&format!(
        "\n{} asks: {}{}",
        visible_line(from),
        visible(message),
        if fields.is_empty() { "" } else { KEYS },
    ));
    loop {
        let content = match fill_in(screen, turn, &fields).await {
            Ok(content) => content,
            Err(action) => return ElicitResult::new(action),
        };
        match confirm(screen, turn, from, &fields, &content).await {
            Some(ElicitationAction::Accept) => {
                return ElicitResult::new(ElicitationAction::Accept).with_content(Value::Object(content));
            }
            Some(action) => return ElicitResult::new(action),
            None => {}
        }
    }
}

async fn fill_in(
    screen: &Screen,
    turn: &Turn<'_>,
    fields: &[Field],
) -> Result<JsonObject, ElicitationAction> {
    let mut content = JsonObject::new();
    let mut at = 0;
    while let Some(field) = fields.get(at) {
        screen.remark(&field.explained());
        match one(screen, turn, field).await {
            Answer::Given(value) => {
                content.remove(&field.name);
                content.extend(value.map(|value| (field.name.clone(), value)));
                at += 1;
            }
            Answer::Back => at = at.saturating_sub(1),
            Answer::Ended(action) => return Err(action),
        }
    }
    Ok(content)
}

async fn one(screen: &Screen, turn: &Turn<'_>, field: &Field) -> Answer {
    let aid: Arc<dyn LineAid> = Arc::new(Choices::of(field));
    loop {
        let line = match turn.ask(&field.prompt(), Arc::clone(&aid)).await {
            Read::Line(line) => line,
            Read::Interrupted | Read::End => return Answer::Ended(ElicitationAction::Cancel),
        };
        match line.trim() {
            "/back" => return Answer::Back,
            "/decline" => return Answer::Ended(ElicitationAction::Decline),
            "/cancel" => return Answer::Ended(ElicitationAction::Cancel),
            answer => match field.read(answer) {
                Ok(value) => return Answer::Given(value),
                Err(problem) => screen.remark(&format!("  it {}", visible(&problem))),
            },
        }
    }
}

/// `None`: once more.
async fn confirm(
    screen: &Screen,
    turn: &Turn<'_>,
    from: &str,
    fields: &[Field],
    content: &JsonObject,
) -> Option<ElicitationAction> {
    let from = visible_line(from);
    let mut shown = format!("This would be sent to {from}:");
    for (name, value) in fields.iter().filter_map(|field| Some((&field.name, content.get(&field.name)?))) {
        shown += &format!("\n  {}: {}", visible_line(name), visible_line(&listed(value)));
    }
    if content.is_empty() {
        shown += "\n  nothing but your consent";
    }
    screen.remark(&shown);
    let prompt = format!("send it to {from}? (y = send, e = edit, d = decline, c = cancel): ");
    loop {
        match key(turn, &prompt).await.as_str() {
            "y" | "yes" | "accept" => return Some(ElicitationAction::Accept),
            "e" | "edit" | "/back" => return None,
            "d" | "decline" | "/decline" | "n" | "no" => return Some(ElicitationAction::Decline),
            "c" | "cancel" | "/cancel" => return Some(ElicitationAction::Cancel),
            _ => {}
        }
    }
}

/// Shows a link with its host, and opens it only when told to.
pub(super) async fn link(
    screen: &Screen,
    turn: &Turn<'_>,
    from: &str,
    message: &str,
    address: &str,
) -> ElicitResult {
    let from = visible_line(from);
    let Some(url) = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
        screen.remark(&format!(
            "{from} wants a link to be opened that is not one of the web, so it was declined: {}",
            visible_line(address)
        ));
        return ElicitResult::new(ElicitationAction::Decline);
    };
    screen.remark(&format!(
        "\n{from} asks you to open a link: {}\n  link: {}\n  host: {}{}",
        visible(message),
        visible_line(address),
        visible_line(url.host_str().unwrap_or("none")),
        doubts(&url),
    ));
    let prompt = "open it? (o = open in the browser, y = I open it myself, d = decline, c = cancel): ";
    loop {
        let action = match key(turn, prompt).await.as_str() {
            "o" | "open" => {
                open(screen, &url);
                ElicitationAction::Accept
            }
            "y" | "yes" => ElicitationAction::Accept,
            "d" | "decline" | "n" | "no" => ElicitationAction::Decline,
            "c" | "cancel" => ElicitationAction::Cancel,
            _ => continue,
        };
        return ElicitResult::new(action);
    }
}

/// What makes a link look like another one.
fn doubts(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let mut doubts = Vec::new();
    if url.scheme() == "http" && !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
        doubts.push("it is not encrypted");
    }
    if !url.username().is_empty() || url.password().is_some() {
        doubts.push("what stands before @ is not its host");
    }
    if host.split('.').any(|label| label.starts_with("xn--")) {
        doubts.push("its host has letters that can look like others");
    }
    doubts.into_iter().map(|doubt| format!("\n  take care: {doubt}")).collect()
}

/// The browser is a program of the person: it is started, and not waited for.
fn open(screen: &Screen, url: &Url) {
    use std::process::Stdio;
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = tokio::process::Command::new(program);
    command.arg(url.as_str()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    #[cfg(unix)]
    command.process_group(0); // Ctrl-C is for us
    match command.spawn() {
        // The runtime reaps it.
        Ok(_) => {}
        Err(error) => {
            screen.remark(&format!("{program} cannot be started ({error}): open the link yourself"))
        }
    }
}

/// One word in small letters; leaving is cancelling.
pub(super) async fn key(turn: &Turn<'_>, prompt: &str) -> String {
    match turn.ask(prompt, Arc::new(())).await {
        Read::Line(line) => line.trim().to_lowercase(),
        Read::Interrupted | Read::End => "c".to_owned(),
    }
}

/// Completes the choices of a field.
struct Choices {
    values: Vec<String>,
}

impl Choices {
    fn of(field: &Field) -> Self {
        Self {
            values: field.choices().iter().map(|choice| visible_line(&choice.value).into_owned()).collect(),
        }
    }
}

impl LineAid for Choices {
    fn complete(&self, line: &str, cursor: usize) -> (usize, Vec<Candidate>) {
        let before = line.get(..cursor).unwrap_or(line);
        let start = before.rfind(',').map_or(0, |comma| comma + 1);
        let start = start + (before[start..].len() - before[start..].trim_start().len());
        let word = &before[start..];
        let fits = |value: &&String| value.to_lowercase().starts_with(&word.to_lowercase());
        let candidate = |value: &String| Candidate { text: value.clone(), about: String::new() };
        (start, self.values.iter().filter(fits).map(candidate).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_may_deceive_says_so() {
        let doubts = |url: &str| doubts(&url.parse().unwrap());
        assert_eq!(doubts("https://example.org/x"), "");
        assert_eq!(doubts("http://127.0.0.1:80/x"), "");
        assert!(doubts("http://example.org").contains("not encrypted"));
        assert!(doubts("https://bank.com@evil.org/").contains("before @"));
        assert!(doubts("https://аpple.com/").contains("look like others"));
    }

    #[test]
    fn choices_are_completed_after_each_comma() {
        let choices = Choices { values: vec!["red".into(), "green".into(), "rose".into()] };
        let texts = |line: &str| {
            let (start, found) = choices.complete(line, line.len());
            (start, found.into_iter().map(|candidate| candidate.text).collect::<Vec<_>>())
        };
        assert_eq!(texts("r"), (0, vec!["red".to_owned(), "rose".to_owned()]));
        assert_eq!(texts("red, g"), (5, vec!["green".to_owned()]));
    }
}
