//! OpenAI, and every server that speaks its chat completions API: vLLM, Ollama, LiteLLM and others.

mod errors;
mod parameters;
mod pieces;
mod transport;
mod wire;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_openai::{Client, config::OPENAI_API_BASE, error::OpenAIError, traits::RequestOptionsBuilder as _};
use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::{sync::OnceCell, time::timeout};

use self::{
    errors::{Failure, not_an_answer},
    parameters::{Learned, Try},
    pieces::Pieces,
    transport::Server,
    wire::{Answer, ChatRequest, Lenient, ModelList},
};
use crate::{
    Check, CheckStatus, Completion, CompletionStream, Prompt, Provider, ProviderError, ending::Ending,
    redact::Redactor,
};

const CHECK_LIMIT: Duration = Duration::from_secs(3);

/// Where and as whom to ask.
#[derive(Debug, Clone, Default)]
pub struct OpenAiSettings {
    /// The key. OpenAI needs one; at a `base_url` of its own a server is asked without, since local ones need none.
    pub api_key: Option<SecretString>,
    /// Address of the API up to and with its version, for instance `http://localhost:11434/v1`; OpenAI's own without.
    pub base_url: Option<String>,
}

/// The chat completions API. Nothing is connected, and no key is missed, before the first call.
///
/// Every call is one request, with one exception: a request that is refused because the model does not take one of its
/// parameters is repeated without it, and the model remembered. Refused requests are not billed.
pub struct OpenAi {
    settings: OpenAiSettings,
    client: OnceCell<Client<Server>>,
    learned: Learned,
    redactor: Arc<Redactor>,
}

impl OpenAi {
    /// A provider with these settings. Blank ones count as missing.
    #[must_use]
    pub fn new(settings: OpenAiSettings) -> Self {
        let key =
            settings.api_key.as_ref().map(|key| key.expose_secret().trim()).filter(|key| !key.is_empty());
        let base_url = settings.base_url.as_deref().map(|url| url.trim().trim_end_matches('/'));
        let base_url = base_url.filter(|url| !url.is_empty() && *url != OPENAI_API_BASE);
        let redactor = Redactor::default();
        if let Some(key) = key {
            redactor.remember(key);
        }
        Self {
            settings: OpenAiSettings {
                api_key: key.map(SecretString::from),
                base_url: base_url.map(str::to_owned),
            },
            client: OnceCell::new(),
            learned: Learned::default(),
            redactor: Arc::new(redactor),
        }
    }

    async fn client(&self) -> Result<&Client<Server>, ProviderError> {
        self.client
            .get_or_try_init(|| async {
                let server = Server::new(self.settings.base_url.as_deref(), self.settings.api_key.as_ref())?;
                server.client(Arc::clone(&self.redactor))
            })
            .await
    }

    /// How to ask again after `error`, if the model only refused a parameter.
    fn next_try(&self, model: &str, last: Try, error: OpenAIError) -> Result<Try, ProviderError> {
        let failure = Failure::from_client(error, &self.redactor);
        failure.refused.and_then(|refused| self.learned.next_try(model, last, refused)).ok_or(failure.error)
    }

    fn completion(
        &self,
        answer: Lenient<Answer>,
        asked: &Prompt,
        took: Duration,
    ) -> Result<Completion, ProviderError> {
        let mut answer = answer.0.ok_or_else(not_an_answer)?;
        if let Some(error) = &answer.error {
            return Err(Failure::from_object(error, took, &self.redactor));
        }
        if !answer.has_choices() {
            return Err(not_an_answer());
        }
        let text = answer.text();
        let ending = Ending {
            has_text: !text.is_empty(),
            finish_reason: answer.finish_reason(),
            usage: answer.usage(),
            model: answer.model.filter(|model| !model.is_empty() && *model != asked.model),
        };
        Ok(Completion { text, end: ending.of_answer()? })
    }

