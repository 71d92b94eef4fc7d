//! Getting tokens as a user would, without one.

use std::{error::Error, sync::Arc};

use anyhow::Context as _;
use async_trait::async_trait;
use oauth::{Authorization, Browser, Client, Proof, Settings};
use reqwest::{header::LOCATION, redirect::Policy};
use url::Url;

use crate::scenario::Context;

/// The document that describes this client, as the suite expects it. Nobody reads it.
const METADATA: &str = "https://conformance-test.local/client-metadata.json";

/// The tokens for the server of a scenario.
pub(crate) fn authorization(server: &Url, context: &Context) -> anyhow::Result<Authorization> {
    let mut settings = Settings::new(server.clone());
    settings.browser = Some(Arc::new(Headless));
    settings.client = client(context)?;
    Ok(Authorization::new(settings)?)
}

fn client(context: &Context) -> anyhow::Result<Client> {
    let secret = context.client_secret.clone().map(Into::into);
    Ok(match (context.client_id.clone(), &context.private_key_pem, secret) {
        (None, ..) => Client::Unregistered { metadata_url: Some(METADATA.parse()?) },
        (Some(id), Some(pem), _) => {
            let algorithm = context.signing_algorithm.as_deref().context("the key has no algorithm")?;
            Client::Machine {
                id,
                proof: Proof::Key { pem: pem.clone().into(), algorithm: algorithm.parse()? },
            }
        }
        (Some(id), None, Some(secret)) if context.scenario.contains("client-credentials") => {
            Client::Machine { id, proof: Proof::Secret(secret) }
        }
        (Some(id), None, secret) => Client::Registered { id, secret },
    })
}

/// A browser whose user agrees at once: the page leads back without having been shown.
struct Headless;

#[async_trait]
impl Browser for Headless {
    async fn open(&self, url: &Url) -> Result<(), Box<dyn Error + Send + Sync>> {
        let browser = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build()?;
        let page = browser.get(url.clone()).send().await?;
        let back = page.headers().get(LOCATION).ok_or("the page leads nowhere")?.to_str()?;
        browser.get(url.join(back)?).send().await?;
        Ok(())
    }
}
