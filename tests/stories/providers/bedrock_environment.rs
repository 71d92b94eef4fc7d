//! Where `Bedrock` finds its address and its credentials when only the environment tells.

use providers::{Bedrock, BedrockSettings, CheckStatus, Provider as _, ProviderError};

use crate::{
    bedrock::{ACCESS_KEY, SECRET_KEY, TOKEN, prompt, stub},
    error,
};

/// Runs one of the ignored tests below in a process of its own, because an environment belongs to a whole process.
async fn run_alone(test: &str, environment: &[(&str, &str)]) {
    let status = tokio::process::Command::new(std::env::current_exe().expect("a test is a program"))
        .args(["--exact", test, "--ignored"])
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/nonexistent")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env_remove("AWS_BEARER_TOKEN_BEDROCK")
        .envs(environment.iter().copied())
        .status()
        .await
        .expect("this very program can be started");
    assert!(status.success());
}

fn provider_of_the_environment() -> Bedrock {
    Bedrock::new(BedrockSettings { region: "eu-central-1".into(), model_names: Vec::new() })
}

#[tokio::test]
async fn the_environment_says_where_bedrock_is_and_who_asks() {
    let stub = stub().await;
    let endpoint_url = stub.endpoint_url();
    let keys = [("AWS_ACCESS_KEY_ID", ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", SECRET_KEY)];
    let endpoint = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint_url.as_str());
    run_alone("bedrock_environment::asks_with_an_environment", &[keys[0], keys[1], endpoint]).await;
    run_alone(
        "bedrock_environment::asks_with_an_environment",
        &[("AWS_BEARER_TOKEN_BEDROCK", TOKEN), endpoint],
    )
    .await;

    let said: Vec<_> =
        stub.requests().iter().map(|request| request.header("authorization").unwrap().to_owned()).collect();
    assert!(said[0].contains(ACCESS_KEY) && said[0].contains("/eu-central-1/bedrock/"), "{said:?}");
    assert_eq!(said[1], format!("Bearer {TOKEN}"));
}

#[tokio::test]
#[ignore = "started by another test, with an environment of its own"]
async fn asks_with_an_environment() {
    let provider = provider_of_the_environment();
    assert_eq!(provider.check().await.status, CheckStatus::Unknown);
    assert_eq!(provider.complete(&prompt()).await.unwrap().text, "a language");
}

#[tokio::test]
async fn missing_credentials_are_an_error_of_the_call_and_of_the_check() {
    run_alone("bedrock_environment::asks_without_credentials", &[]).await;
}

#[tokio::test]
#[ignore = "started by another test, with an environment of its own"]
async fn asks_without_credentials() {
    let provider = provider_of_the_environment();
    for failure in [error(provider.complete(&prompt()).await), error(provider.stream(&prompt()).await)] {
        assert!(
            matches!(&failure, ProviderError::NotConfigured { hint } if hint.contains("AWS_PROFILE")),
            "{failure:?}"
        );
    }
    let check = provider.check().await;
    assert!(!check.configured && matches!(check.status, CheckStatus::Unhealthy(_)));
}
