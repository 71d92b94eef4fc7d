//! OpenAI and Bedrock behind a real server-b: what a caller, the bill and the metrics say, whatever the provider does.

#[path = "paid_providers/about.rs"]
mod about;
#[path = "paid_providers/answers.rs"]
mod answers;
#[path = "paid_providers/failures.rs"]
mod failures;
#[path = "paid_providers/models.rs"]
mod models;
#[path = "paid_providers/streams.rs"]
mod streams;

use std::collections::HashMap;

use e2e::{
    caller::Caller,
    ledger_file::{Outcome, Row, rows},
    stubs::{
        Request,
        bedrock::{self, BedrockStub},
        openai::{self, OpenAiStub},
    },
    world::{ServerB, ServerBSettings},
};
use serde_json::{Value, json};

type Story = anyhow::Result<()>;

/// Four tokens by the rule of thumb, twelve with the default system prompt: what the stubs report, too.
const QUESTION: &str = "What is Python?";
const BOTH: [Kind; 2] = [Kind::OpenAi, Kind::Bedrock];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    OpenAi,
    Bedrock,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Bedrock => "bedrock",
        }
    }

    /// The full id of the model that answers unless another is named.
    fn model(self) -> &'static str {
        match self {
            Self::OpenAi => "gpt-4o-mini",
            Self::Bedrock => "anthropic.claude-3-5-haiku-20241022-v1:0",
        }
    }

    /// What a prompt and a completion token of that model cost, in picodollars.
    fn prices(self) -> (i64, i64) {
        match self {
            Self::OpenAi => (150_000, 600_000),
            Self::Bedrock => (800_000, 4_000_000),
        }
    }

    fn settings(self, address: &str) -> anyhow::Result<ServerBSettings> {
        let settings = ServerBSettings::new()?;
        Ok(match self {
            Self::OpenAi => settings.with_openai(address),
            Self::Bedrock => settings.with_bedrock(address),
        })
    }
}

/// The same behaviour in the words of either provider.
#[derive(Debug, Clone)]
struct Does {
    openai: openai::Behaviour,
    bedrock: bedrock::Behaviour,
}

enum Stub {
    OpenAi(OpenAiStub),
    Bedrock(BedrockStub),
}

impl Stub {
    async fn start(kind: Kind) -> anyhow::Result<Self> {
        Ok(match kind {
            Kind::OpenAi => Self::OpenAi(OpenAiStub::start().await?),
            Kind::Bedrock => Self::Bedrock(BedrockStub::start().await?),
        })
    }

    fn address(&self) -> String {
        match self {
            Self::OpenAi(stub) => stub.base_url(),
            Self::Bedrock(stub) => stub.endpoint_url(),
        }
    }

    fn next(&self, does: &Does) {
        match self {
            Self::OpenAi(stub) => stub.script([does.openai.clone()]),
            Self::Bedrock(stub) => stub.script([does.bedrock.clone()]),
        }
    }

    fn requests(&self) -> Vec<Request> {
        match self {
            Self::OpenAi(stub) => stub.requests(),
            Self::Bedrock(stub) => stub.requests(),
        }
    }
}

/// A server-b with a provider that does as it is told.
struct Paid {
    kind: Kind,
    stub: Stub,
    settings: ServerBSettings,
    server: ServerB,
    caller: Caller,
}

/// What a call should have left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bill {
    outcome: Outcome,
    /// The finish reason, or the code of the error.
    code: &'static str,
    model: String,
    answer: String,
    tokens: (i64, i64),
    picodollars: i64,
    provenance: &'static str,
}

impl Bill {
    /// At the listed price of the usual model.
    fn of(kind: Kind, outcome: Outcome, code: &'static str, answer: &str, tokens: (i64, i64)) -> Self {
        let (prompt, completion) = kind.prices();
        let picodollars = tokens.0 * prompt + tokens.1 * completion;
        let (model, answer) = (kind.model().to_owned(), answer.to_owned());
        Self { outcome, code, model, answer, tokens, picodollars, provenance: "exact" }
    }

    fn estimated(self) -> Self {
        Self { provenance: "estimated", ..self }
    }
}

impl Paid {
    async fn start(kind: Kind) -> anyhow::Result<Self> {
        Self::start_with(kind, |settings| settings).await
    }

    async fn start_with(
        kind: Kind,
        more: impl FnOnce(ServerBSettings) -> ServerBSettings,
    ) -> anyhow::Result<Self> {
        let stub = Stub::start(kind).await?;
        let settings = more(kind.settings(&stub.address())?);
        let server = settings.start()?;
        let caller = Caller::new(&server)?;
        Ok(Self { kind, stub, settings, server, caller })
    }

    /// Stops server-b and compares what it counted and recorded, call by call.
    async fn check(self, expected: &[Bill]) -> Story {
        self.check_metrics(expected).await?;
        let (status, _) = self.server.stop()?;
        assert_eq!(status.code(), Some(0));
        let recorded = rows(&self.settings.ledger())?;
        assert_eq!(recorded.len(), expected.len());
        for (row, expected) in recorded.into_iter().zip(expected) {
            assert_eq!(row.message, QUESTION);
            assert_eq!(bill(row, expected.code), *expected, "{}", self.kind.name());
        }
        Ok(())
    }

    async fn check_metrics(&self, expected: &[Bill]) -> Story {
        let provider = self.kind.name();
        let mut outcomes: HashMap<&str, f64> = HashMap::new();
        for bill in expected {
            let outcome = if bill.outcome == Outcome::Answered { "answered" } else { bill.code };
            *outcomes.entry(outcome).or_default() += 1.0;
        }
        for (outcome, calls) in outcomes {
            let name =
                format!("server_b_provider_calls_total{{provider=\"{provider}\",outcome=\"{outcome}\"}}");
            assert_eq!(self.caller.metric(&name).await?, calls, "{name}");
        }
        for (kind, tokens) in [
            ("prompt", expected.iter().map(|bill| bill.tokens.0).sum::<i64>()),
            ("completion", expected.iter().map(|bill| bill.tokens.1).sum::<i64>()),
        ] {
            let name = format!("server_b_tokens_total{{provider=\"{provider}\",kind=\"{kind}\"}}");
            assert_eq!(self.caller.metric(&name).await?, tokens as f64, "{name}");
        }
        let cost = expected.iter().map(|bill| bill.picodollars).sum::<i64>() as f64 * 1e-12;
        let counted = self.caller.metric("server_b_cost_usd_total").await?;
        assert!((counted - cost).abs() < 1e-12, "{counted} is not {cost}");
        let unpriced = expected.iter().filter(|bill| bill.provenance == "unpriced").count();
        assert_eq!(self.caller.metric("server_b_unpriced_calls_total").await?, unpriced as f64);
        Ok(())
    }
}

fn bill(row: Row, code: &'static str) -> Bill {
    assert_eq!(row.code.as_deref(), Some(code));
    Bill {
        outcome: row.outcome,
        code,
        model: row.model,
        answer: row.answer,
        tokens: row.tokens,
        picodollars: row.cost,
        provenance: row.provenance,
    }
}

fn question() -> Value {
    json!({"message": QUESTION})
}

/// An answer of 12 and 30 tokens.
fn answers(text: &str) -> Does {
    Does { openai: openai::Behaviour::answer(text), bedrock: bedrock::Behaviour::answer(text) }
}

fn dollars(picodollars: i64) -> f64 {
    // The shortest decimal, as server-b writes it.
    format!("{picodollars}e-12").parse().expect("a number")
}
