//! Answers, what they used and what they cost.

use e2e::{
    caller::Reply,
    ledger_file::Outcome,
    stubs::{bedrock, openai},
};
use serde_json::{Value, json};

use crate::{BOTH, Bill, Does, Kind, Paid, QUESTION, Story, answers, dollars, question};

/// Asks in both ways, and gives what the answer in one piece and the end of the stream have in common.
async fn ask_twice(paid: &Paid, does: &Does, request: &Value) -> anyhow::Result<(String, [Value; 2])> {
    paid.stub.next(does);
    let reply = Reply::of(paid.caller.process(request)).await?;
    assert_eq!(reply.status, 200, "{}", reply.body);
    let answer = reply.json()?;
    paid.stub.next(does);
    let streamed = Reply::of(paid.caller.stream(request)).await?.streamed()?;
    assert!(streamed.done, "{}", streamed.last);
    assert_eq!(answer["aiResponse"], streamed.pieces.concat());
    for field in ["model", "usage", "finishReason"] {
        assert_eq!(answer[field], streamed.last[field], "{field}");
    }
    Ok((streamed.pieces.concat(), [answer, streamed.last]))
}

#[tokio::test]
async fn an_answer_and_a_stream_are_billed_to_the_last_digit() -> Story {
    for (kind, cost, picodollars) in
        [(Kind::OpenAi, 0.000_019_8, 19_800_000), (Kind::Bedrock, 0.000_129_6, 129_600_000)]
    {
        let paid = Paid::start(kind).await?;
        let (text, [answer, end]) = ask_twice(&paid, &answers("a language"), &question()).await?;
        assert_eq!(text, "a language");
        assert_eq!(answer["status"], "success");
        for said in [answer, end] {
            assert_eq!(said["model"], kind.model());
            let usage = &said["usage"];
            assert_eq!((&usage["promptTokens"], &usage["completionTokens"]), (&json!(12), &json!(30)));
            assert_eq!((&usage["totalTokens"], &usage["estimatedCost"]), (&json!(42), &json!(cost)));
            assert_eq!(usage["costProvenance"], "exact");
            assert!(said["processingTime"].is_f64() && said["timestamp"].is_string(), "{said}");
        }
        let bill = Bill::of(kind, Outcome::Answered, "stop", "a language", (12, 30));
        assert_eq!(bill.picodollars, picodollars);
        paid.check(&[bill.clone(), bill]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn usage_that_the_provider_does_not_report_is_estimated_and_says_so() -> Story {
    let silent = Does {
        openai: openai::Behaviour::Answer(openai::Answer::new("a language").without_usage()),
        bedrock: bedrock::Behaviour::Answer(bedrock::Answer::new("a language").without_usage()),
    };
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        let (_, [answer, _]) = ask_twice(&paid, &silent, &question()).await?;
        let bill = Bill::of(kind, Outcome::Answered, "stop", "a language", (12, 3)).estimated();
        let usage = json!({
            "promptTokens": 12, "completionTokens": 3, "totalTokens": 15,
            "estimatedCost": dollars(bill.picodollars), "costProvenance": "estimated",
        });
        assert_eq!(answer["usage"], usage);
        paid.check(&[bill.clone(), bill]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn cached_and_reasoning_tokens_are_reported_and_priced() -> Story {
    let openai_usage = json!({
        "prompt_tokens": 12, "completion_tokens": 30, "total_tokens": 42,
        "prompt_tokens_details": {"cached_tokens": 8}, "completion_tokens_details": {"reasoning_tokens": 20},
    });
    let bedrock_usage = json!({
        "inputTokens": 12, "outputTokens": 30, "totalTokens": 192,
        "cacheReadInputTokens": 100, "cacheWriteInputTokens": 50,
    });
    let does = Does {
        openai: openai::Behaviour::Answer(openai::Answer::new("yes").usage(openai_usage)),
        bedrock: bedrock::Behaviour::Answer(bedrock::Answer::new("yes").usage(bedrock_usage)),
    };
    let cases = [
        // 4 × 0.15 + 8 × 0.075 + 30 × 0.6 millionths of a dollar
        (Kind::OpenAi, (12, 30), 19_200_000, json!({"cachedPromptTokens": 8, "reasoningTokens": 20})),
        // 12 × 0.8 + 100 × 0.08 + 50 × 1 + 30 × 4
        (Kind::Bedrock, (162, 30), 187_600_000, json!({"cachedPromptTokens": 100, "cacheWriteTokens": 50})),
    ];
    for (kind, tokens, picodollars, parts) in cases {
        let paid = Paid::start(kind).await?;
        let (_, [answer, _]) = ask_twice(&paid, &does, &question()).await?;
        let mut usage = json!({
            "promptTokens": tokens.0, "completionTokens": tokens.1, "totalTokens": tokens.0 + tokens.1,
            "estimatedCost": dollars(picodollars), "costProvenance": "exact",
        });
        for (name, part) in parts.as_object().into_iter().flatten() {
            usage[name] = part.clone();
        }
        assert_eq!(answer["usage"], usage);
        let bill = Bill { picodollars, ..Bill::of(kind, Outcome::Answered, "stop", "yes", tokens) };
        paid.check(&[bill.clone(), bill]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn hidden_reasoning_is_no_part_of_the_answer() -> Story {
    let thinks = bedrock::Answer::new("four").reasoning("two and two");
    let does = Does { openai: openai::Behaviour::Hang, bedrock: bedrock::Behaviour::Answer(thinks) };
    let paid = Paid::start(Kind::Bedrock).await?;
    let (text, _) = ask_twice(&paid, &does, &question()).await?;
    assert_eq!(text, "four");
    let bill = Bill::of(Kind::Bedrock, Outcome::Answered, "stop", "four", (12, 30));
    paid.check(&[bill.clone(), bill]).await
}

#[tokio::test]
async fn a_file_of_prices_changes_what_an_answer_costs() -> Story {
    let prices: String = BOTH
        .iter()
        .map(|kind| {
            format!(
                "[[model]]\nid = \"{}\"\nprovider = \"{}\"\nprompt = \"0.000001\"\ncompletion = \"7\"\n\
                 source = \"https://prices.test\"\ndate = \"2026-01-01\"\n",
                kind.model(),
                kind.name()
            )
        })
        .collect();
    for kind in BOTH {
        let stub = crate::Stub::start(kind).await?;
        let settings = kind.settings(&stub.address())?.with("PRICES_FILE", "prices.toml");
        std::fs::write(settings.ledger().with_file_name("prices.toml"), &prices)?;
        let server = settings.start()?;
        let caller = e2e::caller::Caller::new(&server)?;
        let paid = Paid { kind, stub, settings, server, caller };

        let (_, [answer, _]) = ask_twice(&paid, &answers("a language"), &question()).await?;

        let picodollars = 12 + 30 * 7_000_000;
        assert_eq!(answer["usage"]["estimatedCost"], dollars(picodollars));
        let bill = Bill::of(kind, Outcome::Answered, "stop", "a language", (12, 30));
        let bill = Bill { picodollars, ..bill };
        paid.check(&[bill.clone(), bill]).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_said_arrives_letter_by_letter_in_both_directions() -> Story {
    let (said, heard) = ("Grüße, 世界 🦀 \"quoted\" \\ \u{202e}end", "Ωmega — ça va ? 👩‍👩‍👧 \n\ttabbed");
    let request = json!({
        "message": said, "context": "Sois précis 🎯", "temperature": 0.5, "max_tokens": 77,
        "history": [{"role": "user", "content": "früher"}, {"role": "assistant", "content": "später 🕰"}],
    });
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        let (text, _) = ask_twice(&paid, &answers(heard), &request).await?;
        assert_eq!(text, heard);
        for sent in paid.stub.requests() {
            let told: [&Value; 4] = match kind {
                Kind::OpenAi => [0, 1, 2, 3].map(|turn| &sent.body["messages"][turn]["content"]),
                Kind::Bedrock => [
                    &sent.body["system"][0]["text"],
                    &sent.body["messages"][0]["content"][0]["text"],
                    &sent.body["messages"][1]["content"][0]["text"],
                    &sent.body["messages"][2]["content"][0]["text"],
                ],
            };
            assert_eq!(told, ["Sois précis 🎯", "früher", "später 🕰", said]);
            let limits = if kind == Kind::OpenAi { &sent.body } else { &sent.body["inferenceConfig"] };
            assert_eq!(limits["temperature"], 0.5);
            assert!(limits["max_tokens"] == 77 || limits["maxTokens"] == 77, "{limits}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_trace_of_the_caller_reaches_the_provider() -> Story {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        for request in [paid.caller.process(&question()), paid.caller.stream(&question())] {
            let parent = format!("00-{trace}-00f067aa0ba902b7-01");
            assert_eq!(Reply::of(request.header("traceparent", parent)).await?.status, 200);
        }
        assert_eq!(Reply::of(paid.caller.process(&json!({"message": QUESTION}))).await?.status, 200);
        let parents: Vec<_> =
            paid.stub.requests().iter().map(|sent| sent.header("traceparent").map(str::to_owned)).collect();
        let [Some(whole), Some(streamed), None] = parents.as_slice() else {
            anyhow::bail!("a trace is continued, and none is invented: {parents:?}");
        };
        for parent in [whole, streamed] {
            assert!(parent.starts_with(&format!("00-{trace}-")) && parent.ends_with("-01"), "{parent}");
        }
    }
    Ok(())
}
