//! Models under all the names that they have.

use e2e::{
    caller::Reply,
    ledger_file::{Outcome, rows},
    stubs::{bedrock, openai},
};
use serde_json::json;

use crate::{BOTH, Bill, Does, Kind, Paid, Story, answers, dollars, question};

/// A model that is asked for, as it is answered with, and what 12 and 30 tokens of it cost, in picodollars.
struct Named {
    asked: &'static str,
    answered: &'static str,
    priced: Option<i64>,
}

const fn named(asked: &'static str, answered: &'static str, priced: Option<i64>) -> Named {
    Named { asked, answered, priced }
}

const SONNET: &str = "anthropic.claude-3-5-sonnet-20241022-v2:0";
const PROFILE: &str =
    "arn:aws:bedrock:eu-central-1:123456789012:inference-profile/eu.anthropic.claude-3-haiku-20240307-v1:0";

/// Short names, full ids, snapshots, regions; names with every odd character that real ones have; unknown ones.
fn names(kind: Kind) -> Vec<Named> {
    match kind {
        Kind::OpenAi => vec![
            named("gpt-4o", "gpt-4o", Some(510_000_000)),
            named("gpt-4o-2024-05-13", "gpt-4o-2024-05-13", Some(510_000_000)),
            named("meta-llama/Llama-3.1:8b", "meta-llama/Llama-3.1:8b", None),
            named("ft:gpt-x:org::Ünïcode 模型", "ft:gpt-x:org::Ünïcode 模型", None),
        ],
        Kind::Bedrock => vec![
            named("claude-3.5-sonnet-v2", SONNET, Some(486_000_000)),
            named(SONNET, SONNET, Some(486_000_000)),
            named("us.amazon.nova-pro-v1:0", "us.amazon.nova-pro-v1:0", None),
            named(PROFILE, PROFILE, Some(40_500_000)),
        ],
    }
}

#[tokio::test]
async fn a_model_is_called_and_answered_by_its_full_id_and_priced_if_it_is_known() -> Story {
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        let mut bills = Vec::new();
        for name in names(kind) {
            let mut request = question();
            request["model"] = json!(name.asked);
            let answer = Reply::of(paid.caller.process(&request)).await?.json()?;
            let end = Reply::of(paid.caller.stream(&request)).await?.streamed()?.last;
            let provenance = if name.priced.is_some() { "exact" } else { "unpriced" };
            let picodollars = name.priced.unwrap_or(0);
            for said in [answer, end] {
                assert_eq!(said["model"], name.answered, "{said}");
                assert_eq!(said["usage"]["estimatedCost"], dollars(picodollars), "{said}");
                assert_eq!(said["usage"]["costProvenance"], provenance, "{said}");
                let model = name.answered.to_owned();
                let usual = Bill::of(kind, Outcome::Answered, "stop", "a language", (12, 30));
                bills.push(Bill { model, picodollars, provenance, ..usual });
            }
            for sent in paid.stub.requests().iter().rev().take(2) {
                match kind {
                    Kind::OpenAi => assert_eq!(sent.body["model"], name.answered),
                    Kind::Bedrock => {
                        let path = sent.path();
                        assert!(path.starts_with(&format!("/model/{}/converse", name.answered)), "{path}");
                    }
                }
            }
        }
        paid.check(&bills).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_snapshot_that_the_provider_reports_does_not_change_the_models_name() -> Story {
    let snapshot = openai::Answer::new("a language").model("gpt-4o-mini-2024-07-18");
    let paid = Paid::start(Kind::OpenAi).await?;
    for request in [paid.caller.process(&question()), paid.caller.stream(&question())] {
        paid.stub.next(&from_model(snapshot.clone()));
        let reply = Reply::of(request).await?;
        assert!(reply.body.contains("\"model\":\"gpt-4o-mini\""), "{}", reply.body);
    }
    let bill = Bill::of(Kind::OpenAi, Outcome::Answered, "stop", "a language", (12, 30));
    paid.check(&[bill.clone(), bill]).await
}

#[tokio::test]
async fn a_name_without_a_price_costs_what_the_reported_model_costs() -> Story {
    let reported = openai::Answer::new("a language").model("gpt-4o-mini-2024-07-18");
    let paid = Paid::start(Kind::OpenAi).await?;
    paid.stub.next(&from_model(reported));
    let mut request = question();
    request["model"] = json!("our-proxys-name");
    let answer = Reply::of(paid.caller.process(&request)).await?.json()?;
    assert_eq!(answer["model"], "our-proxys-name");
    assert_eq!(answer["usage"]["estimatedCost"], 0.000_019_8);
    let bill = Bill::of(Kind::OpenAi, Outcome::Answered, "stop", "a language", (12, 30));
    paid.check(&[Bill { model: "our-proxys-name".to_owned(), ..bill }]).await
}

fn from_model(answer: openai::Answer) -> Does {
    Does { openai: openai::Behaviour::Answer(answer), bedrock: bedrock::Behaviour::Hang }
}

#[tokio::test]
async fn a_model_that_takes_no_temperature_is_asked_again_without_and_billed_once() -> Story {
    let paid = Paid::start(Kind::OpenAi).await?;
    let refuses =
        Does { openai: openai::Behaviour::Refuse("temperature"), bedrock: bedrock::Behaviour::Hang };
    paid.stub.next(&refuses);
    paid.stub.next(&answers("a language"));
    let answer = Reply::of(paid.caller.process(&question())).await?;
    assert_eq!((answer.status, paid.stub.requests().len()), (200, 2));
    paid.server.stop()?;
    assert_eq!(rows(&paid.settings.ledger())?.len(), 1);
    Ok(())
}
