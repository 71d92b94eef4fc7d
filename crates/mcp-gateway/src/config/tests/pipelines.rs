//! Pipelines.

use std::{fs, time::Duration};

use ledger::{Location, Owner};

use super::{Config, parse};

const UPSTREAM: &str = "[upstream.a]\nurl = \"http://x/mcp\"\n";

fn lines(text: &str) -> Vec<String> {
    let told = parse(&format!("{text}\n{UPSTREAM}")).unwrap_err();
    told.lines().map(|line| line.trim_start_matches("gateway.toml:").to_owned()).collect()
}

#[test]
fn a_pipeline_can_say_everything() {
    let config = parse(&format!(
        r#"{UPSTREAM}
        [pipeline.research]
        description = "Search, then summarise each hit"
        input = {{ topic = {{ type = "string" }}, most = {{ type = "integer", default = 5 }} }}
        timeout = "2m"
        max_output_bytes = 4096
        output = {{ summary = "{{{{ summaries[0].text }}}}" }}
        [[pipeline.research.stage]]
        name = "hits"
        tool = "search__query"
        arguments = {{ q = "{{{{ input.topic }}}}", since = 2026-01-01, most = "{{{{ input.most }}}}" }}
        timeout = "20s"
        [[pipeline.research.stage]]
        name = "summaries"
        for_each = "{{{{ hits.structured.items }}}}"
        concurrency = 2
        tool = "messenger__ask"
        arguments = {{ message = "{{{{ item.text }}}}" }}
        on_error = "continue"
        [[pipeline.research.stage]]
        parallel = [{{ name = "x", tool = "a__x" }}, {{ name = "y", tool = "a__y" }}]
        "#
    ))
    .unwrap();
    let [pipeline] = config.gateway.pipelines.as_slice() else { panic!("{:?}", config.gateway.pipelines) };
    assert_eq!((pipeline.name(), pipeline.description()), ("research", "Search, then summarise each hit"));
    assert_eq!(pipeline.tools(), ["search__query", "messenger__ask", "a__x", "a__y"]);
    let schema = pipeline.input_schema();
    assert_eq!(schema["properties"]["topic"]["type"], "string");
    assert_eq!(schema["required"], serde_json::json!(["topic"]));
    let definition = format!("{pipeline:?}");
    for said in [&format!("{:?}", Duration::from_secs(120)), "4096", "Continue", "Parallel", "2026-01-01"] {
        assert!(definition.contains(said), "{said}: {definition}");
    }
}

#[test]
fn each_configuration_has_a_ledger_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("more")).unwrap();
    let text = format!(
        "{UPSTREAM}[pipeline.p]\ndescription = \"x\"\nstage = [{{ name = \"s\", tool = \"a__t\" }}]\n"
    );
    let ledger = |name: &str| {
        let file = folder.path().join(name);
        fs::write(&file, &text).unwrap();
        match Config::read(&file).unwrap().files.ledger {
            Some(Location::File(path)) => path,
            other => panic!("{other:?}"),
        }
    };

    let production = ledger("production.toml");

    let Ok(Location::File(shared)) = Location::in_data_folder(Owner::Gateway) else {
        panic!("no data folder")
    };
    assert_eq!(production.parent(), shared.parent());
    assert_ne!(production, shared);
    assert_ne!(production, ledger("test.toml"), "by its name");
    assert_ne!(production, ledger("more/production.toml"), "by its folder");
    assert_eq!(production, ledger("more/../production.toml"), "the same file");
}

#[test]
fn a_pipeline_never_calls_itself() {
    assert_eq!(
        lines("[pipeline.p]\ndescription = \"x\"\nstage = [{ name = \"s\", tool = \"p\" }]"),
        ["3:31: a pipeline cannot use itself"]
    );
    assert_eq!(
        lines(
            "[pipeline.b]\ndescription = \"x\"\nstage = [{ parallel = [{ name = \"s\", tool = \"c\" }] }]\n\
             [pipeline.c]\ndescription = \"x\"\nstage = [{ name = \"s\", tool = \"a\" }]\n\
             [pipeline.a]\ndescription = \"x\"\nstage = [{ name = \"s\", tool = \"b\" }]"
        ),
        ["9:31: the pipeline would call itself: a → b → c → a"]
    );
}

#[test]
fn mistakes_in_pipelines_are_told_with_the_place_of_what_they_are_about() {
    let mut wrong = Vec::new();
    let with = |members: &str| format!("[pipeline.p]\ndescription = \"x\"\n{members}");
    for (text, reason) in [
        (
            "[pipeline.\"a b\"]\ndescription = \"x\"\nstage = [{ name = \"s\", tool = \"t\" }]".to_owned(),
            "1:1: the name must have 1 to 64",
        ),
        (
            "[pipeline.batch]\ndescription = \"x\"\nstage = [{ name = \"s\", tool = \"t\" }]".to_owned(),
            "1:1: batch is a tool of the gateway itself",
        ),
        (
            "[pipeline.p]\ndescription = \" \"\nstage = [{ name = \"s\", tool = \"t\" }]".to_owned(),
            "2:15: models choose tools by their descriptions",
        ),
        (with("stage = [{ tool = \"t\" }]"), "3:10: a stage needs a name"),
        (with("stage = [{ name = \"s\" }]"), "3:10: a stage needs a tool"),
        (
            with("stage = [{ name = \"s\", tool = \"t\", concurrency = 2 }]"),
            "3:50: concurrency is for stages",
        ),
        (with("stage = [{ name = \"s\", tool = \"t\", timeout = \"x\" }]"), "3:46: allowed is a time"),
        (with("stage = [{ name = \"s\", tool = \"t\", on_error = \"x\" }]"), "3:47: "),
        (
            with("stage = [{ tool = \"t\", parallel = [{ name = \"a\", tool = \"t\" }] }]"),
            "3:19: a parallel group has nothing but its stages",
        ),
        (
            with("stage = [{ parallel = [{ name = \"a\", tool = \"t\", parallel = [] }] }]"),
            "3:61: a parallel group has no groups in it",
        ),
        (with("max_output_bytes = 5\nstage = [{ name = \"s\", tool = \"t\" }]"), "3:20: allowed is 1024"),
        (with("stage = [{ name = \"s\", tool = \"t\", arguments = { a = nan } }]"), "3:"),
        (
            with("stage = [{ name = \"s\", tool = \"t\", arguments = { a = \"{{ later.text }}\" } }]"),
            "3:48: ",
        ),
        (with("stage = [{ name = \"s\", tool = \"t\", for_each = \"{{ item }\" }]"), "3:47: "),
        (with("output = \"{{ nothing.text }}\"\nstage = [{ name = \"s\", tool = \"t\" }]"), "3:10: "),
        (with("stage = []"), "3:9: "),
        (
            with("stage = [{ parallel = [{ name = \"s\", tool = \"t\" }, { name = \"s\", tool = \"t\" }] }]"),
            "3:61: ",
        ),
    ] {
        let told = lines(&text);
        if told.len() != 1 || !told[0].starts_with(reason) {
            wrong.push(format!("{text}\n{reason}\n{told:?}\n"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
}
