//! The steps of a test run.

use std::{future::Future, sync::Arc, time::Instant};

use rmcp::model::{JsonObject, Prompt, ResourceContents};
use upstream::{CallError, CallOptions, Upstream};

use super::{report::Report, tools};
use crate::render::{Failure, is_modern, media};

/// Most resources that are read, and prompts that are asked for.
const SAMPLES: usize = 3;
/// The code of a server that does not know a method.
const NO_METHOD: i32 = -32601;

/// Tries a server out, one thing after the other.
pub(super) async fn all(server: &Upstream) -> Report {
    let mut report = Report::new(server.name());
    let started = Instant::now();
    let introduction = match server.connect().await {
        Ok(introduction) => introduction,
        Err(error) => {
            report.tried("connect", started.elapsed(), Err(Failure::of_connect(&error).message));
            return report;
        }
    };
    let about = introduction.server.as_ref().map(|server| format!("{} {}, ", server.name, server.version));
    let version = introduction.protocol_version.as_str();
    report.tried("connect", started.elapsed(), Ok(format!("{}MCP {version}", about.unwrap_or_default())));
    let offers = &introduction.capabilities;
    if offers.tools.is_some() {
        let listed = listed(&mut report, "list tools", server.tools(), |tool| tool.name.to_string()).await;
        tools::call(server, &listed, &mut report).await;
    } else {
        report.skipped("list tools", "it offers none");
    }
    if offers.resources.is_some() {
        resources(server, &mut report).await;
    } else {
        report.skipped("list resources", "it offers none");
    }
    if offers.prompts.is_some() {
        prompts(server, &mut report).await;
    } else {
        report.skipped("list prompts", "it offers none");
    }
    let started = Instant::now();
    let what = if is_modern(&introduction) { "ping (server/discover)" } else { "ping" };
    let pinged = server.ping().await.map(|_| String::new());
    report.tried(what, started.elapsed(), pinged.map_err(words));
    report
}

async fn listed<T>(
    report: &mut Report,
    what: &str,
    list: impl Future<Output = Result<Arc<Vec<T>>, CallError>>,
    name: impl Fn(&T) -> String,
) -> Arc<Vec<T>> {
    let started = Instant::now();
    match list.await {
        Ok(all) => {
            let mut names: Vec<_> = all.iter().take(8).map(name).collect();
            if all.len() > names.len() {
                names.push("…".to_owned());
            }
            let detail = format!("{}: {}", all.len(), names.join(", "));
            report.tried(what, started.elapsed(), Ok(detail.trim_end_matches([':', ' ']).to_owned()));
            all
        }
        Err(CallError::Refused(error)) if error.code.0 == NO_METHOD => {
            report.skipped(what, "it does not know such a list");
            Arc::default()
        }
        Err(error) => {
            report.tried(what, started.elapsed(), Err(words(error)));
            Arc::default()
        }
    }
}

async fn resources(server: &Upstream, report: &mut Report) {
    let all = listed(report, "list resources", server.resources(), |resource| resource.uri.clone()).await;
    listed(report, "list templates", server.resource_templates(), |template| template.uri_template.clone())
        .await;
    for resource in all.iter().take(SAMPLES) {
        let started = Instant::now();
        let read = server.read_resource(&resource.uri, CallOptions::default()).await;
        let read = read.map(|result| {
            let bytes = result.contents.iter().map(|contents| match contents {
                ResourceContents::TextResourceContents { text, .. } => text.len(),
                ResourceContents::BlobResourceContents { blob, .. } => blob.len() / 4 * 3,
                _ => 0,
            });
            media::size(bytes.sum())
        });
        report.tried(format!("read {}", resource.uri), started.elapsed(), read.map_err(words));
    }
    if all.len() > SAMPLES {
        report.skipped("read other resources", format!("the first {SAMPLES} are enough"));
    }
}

async fn prompts(server: &Upstream, report: &mut Report) {
    let all = listed(report, "list prompts", server.prompts(), |prompt| prompt.name.clone()).await;
    let plain =
        |prompt: &&Prompt| !prompt.arguments.iter().flatten().any(|argument| argument.required == Some(true));
    for prompt in all.iter().filter(plain).take(SAMPLES) {
        let started = Instant::now();
        let got = server.prompt(&prompt.name, JsonObject::new(), CallOptions::default()).await;
        let got = got.map(|result| format!("{} messages", result.messages.len()));
        report.tried(format!("get prompt {}", prompt.name), started.elapsed(), got.map_err(words));
    }
    let others = all.iter().filter(|prompt| !plain(prompt)).count();
    if others > 0 {
        report.skipped("get other prompts", format!("{others} need arguments"));
    }
}

pub(super) fn words(error: CallError) -> String {
    Failure::of_call(&error).message
}
