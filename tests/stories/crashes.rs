//! What is left after `kill -9`: every answer that somebody received, once, and what was really spent.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context as _, bail, ensure};
use e2e::{
    ledger_file::{Outcome, rows},
    lossy_proxy::LossyProxy,
    messenger::{Era, Messenger},
    programs::PATIENCE,
    stubs::openai::{Answer, Behaviour, OpenAiStub},
    world::{ServerB, ServerBSettings},
};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{sync::Notify, task::JoinSet, time::timeout};

const ROUNDS: usize = 100;
const CLIENTS: usize = 8;

/// What clients have heard: message and answer.
#[derive(Default)]
struct Heard {
    answers: Mutex<HashMap<String, String>>,
    more: Notify,
}

impl Heard {
    fn count(&self) -> usize {
        self.answers.lock().expect("no test panicked").len()
    }

    async fn wait_for(&self, answers: usize) {
        while self.count() < answers {
            self.more.notified().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_kills_under_load_lose_no_answer_and_record_none_twice() -> anyhow::Result<()> {
    let settings = ServerBSettings::new()?.with("RUST_LOG", "info");
    let heard = Arc::new(Heard::default());
    let asked = Arc::new(AtomicUsize::new(0));
    for round in 0..ROUNDS {
        let mut server = settings.start()?;
        // A different moment in every round, counted in answers.
        let enough = heard.count() + 1 + round * 7 % 60;
        let mut clients: JoinSet<_> =
            (0..CLIENTS).map(|_| keep_asking(server.url("/process"), asked.clone(), heard.clone())).collect();
        let load = async {
            tokio::select! {
                () = heard.wait_for(enough) => Ok(()),
                Some(ended) = clients.join_next() => bail!("a client ended before the kill: {ended:?}"),
            }
        };
        let loaded = timeout(PATIENCE, load).await.unwrap_or_else(|_| bail!("the answers stopped"));
        loaded.with_context(|| format!("round {round}; server-b said:\n{}", server.program.log()))?;
        server.program.kill();
        while let Some(client) = clients.join_next().await {
            client??;
        }
    }

    drop(settings.start()?);
    let mut recorded: HashMap<String, Vec<_>> = HashMap::new();
    for row in rows(&settings.ledger())? {
        recorded.entry(row.message.clone()).or_default().push(row);
    }
    let heard = heard.answers.lock().expect("no test panicked");
    ensure!(heard.len() > ROUNDS, "there was hardly any load: {} answers", heard.len());
    for (message, answer) in heard.iter() {
        let found = recorded.get(message).map(Vec::as_slice).unwrap_or_default();
        let [row] = found else { anyhow::bail!("`{message}` is in the ledger {} times", found.len()) };
        ensure!(row.outcome == Outcome::Answered && row.answer == *answer, "{row:?} is not {answer}");
    }
    Ok(())
}

/// Asks until the server is gone. Every second message carries a key.
async fn keep_asking(url: String, asked: Arc<AtomicUsize>, heard: Arc<Heard>) -> anyhow::Result<()> {
    let client = Client::builder().no_proxy().build()?;
    loop {
        let number = asked.fetch_add(1, Ordering::Relaxed);
        let message = format!("message {number}");
        let mut request = client.post(&url).json(&json!({"message": message}));
        if number.is_multiple_of(2) {
            request = request.header("idempotency-key", format!("key-{number}"));
        }
        // The server was killed: what did not arrive was not heard.
        let Ok(response) = request.send().await else { return Ok(()) };
        let Ok(answer) = response.json::<Value>().await else { return Ok(()) };
        let text = answer["aiResponse"].as_str().unwrap_or_default().to_owned();
        ensure!(!text.is_empty(), "{answer}");
        heard.answers.lock().expect("no test panicked").insert(message, text);
        heard.more.notify_one();
    }
}

async fn paid_server_b(stub: &OpenAiStub) -> anyhow::Result<(ServerBSettings, ServerB)> {
    let settings = ServerBSettings::new()?
        .with("AI_PROVIDER", "openai")
        .with("OPENAI_API_KEY", "sk-test")
        .with("OPENAI_BASE_URL", stub.base_url())
        .with("OPENAI_DEFAULT_MODEL", "gpt-4o-mini");
    let server = settings.start()?;
    Ok((settings, server))
}

fn server_a(url: &str) -> HashMap<String, String> {
    let variables = [
        ("SERVER_B_URL", url),
        ("DATABASE_URL", "sqlite://server-a.db"),
        ("RETRY_BASE_MS", "20"),
        ("RETRY_ATTEMPTS", "10"),
    ];
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[tokio::test]
async fn an_answer_that_was_recorded_but_not_heard_is_given_again_and_billed_once() -> anyhow::Result<()> {
    let stub = OpenAiStub::start().await?;
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42});
    stub.script([Behaviour::Answer(Answer::new("a language").usage(usage))]);
    let (settings, mut server) = paid_server_b(&stub).await?;
    let proxy = LossyProxy::start(server.address()).await?;
    proxy.lose_answers(true);
    let home = tempfile::tempdir()?;
    let messenger = Messenger::start(home.path(), &server_a(&proxy.url()), Era::Modern).await?;

    let crash = async {
        proxy.wait_for_losses(1).await;
        server.program.kill();
        let restarted = settings.start()?;
        proxy.redirect(restarted.address());
        proxy.lose_answers(false);
        anyhow::Ok(restarted)
    };
    let asked = messenger.ask("send_message_to_ai", json!({"message": "What is Python?"}));
    let (answer, _restarted) = tokio::try_join!(asked, crash)?;

    assert_eq!(answer["aiResponse"], "a language");
    assert_eq!(answer["usage"]["estimatedCost"], 0.000_019_8);
    assert_eq!(stub.requests().len(), 1, "the provider was asked once");
    let recorded = rows(&settings.ledger())?;
    assert_eq!(recorded.len(), 1);
    assert_eq!(
        (recorded[0].outcome, recorded[0].cost, recorded[0].provenance),
        (Outcome::Answered, 19_800_000, "exact")
    );
    let stats = messenger.ask("get_ai_usage_stats", json!({})).await?;
    assert_eq!((&stats["totalRequests"], &stats["estimatedTotalCost"]), (&json!(1), &json!(0.000_019_8)));
    Ok(())
}

#[tokio::test]
async fn a_call_cut_off_by_a_crash_is_made_again_and_the_bill_shows_both() -> anyhow::Result<()> {
    let stub = OpenAiStub::start().await?;
    let usage = json!({"prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42});
    stub.script([Behaviour::Hang, Behaviour::Answer(Answer::new("a language").usage(usage))]);
    let (settings, mut server) = paid_server_b(&stub).await?;
    let proxy = LossyProxy::start(server.address()).await?;
    let home = tempfile::tempdir()?;
    let messenger = Messenger::start(home.path(), &server_a(&proxy.url()), Era::Legacy).await?;

    let crash = async {
        stub.wait_for_requests(1).await;
        proxy.lose_answers(true); // the closed connection waits for the restart, too
        server.program.kill();
        let restarted = settings.start()?;
        proxy.redirect(restarted.address());
        proxy.lose_answers(false);
        anyhow::Ok(restarted)
    };
    let asked = messenger.ask("send_message_to_ai", json!({"message": "What is Python?"}));
    let (answer, _restarted) = tokio::try_join!(asked, crash)?;

    assert_eq!(answer["aiResponse"], "a language");
    assert_eq!(stub.requests().len(), 2, "the first answer was never heard of");
    let recorded = rows(&settings.ledger())?;
    let bill: Vec<_> = recorded.iter().map(|row| (row.outcome, row.provenance)).collect();
    assert_eq!(bill, [(Outcome::Interrupted, "estimated"), (Outcome::Answered, "exact")]);
    assert!(recorded[0].cost > 0, "the least that the first call can have cost");
    assert_eq!(recorded[1].cost, 19_800_000);
    Ok(())
}
