//! The commands: their names, and what `help` says about them.

use crate::arguments::nearest;

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Servers,
    Add,
    Remove,
    Tools,
    Tool,
    Call,
    Broadcast,
    Resources,
    Read,
    Prompts,
    Prompt,
    Complete,
    Subscribe,
    Unsubscribe,
    Log,
    Ping,
    Info,
    History,
    Clear,
    Help,
    Quit,
}

/// What a word after a command is, for completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    Server,
    /// A tool of the server before it, or of any.
    Tool,
    Resource,
    Prompt,
    Transport,
    Level,
    Command,
    /// Nothing is known about it.
    Free,
    /// Arguments of the tool before it; the rest of the line.
    ToolArguments,
    /// Arguments of the prompt before it; the rest of the line.
    PromptArguments,
}

/// One command.
pub(super) struct Entry {
    pub(super) verb: Verb,
    /// The first is the one that is shown.
    pub(super) names: &'static [&'static str],
    pub(super) usage: &'static str,
    pub(super) about: &'static str,
    /// More, for `help COMMAND`.
    pub(super) more: &'static str,
    pub(super) slots: &'static [Slot],
}

const fn entry(
    verb: Verb,
    names: &'static [&'static str],
    usage: &'static str,
    about: &'static str,
    more: &'static str,
    slots: &'static [Slot],
) -> Entry {
    Entry { verb, names, usage, about, more, slots }
}

const CALL: &str = "\
ARGS are pairs, JSON, or plain text for a tool that needs one value:
  call calc math_calc expression=\"2 + 2\"
  call calc math_calc {\"expression\": \"2 + 2\"}
  call calc math_calc 2 + 2
Pairs get the types of the tool's schema: count=3 tags=a,b at.x=1 list=[1,2]; text=@FILE reads a file, @@ is one @.
What is required and missing is asked for. NAME can be left out when only one server has the tool.
Ctrl-C cancels the call. MCP's own methods work too: call NAME tools/list, resources/read {\"uri\": …}, ping.";

const ADD: &str = "\
ADDRESS is HOST:PORT, a URL, or stdio:COMMAND ARGUMENTS. TRANSPORT is http (the default), sse or websocket.
A server that cannot be reached is kept, shown as disconnected, and tried again whenever it is used: `remove` drops it.";

/// All of them, in the order of `help`.
pub(super) const ENTRIES: &[Entry] = &[
    entry(Verb::Servers, &["servers", "ls"], "servers", "all servers, and how they are doing", "", &[]),
    entry(
        Verb::Add,
        &["add", "connect"],
        "add NAME ADDRESS [TRANSPORT]",
        "add a server",
        ADD,
        &[Slot::Free, Slot::Free, Slot::Transport],
    ),
    entry(
        Verb::Remove,
        &["remove", "rm", "disconnect"],
        "remove NAME",
        "close a server and forget it",
        "",
        &[Slot::Server],
    ),
    entry(Verb::Info, &["info"], "info [NAME]", "what a server says of itself", "", &[Slot::Server]),
    entry(Verb::Ping, &["ping"], "ping [NAME]", "ask for a sign of life", "", &[Slot::Server]),
    entry(Verb::Tools, &["tools"], "tools [NAME]", "the tools of one server, or of all", "", &[Slot::Server]),
    entry(
        Verb::Tool,
        &["tool", "describe"],
        "tool [NAME] TOOL",
        "one tool and its arguments in detail",
        "",
        &[Slot::Server, Slot::Tool],
    ),
    entry(
        Verb::Call,
        &["call"],
        "call [NAME] TOOL [ARGS]",
        "call a tool",
        CALL,
        &[Slot::Server, Slot::Tool, Slot::ToolArguments],
    ),
    entry(
        Verb::Broadcast,
        &["broadcast", "all"],
        "broadcast TOOL [ARGS]",
        "call a tool on all servers at once",
        "Each answer is shown when it comes. ARGS as for `call`, but what is missing is not asked for.",
        &[Slot::Tool, Slot::ToolArguments],
    ),
    entry(
        Verb::Resources,
        &["resources"],
        "resources [NAME]",
        "the resources of one server, or of all",
        "",
        &[Slot::Server],
    ),
    entry(Verb::Read, &["read"], "read [NAME] URI", "read a resource", "", &[Slot::Server, Slot::Resource]),
    entry(
        Verb::Subscribe,
        &["subscribe"],
        "subscribe [NAME] URI",
        "hear when a resource changes",
        "",
        &[Slot::Server, Slot::Resource],
    ),
    entry(
        Verb::Unsubscribe,
        &["unsubscribe"],
        "unsubscribe [NAME] URI",
        "not any more",
        "",
        &[Slot::Server, Slot::Resource],
    ),
    entry(
        Verb::Prompts,
        &["prompts"],
        "prompts [NAME]",
        "the prompts of one server, or of all",
        "",
        &[Slot::Server],
    ),
    entry(
        Verb::Prompt,
        &["prompt"],
        "prompt [NAME] PROMPT [ARGS]",
        "get a prompt",
        "ARGS are pairs or JSON; all values are texts.",
        &[Slot::Server, Slot::Prompt, Slot::PromptArguments],
    ),
    entry(
        Verb::Complete,
        &["complete"],
        "complete NAME PROMPT|TEMPLATE ARGUMENT [START]",
        "values that a server proposes",
        "",
        &[Slot::Server, Slot::Prompt, Slot::Free],
    ),
    entry(
        Verb::Log,
        &["log"],
        "log [NAME] LEVEL",
        "hear a server's log: debug, info, notice, warning, error, …, off",
        "",
        &[Slot::Server, Slot::Level],
    ),
    entry(
        Verb::History,
        &["history"],
        "history",
        "the last commands",
        "Lines that look like they hold a secret are not kept.",
        &[],
    ),
    entry(Verb::Clear, &["clear", "cls"], "clear", "clear the screen", "", &[]),
    entry(
        Verb::Help,
        &["help", "?", "h"],
        "help [COMMAND]",
        "this, or more about a command",
        "",
        &[Slot::Command],
    ),
    entry(Verb::Quit, &["quit", "exit", "q"], "quit", "leave; so does Ctrl-D", "", &[]),
];

/// The names of the server's log levels, and the word for none.
pub(super) const LEVELS: [&str; 9] =
    ["debug", "info", "notice", "warning", "error", "critical", "alert", "emergency", "off"];

/// The command of this name.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.names.contains(&name))
}