    fn is_openai_itself(&self) -> bool {
        self.settings.base_url.is_none()
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn complete(&self, prompt: &Prompt) -> Result<Completion, ProviderError> {
        let client = self.client().await?;
        let started = Instant::now();
        let mut attempt = self.learned.first_try(&prompt.model);
        loop {
            let request = ChatRequest::whole(prompt, attempt.parameters);
            match client.chat().headers(trace_headers(prompt)).create_byot(request).await {
                Ok(answer) => return self.completion(answer, prompt, started.elapsed()),
                Err(error) => attempt = self.next_try(&prompt.model, attempt, error)?,
            }
        }
    }

    async fn stream(&self, prompt: &Prompt) -> Result<CompletionStream, ProviderError> {
        let client = self.client().await?;
        let mut attempt = self.learned.first_try(&prompt.model);
        loop {
            let request = ChatRequest::streamed(prompt, attempt.parameters);
            match client.chat().headers(trace_headers(prompt)).create_stream_byot(request).await {
                Ok(chunks) => {
                    let redactor = Arc::clone(&self.redactor);
                    return Ok(Pieces::new(chunks, prompt.model.clone(), redactor).into_stream());
                }
                Err(error) => attempt = self.next_try(&prompt.model, attempt, error)?,
            }
        }
    }

    async fn models(&self) -> Result<Vec<String>, ProviderError> {
        let client = self.client().await?;
        let list: Lenient<ModelList> = client
            .models()
            .list_byot()
            .await
            .map_err(|error| Failure::from_client(error, &self.redactor).error)?;
        let Some(list) = list.0 else {
            return Err(ProviderError::Failed { message: "its answer is not a list of models".to_owned() });
        };
        let mut names = list.into_names();
        let not_for_chat = if self.is_openai_itself() { NOT_FOR_CHAT } else { &["embed"] };
        names.retain(|name| !not_for_chat.iter().any(|part| name.contains(part)));
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// Asks for the list of models, which is free, and waits for it at most 3 s.
    async fn check(&self) -> Check {
        let answer = timeout(CHECK_LIMIT, self.models()).await;
        let error = match answer {
            Ok(Ok(_)) => return Check { configured: true, status: CheckStatus::Healthy, note: None },
            Ok(Err(error)) => error,
            Err(_) => ProviderError::TimedOut { after: CHECK_LIMIT },
        };
        let unknown = |note: &str| (CheckStatus::Unknown, Some(note.to_owned()));
        let (status, note) = match &error {
            // A restricted key may be good for answers and not for this list.
            ProviderError::Unauthorized { message } if message.contains("issing scopes") => {
                unknown("the key may not list models, so that it could not be checked")
            }
            // The list of models is not part of what a compatible server has to have.
            ProviderError::InvalidRequest { .. } if !self.is_openai_itself() => {
                unknown("the server answers, but has no list of models to check the key with")
            }
            ProviderError::NotConfigured { hint } => (CheckStatus::Unhealthy(hint.clone()), None),
            error => (CheckStatus::Unhealthy(error.to_string()), None),
        };
        Check { configured: !matches!(error, ProviderError::NotConfigured { .. }), status, note }
    }
}

/// Parts of the names of OpenAI's models that do not answer chat completions.
const NOT_FOR_CHAT: &[&str] = &[
    "embedding",
    "whisper",
    "tts",
    "dall-e",
    "image",
    "moderation",
    "realtime",
    "audio",
    "transcribe",
    "davinci",
    "babbage",
    "instruct",
    "sora",
    "computer-use",
    "deep-research",
    "codex",
    "-pro",
];

/// A trace that cannot be continued is no reason to fail a call: what is not a header value is left out.
fn trace_headers(prompt: &Prompt) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(parent) = prompt.trace_parent.as_deref().and_then(|parent| HeaderValue::from_str(parent).ok())
    {
        headers.insert("traceparent", parent);
    }
    headers
}
