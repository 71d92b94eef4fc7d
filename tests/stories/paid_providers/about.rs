//! What server-b says about a paid provider: its health, its models, and what it lacks.

use e2e::{
    caller::{Caller, Reply},
    ledger_file::{Outcome, rows},
    world::ServerBSettings,
};
use serde_json::json;

use crate::{BOTH, Kind, Paid, Story, Stub, question};

#[tokio::test]
async fn a_missing_credential_fails_calls_and_not_the_start() -> Story {
    for (kind, hint) in [(Kind::OpenAi, "OPENAI_API_KEY"), (Kind::Bedrock, "AWS_ACCESS_KEY_ID")] {
        let settings = ["OPENAI_API_KEY", "OPENAI_BASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
            .into_iter()
            .fold(kind.settings("http://127.0.0.1:1")?, ServerBSettings::without);
        let server = settings.start()?;
        let caller = Caller::new(&server)?;

        let health = caller.about("/health").await?;
        assert_eq!(health.status, 200);
        let health = health.json()?;
        assert_eq!((&health["status"], &health["provider"]), (&json!("degraded"), &json!(kind.name())));
        assert_eq!(health["ai"]["configured"], false);
        assert_eq!(health["ai"]["status"], "unhealthy");
        let error = health["ai"]["error"].as_str().unwrap_or_default();
        assert!(error.contains(hint), "{error}");

        for request in [caller.process(&question()), caller.stream(&question())] {
            let reply = Reply::of(request).await?;
            let problem = reply.json()?;
            assert_eq!(reply.status, 503, "{problem}");
            assert_eq!(problem["code"], "provider_not_configured");
            assert_eq!((&problem["retryable"], reply.header("retry-after")), (&json!(false), None));
            let detail = problem["detail"].as_str().unwrap_or_default();
            assert!(detail.contains(hint), "{detail}");
        }
        assert_eq!(caller.about("/config").await?.json()?["provider"], kind.name());
        server.stop()?;
        for row in rows(&settings.ledger())? {
            assert_eq!(
                (row.outcome, row.code.as_deref()),
                (Outcome::Failed, Some("provider_not_configured"))
            );
            assert_eq!((row.tokens, row.cost, row.provenance), ((0, 0), 0, "exact"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_health_of_openai_is_asked_once_for_many_probes() -> Story {
    let paid = Paid::start(Kind::OpenAi).await?;
    let probe = || paid.caller.about("/health");
    let (first, second, third) = tokio::try_join!(probe(), probe(), probe())?;
    for reply in [first, second, third, probe().await?] {
        let health = reply.json()?;
        assert_eq!((&health["status"], &health["ai"]["status"]), (&json!("healthy"), &json!("healthy")));
    }
    let asked: Vec<_> = paid.stub.requests().into_iter().map(|sent| sent.target).collect();
    assert_eq!(asked, ["/v1/models"]);
    paid.check(&[]).await
}

#[tokio::test]
async fn the_health_of_bedrock_needs_no_request_that_could_cost_something() -> Story {
    let paid = Paid::start(Kind::Bedrock).await?;
    let health = paid.caller.about("/health").await?.json()?;
    assert_eq!((&health["status"], &health["ai"]["status"]), (&json!("healthy"), &json!("unknown")));
    assert_eq!(health["ai"]["configured"], true);
    assert!(health["ai"]["note"].is_string(), "{health}");
    assert_eq!(paid.stub.requests().len(), 0);
    paid.check(&[]).await
}

#[tokio::test]
async fn the_models_are_openais_own_list_and_bedrocks_short_names() -> Story {
    for kind in BOTH {
        let paid = Paid::start(kind).await?;
        if let Stub::OpenAi(stub) = &paid.stub {
            stub.set_models(&["o9", "gpt-4o-mini", "text-embedding-3-small", "gpt-4"]);
        }
        let models = paid.caller.about("/models").await?.json()?;
        let (expected, default) = match kind {
            Kind::OpenAi => (vec!["gpt-4", "gpt-4o-mini", "o9"], "gpt-4o-mini"),
            Kind::Bedrock => (
                vec![
                    "claude-3-haiku",
                    "claude-3-opus",
                    "claude-3-sonnet",
                    "claude-3.5-haiku",
                    "claude-3.5-sonnet",
                    "claude-3.5-sonnet-v2",
                ],
                "claude-3.5-haiku",
            ),
        };
        assert_eq!((&models["provider"], &models["default"]), (&json!(kind.name()), &json!(default)));
        assert_eq!(models["models"], json!(expected));
        assert!(models["note"].is_string(), "{models}");
    }
    Ok(())
}

#[tokio::test]
async fn a_provider_that_refuses_its_list_is_a_problem_and_bad_health() -> Story {
    let paid = Paid::start(Kind::OpenAi).await?;
    let Stub::OpenAi(stub) = &paid.stub else { anyhow::bail!("another stub") };
    stub.refuse_models(401, "The credential is not known here");
    let reply = paid.caller.about("/models").await?;
    let problem = reply.json()?;
    assert_eq!((reply.status, &problem["code"]), (502, &json!("provider_unauthorized")));
    let detail = problem["detail"].as_str().unwrap_or_default();
    assert!(detail.contains("The credential is not known here"), "{detail}");

    let health = paid.caller.about("/health").await?.json()?;
    assert_eq!((&health["status"], &health["ai"]["status"]), (&json!("degraded"), &json!("unhealthy")));
    let error = health["ai"]["error"].as_str().unwrap_or_default();
    assert!(error.contains("The credential is not known here"), "{error}");
    Ok(())
}
