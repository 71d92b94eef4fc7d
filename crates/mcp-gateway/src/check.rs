//! `mcp-gateway --check`.

use std::{fmt::Write as _, process::ExitCode, sync::Arc, time::Duration};

use gateway::{Gateway, UpstreamState, WithheldCount};
use pipeline::Pipeline;

use crate::{CommandLine, Config, Files, print};

/// How many lines are shown of what a program that failed said on its standard error.
const LAST_LINES: usize = 10;

/// Shows what each upstream offers, what of it is kept from clients, and whether pipelines have their tools; the file itself was found
/// to be right. Makes no file.
pub(crate) async fn check(line: &CommandLine, config: Config) -> anyhow::Result<ExitCode> {
    let mut report = Report { text: format!("{} is right\n", line.config.display()), is_well: true };
    report.all(config).await;
    print(&report.text)?;
    Ok(if report.is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was found.
struct Report {
    text: String,
    is_well: bool,
}

impl Report {
    async fn all(&mut self, config: Config) {
        let Config { gateway: settings, files, .. } = config;
        let pipelines = settings.pipelines.clone();
        let gateway = Gateway::new(settings);
        gateway.settled().await;
        self.upstreams(&gateway);
        self.pipelines(&gateway, &pipelines);
        self.files(&files);
        match gateway.savings() {
            Some(savings) if savings.saved_approximate_tokens == 0 => self.note(&savings.to_string()),
            Some(savings) => self.line(true, &savings.to_string()),
            None => {}
        }
        self.withheld(&gateway.withheld());
        gateway.notes().iter().for_each(|note| self.note(note));
        gateway.close(Duration::ZERO).await;
    }

    /// One thing that is well, or is not.
    fn line(&mut self, is_well: bool, text: &str) {
        self.is_well &= is_well;
        let mark = if is_well { "✓" } else { "✗" };
        let _ = writeln!(self.text, "{mark} {text}"); // memory takes all
    }

    /// What is good to know.
    fn note(&mut self, text: &str) {
        let _ = writeln!(self.text, "! {text}");
    }

    fn upstreams(&mut self, gateway: &Gateway) {
        for upstream in &gateway.health().upstreams {
            let can_be_used = matches!(
                upstream.state,
                UpstreamState::Ready | UpstreamState::Degraded | UpstreamState::Idle
            );
            let error = upstream.last_error.as_ref();
            let why = error.map(|error| format!("; {error}")).unwrap_or_default();
            self.line(
                can_be_used && error.is_none(),
                &format!("{}: {} tools{why}", upstream.name, upstream.tools),
            );
            let said = gateway.stderr(&upstream.name);
            for line in &said[said.len().saturating_sub(LAST_LINES)..] {
                let _ = writeln!(self.text, "    {line}"); // memory takes all
            }
        }
    }

    fn pipelines(&mut self, gateway: &Gateway, pipelines: &[Arc<Pipeline>]) {
        for pipeline in pipelines {
            let tools = pipeline.tools();
            let missing = tools.iter().filter(|tool| !gateway.can_call(tool)).map(|tool| {
                let explanation = gateway.explain(tool);
                let what = if explanation.kind.is_some() { "cannot be called" } else { "is not there" };
                format!("; {tool} {what}: {}", explanation.reasons.join("; "))
            });
            let missing: String = missing.collect();
            let name = pipeline.name();
            let is_well = missing.is_empty();
            self.line(is_well, &format!("pipeline {name}: calls {}{missing}", tools.join(", ")));
        }
    }

    /// A file that cannot be made is better known before it is needed.
    fn files(&mut self, files: &Files) {
        let Some(log) = &files.access_log else { return };
        if let Some(folder) = log.path.parent().filter(|folder| !folder.is_dir()) {
            self.line(false, &format!("access log: there is no folder {}", folder.display()));
        }
    }

    fn withheld(&mut self, counts: &[WithheldCount]) {
        for WithheldCount { upstream, kind, by_rules, by_pins } in counts {
            if *by_rules > 0 {
                self.note(&format!("{upstream}: rules withhold {by_rules} of its {kind}"));
            }
            if *by_pins > 0 {
                self.note(&format!(
                    "{upstream}: {by_pins} of its {kind} are withheld until they are approved: see `mcp-gateway pins diff`"
                ));
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use axum::{Json, Router, http::StatusCode, response::IntoResponse as _, routing::post};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    /// A server of the older era with one tool, `add`; the address of its endpoint.
    pub(crate) async fn adder() -> String {
        let answer = |Json(request): Json<Value>| async move {
            let result = match request["method"].as_str() {
                Some("initialize") => json!({
                    "protocolVersion": "2025-06-18",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "adder", "version": "1"},
                }),
                Some("tools/list") => json!({"tools": [{"name": "add", "inputSchema": {"type": "object"}}]}),
                Some("tools/call") => json!({"content": [{"type": "text", "text": "added"}]}),
                _ if request.get("id").is_none() => return StatusCode::ACCEPTED.into_response(),
                _ => {
                    let error = json!({"code": -32601, "message": "no such method"});
                    return Json(json!({"jsonrpc": "2.0", "id": request["id"], "error": error}))
                        .into_response();
                }
            };
            Json(json!({"jsonrpc": "2.0", "id": request["id"], "result": result})).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, Router::new().route("/mcp", post(answer))).await });
        format!("http://{address}/mcp")
    }

    #[tokio::test]
    async fn what_a_program_said_before_it_ended_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let script = "for line in 1 2 3 4 5 6 7 8 9 10; do echo line $line; done >&2; echo API_KEY is missing >&2; exit 3";
        fs::write(&file, format!("[upstream.w]\ncommand = [\"sh\", \"-c\", \"{script}\"]\n")).unwrap();
        let mut report = Report { text: String::new(), is_well: true };
        report.all(Config::read(&file).unwrap()).await;
        assert!(!report.is_well, "{}", report.text);
        assert!(report.text.contains("(exit status: 3)\n    line 2\n"), "{}", report.text);
        assert!(report.text.contains("    line 10\n    API_KEY is missing\n"), "{}", report.text);
    }

    /// What is found when the upstream `w`, which has `add`, has these lines, and pipelines call these tools.
    async fn found(first: &str, rules: &str, tools: &[&str]) -> Report {
        let mut text = format!("{first}\n[upstream.w]\nurl = \"{}\"\n{rules}\n", adder().await);
        for (at, tool) in tools.iter().enumerate() {
            let _ = writeln!(
                text,
                "[pipeline.p{at}]\ndescription = \"x\"\nstage = [{{ name = \"s\", tool = \"{tool}\" }}]"
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        fs::write(&file, text).unwrap();
        let mut report = Report { text: String::new(), is_well: true };
        report.all(Config::read(&file).unwrap()).await;
        report
    }

    #[tokio::test]
    async fn a_pipeline_is_well_when_its_tools_are_there() {
        let report = found("", "", &["w__add", "p0"]).await;
        assert!(report.is_well, "{}", report.text);
        assert!(report.text.contains("✓ pipeline p1: calls p0"), "{}", report.text);
    }

    #[tokio::test]
    async fn a_pipeline_whose_tool_is_kept_back_by_a_rule_is_not_well() {
        let report = found("", "tools = { deny = [\"add\"] }", &["w__add"]).await;
        assert!(!report.is_well, "{}", report.text);
        assert!(
            report.text.contains("✗ pipeline p0: calls w__add; w__add cannot be called: "),
            "{}",
            report.text
        );
        assert!(report.text.contains("deny"), "{}", report.text);

        let report = found("", "", &["w__sub"]).await;
        assert!(!report.is_well && report.text.contains("w__sub is not there: "), "{}", report.text);
    }

    #[tokio::test]
    async fn that_searching_one_tool_saves_nothing_is_said() {
        let report = found("expose = \"search\"", "", &[]).await;
        assert!(report.is_well && report.text.contains("! searching saves nothing: "), "{}", report.text);
    }
}
