//! Unique words in every secret and in every text, and then a look at everything that leaves the programs.

#[path = "canaries/assistant.rs"]
mod assistant;
#[path = "canaries/evidence.rs"]
mod evidence;
#[path = "canaries/provider.rs"]
mod provider;

use e2e::{
    caller::{Caller, Reply},
    messenger::Era,
    programs::Program,
    world::{ServerB, ServerBSettings},
};
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::{evidence::Evidence, provider::Provider};

type Story = anyhow::Result<()>;

// None has a shape that would be recognised as a secret without being known.
const OPENAI_KEY: &str = "canary1+openai+key/9f8e7d6c";
const FIRST_KEY: &str = "canary2.first.key.5b4a3928";
const SECOND_KEY: &str = "canary3.second.key.17060594";
const AWS_KEY: &str = "CANARY4ACCESSKEY83726150";
const AWS_SECRET: &str = "canary5/aws/secret/e1d2c3b4";
const AWS_TOKEN: &str = "canary6+session+token+a5968778";
const WRONG_KEY: &str = "canary7.wrong.key.6950413c";
const TOKEN: &str = "canary8token2b1a0f9e";
const PASSWORD: &str = "canary9password8d7c6b5a";
/// `TOKEN:` and `someone:PASSWORD` as they travel.
const BASIC_TOKEN: &str = "Y2FuYXJ5OHRva2VuMmIxYTBmOWU6";
const BASIC_PASSWORD: &str = "c29tZW9uZTpjYW5hcnk5cGFzc3dvcmQ4ZDdjNmI1YQ==";
const SECRETS: [&str; 11] = [
    OPENAI_KEY,
    FIRST_KEY,
    SECOND_KEY,
    AWS_KEY,
    AWS_SECRET,
    AWS_TOKEN,
    WRONG_KEY,
    TOKEN,
    PASSWORD,
    BASIC_TOKEN,
    BASIC_PASSWORD,
];

const MESSAGE: &str = "thrush";
const CONTEXT: &str = "bullfinch";
const HISTORY: &str = "kingfisher";
const ANSWER: &str = "nightingale";
/// They belong to the caller and into the ledger, and into no log.
const TEXTS: [&str; 4] = [MESSAGE, CONTEXT, HISTORY, ANSWER];

fn question() -> Value {
    json!({
        "message": format!("What sings the {MESSAGE}?"), "context": format!("You are a {CONTEXT}"),
        "history": [{"role": "user", "content": HISTORY}, {"role": "assistant", "content": HISTORY}],
    })
}

fn settings(provider: &Provider, address: &str, format: &str) -> anyhow::Result<ServerBSettings> {
    let settings = provider.settle(ServerBSettings::new()?, address);
    Ok(settings
        .with("SERVER_B_API_KEY", format!("{FIRST_KEY}, {SECOND_KEY}"))
        .with("PROVIDER_TIMEOUT_SECONDS", 0.3)
        .with("RUST_LOG", "trace")
        .with("LOG_FORMAT", format))
}

