//! `mcp-gateway explain NAME`.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, bail};
use gateway::{Explanation, Gateway};
use http::StatusCode;
use secrecy::ExposeSecret as _;
use url::Url;

use crate::{CommandLine, Config, print};

/// Longest wait for the gateway that runs.
const WAIT: Duration = Duration::from_secs(5);

/// Asks the gateway that runs, as only it knows how its upstreams are; without one connects to them.
pub(crate) async fn explain(line: &CommandLine, config: Config, name: &str) -> anyhow::Result<ExitCode> {
    let address = line.listen.or(config.listen);
    let explanation = match running(line, address, name).await? {
        Some(explanation) => explanation,
        None => {
            tracing::info!(
                "no gateway runs at the address of this configuration: its upstreams are connected to now"
            );
            let gateway = Gateway::new(config.gateway);
            gateway.settled().await;
            let explanation = gateway.explain(name);
            gateway.close(Duration::ZERO).await;
            explanation
        }
    };
    print(&text(&explanation))?;
    Ok(if explanation.kind.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn running(
    line: &CommandLine,
    address: Option<SocketAddr>,
    name: &str,
) -> anyhow::Result<Option<Explanation>> {
    let mut address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8_080)));
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            Ipv4Addr::LOCALHOST.into()
        } else {
            Ipv6Addr::LOCALHOST.into()
        });
    }
    let client = reqwest::Client::builder().no_proxy().timeout(WAIT).tls_certs_only([]).build()?;
    let url = Url::parse_with_params(&format!("http://{address}/explain"), [("name", name)])?;
    let mut request = client.get(url);
    if let Some(keys) = &line.network.mcp_api_key {
        let key = keys.expose_secret().split(',').next().unwrap_or_default().trim().to_owned();
        request = request.bearer_auth(key);
    }
    match request.send().await {
        Ok(answer) => {
            if answer.status() == StatusCode::UNAUTHORIZED {
                bail!("the gateway that runs wants a key: set MCP_API_KEY to one of its keys");
            }
            let answer = answer.error_for_status().context("the gateway that runs did not answer")?;
            Ok(answer.json().await.ok()) // something else may listen there
        }
        Err(error) if error.is_connect() => Ok(None),
        Err(error) => Err(error).context("the gateway that runs did not answer"),
    }
}

fn text(explanation: &Explanation) -> String {
    let Explanation { name, kind, upstream, name_there, reasons } = explanation;
    let mut text = match (kind, upstream, name_there) {
        (Some(kind), Some(upstream), Some(there)) => {
            format!("{name} is the {kind} {there:?} of upstream {upstream:?}\n")
        }
        (Some(kind), ..) => format!("{name} is a {kind}\n"),
        (None, ..) => format!("{name} is not there\n"),
    };
    for reason in reasons {
        text.push_str("  ");
        text.push_str(reason);
        text.push('\n');
    }
    text
}