/// What to say to a word that is no command.
pub(super) fn unknown(name: &str) -> String {
    let names = ENTRIES.iter().flat_map(|entry| entry.names).copied();
    match nearest(name, names) {
        Some(near) => format!("there is no command `{name}`: do you mean `{near}`?"),
        None => format!("there is no command `{name}`: `help` lists them"),
    }
}

/// All commands, or one.
pub(super) fn help(name: Option<&str>) -> Result<String, String> {
    let Some(name) = name else {
        let widest = ENTRIES.iter().map(|entry| entry.usage.len()).max().unwrap_or(0).min(34);
        let lines = ENTRIES.iter().map(|entry| match entry.usage.len() > widest {
            true => format!("  {}\n  {:widest$}  {}", entry.usage, "", entry.about),
            false => format!("  {:widest$}  {}", entry.usage, entry.about),
        });
        let lines: Vec<String> = lines.collect();
        return Ok(format!(
            "{}\n\nTab completes; `help COMMAND` says more; # starts a comment.",
            lines.join("\n")
        ));
    };
    let entry = find(name).ok_or_else(|| unknown(name))?;
    let mut text = format!("{}\n  {}", entry.usage, entry.about);
    if let [_, others @ ..] = entry.names
        && !others.is_empty()
    {
        text += &format!("\n  also: {}", others.join(", "));
    }
    if !entry.more.is_empty() {
        text += &format!("\n\n{}", entry.more);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_single_commands() {
        let names: Vec<&str> = ENTRIES.iter().flat_map(|entry| entry.names).copied().collect();
        for name in &names {
            assert_eq!(names.iter().filter(|other| other == &name).count(), 1, "{name}");
        }
    }

    #[test]
    fn an_unknown_command_suggests_the_nearest() {
        assert_eq!(unknown("tolls"), "there is no command `tolls`: do you mean `tools`?");
        assert_eq!(unknown("weather"), "there is no command `weather`: `help` lists them");
    }

    #[test]
    fn help_names_every_command_and_says_more_about_one() {
        let all = help(None).unwrap();
        for entry in ENTRIES {
            assert!(all.contains(entry.usage) && all.contains(entry.about), "{}", entry.usage);
            assert!(help(Some(entry.names[0])).unwrap().starts_with(entry.usage));
        }
        assert!(help(Some("cal")).unwrap_err().contains("do you mean `call`?"));
    }
}