#[tokio::test]
async fn no_secret_leaves_the_programs_and_no_text_gets_into_a_log() -> Story {
    for format in ["text", "json"] {
        for provider in Provider::all().await? {
            let mut evidence = Evidence::default();
            let settings = settings(&provider, &provider.address(), format)?;
            let server = settings.start()?;
            let caller = Caller::new(&server)?;
            for turn in 0..provider.turns() {
                for request in [caller.process(&question()), caller.stream(&question())] {
                    provider.play(turn);
                    let key = if turn.is_multiple_of(2) { FIRST_KEY } else { SECOND_KEY };
                    evidence.reply(&Reply::of(request.bearer_auth(key)).await?);
                }
            }
            for request in bad_requests(&caller).into_iter().chain(about(&caller)) {
                evidence.reply(&Reply::of(request).await?);
            }
            for era in [Era::Legacy, Era::Modern] {
                assistant::converse(&mut evidence, &provider, &server.url(""), era, format).await?;
            }
            evidence.files(&settings.ledger())?;
            end(&mut evidence, server).await?;
            evidence.files(&settings.ledger())?;

            provider.saw_its_secret();
            evidence.has_what_it_should();
            evidence.has_no_canary();
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_provider_or_a_server_b_that_is_down_is_reported_without_a_secret() -> Story {
    for format in ["text", "json"] {
        for provider in Provider::all().await? {
            let mut evidence = Evidence::default();
            let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let settings = settings(&provider, &provider.address_at(nobody), format)?;
            // Nothing hangs here, and the first call makes the provider's client.
            let settings = settings.with("PROVIDER_TIMEOUT_SECONDS", 20);
            let server = settings.start()?;
            let caller = Caller::new(&server)?;
            for request in [caller.process(&question()), caller.stream(&question())] {
                let reply = Reply::of(request.bearer_auth(FIRST_KEY)).await?;
                assert_eq!(reply.json()?["code"], "provider_unreachable");
                evidence.reply(&reply);
            }
            for request in about(&caller) {
                evidence.reply(&Reply::of(request).await?);
            }
            end(&mut evidence, server).await?;
            evidence.files(&settings.ledger())?;
            let url = format!("http://someone:{PASSWORD}@{nobody}");
            assistant::converse(&mut evidence, &provider, &url, Era::Modern, format).await?;
            evidence.has_no_canary();
        }
    }
    Ok(())
}

#[test]
fn an_address_that_cannot_be_used_is_named_without_its_password() -> Story {
    let cases = [
        ("server-b", "OPENAI_BASE_URL", "ftp://someone:PASSWORD@models.test/v1"),
        ("server-b", "OPENAI_BASE_URL", "http://someone:PASSWORD@models.test:port/v1"),
        ("server-b", "DATABASE_URL", "postgres://someone:PASSWORD/@database.test/ledger"),
        ("server-a", "SERVER_B_URL", "ftp://someone:PASSWORD@server-b.test"),
        ("server-a", "DATABASE_URL", "postgres://PASSWORD@database.test/ledger"),
    ];
    for (program, variable, value) in cases {
        let home = tempfile::tempdir()?;
        let value = value.replace("PASSWORD", PASSWORD);
        let mut program = Program::start(program, home.path(), &[], &[(variable.to_owned(), value)].into())?;
        assert_eq!(program.wait()?.code(), Some(2));
        let log = program.log();
        assert!(log.contains(variable) && log.contains("allowed") && !log.contains(PASSWORD), "{log}");
    }
    Ok(())
}

/// What server-b says about itself, to those who may ask and to those who may not.
fn about(caller: &Caller) -> Vec<RequestBuilder> {
    ["/health", "/models", "/config", "/metrics", "/openapi.json"]
        .into_iter()
        .flat_map(|path| [caller.get(path), caller.get(path).bearer_auth(SECOND_KEY)])
        .collect()
}

/// Requests with a canary in every place that an error could repeat.
fn bad_requests(caller: &Caller) -> Vec<RequestBuilder> {
    let process = || caller.process(&question());
    let body = |body: String| process().bearer_auth(FIRST_KEY).body(body);
    vec![
        process(),
        process().bearer_auth(WRONG_KEY),
        process().basic_auth("someone", Some(PASSWORD)),
        process().header("authorization", WRONG_KEY),
        process().bearer_auth(FIRST_KEY).header("idempotency-key", format!("{MESSAGE} {CONTEXT}")),
        process().bearer_auth(FIRST_KEY).header("x-request-id", format!("{MESSAGE} {WRONG_KEY}")),
        process().bearer_auth(FIRST_KEY).header("traceparent", format!("{MESSAGE}-{WRONG_KEY}")),
        process().bearer_auth(FIRST_KEY).header("content-type", format!("text/{MESSAGE}")),
        caller.get(&format!("/config?key={MESSAGE}")).bearer_auth(WRONG_KEY),
        caller.get(&format!("/{MESSAGE}/{CONTEXT}")).bearer_auth(WRONG_KEY),
        body(format!("{{\"message\": \"{MESSAGE}\", {CONTEXT}")),
        body(format!("\"{MESSAGE}\"")),
        body(json!({"message": MESSAGE, "temperature": CONTEXT}).to_string()),
        body(json!({"message": MESSAGE, HISTORY: CONTEXT}).to_string()),
        body(json!({"message": MESSAGE.repeat(2_000)}).to_string()),
        body(json!({"message": "a", "history": [{"role": HISTORY, "content": MESSAGE}]}).to_string()),
    ]
}

/// Stops server-b and takes what it has written.
async fn end(evidence: &mut Evidence, mut server: ServerB) -> Story {
    server.program.signal("TERM")?;
    assert_eq!(server.program.wait()?.code(), Some(0));
    evidence.log("server-b", server.program.log());
    evidence.output("standard output of server-b", server.program.out().into_bytes());
    Ok(())
}
