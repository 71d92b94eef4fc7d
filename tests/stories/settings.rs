//! Settings of server-b: which are refused, and where they come from.

use std::{fs, path::Path, process::Command};

use e2e::{caller::Caller, programs, world::ServerBSettings};
use serde_json::json;

type Story = anyhow::Result<()>;

#[tokio::test]
async fn a_second_server_b_on_the_same_ledger_is_told_to_use_another() -> Story {
    let settings = ServerBSettings::new()?;
    let _first = settings.start()?;
    let mut second = settings.launch()?;
    assert_eq!(second.wait()?.code(), Some(1));
    assert!(second.log().contains("DATABASE_URL"), "{}", second.log());
    Ok(())
}

#[test]
fn every_setting_is_in_the_readme_and_in_the_example_file() -> Story {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pages = [fs::read_to_string(root.join("README.md"))?, fs::read_to_string(root.join(".env.example"))?];
    for program in ["server-a", "server-b", "tool-server"] {
        let help = Command::new(programs::folder()?.join(program)).arg("--help").output()?;
        let help = String::from_utf8(help.stdout)?;
        let names: Vec<_> =
            help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next()).collect();
        assert!(names.len() > 8, "{program}: {help}");
        for name in names {
            assert!(pages.iter().all(|page| page.contains(name)), "{program}: {name}");
        }
    }
    Ok(())
}

#[test]
fn a_setting_that_makes_no_sense_stops_the_start_with_one_line_that_names_it() -> Story {
    let cases = [
        ("AI_PROVIDER", "gemini", "mock, openai"),
        ("AI_TEMPERATURE", "2.1", "0.0 to 2.0"),
        ("AI_TEMPERATURE", "warm", "0.0 to 2.0"),
        ("AI_MAX_TOKENS", "0", "1.."),
        ("AI_MAX_TOKENS", "40000", "AI_MAX_TOKENS_LIMIT"),
        ("AI_MAX_TOKENS_LIMIT", "-1", "1.."),
        ("HTTP_HOST", "nowhere", "IP address"),
        ("HTTP_PORT", "99999", "0..=65535"),
        ("OPENAI_BASE_URL", "localhost:11434", "http://"),
        ("AWS_REGION", "US East", "us-east-1"),
        ("DATABASE_URL", "mysql://x", "sqlite://PATH"),
        ("DATABASE_URL", "postgres://x", "sqlite://PATH"),
        ("HISTORY_MAX_MESSAGES", "many", "invalid digit"),
        ("PRICES_FILE", "no-such-file.toml", "no-such-file.toml"),
        ("PROVIDER_TIMEOUT_SECONDS", "0", "0.001"),
        ("MAX_CONCURRENT_REQUESTS", "0", "1.."),
        ("MAX_CONNECTIONS", "0", "1.."),
        ("CONNECTION_IDLE_SECONDS", "0", "seconds"),
        ("STREAM_STALL_SECONDS", "-1", "seconds"),
        ("SHUTDOWN_GRACE_SECONDS", "soon", "seconds"),
        ("MOCK_DELAY_MS", "-5", "invalid digit"),
        ("MOCK_CHUNK_DELAY_MS", "1.5", "invalid digit"),
        ("RUST_LOG", "server_b=loud", "directives"),
        ("LOG_FORMAT", "xml", "text, json"),
        ("OPENAI_DEFAULT_MODEL", "a\nb", "model"),
        ("BEDROCK_DEFAULT_MODEL", "a\tb", "model"),
    ];
    for (name, value, said) in cases {
        let mut program = ServerBSettings::new()?.with(name, value).launch()?;
        let status = program.wait()?;
        let log = program.log();
        assert!(matches!(status.code(), Some(1 | 2)), "{name}={value}: {status}");
        assert!(log.contains(name) && log.contains(said), "{name}={value}: {log}");
    }
    Ok(())
}

#[test]
fn a_secret_that_makes_no_sense_is_not_shown() -> Story {
    for name in ["OPENAI_API_KEY", "SERVER_B_API_KEY"] {
        let mut program = ServerBSettings::new()?.with(name, "s3cret-canary\nx").launch()?;
        assert_eq!(program.wait()?.code(), Some(2));
        let log = program.log();
        assert!(log.contains(name) && !log.contains("s3cret"), "{log}");
    }
    Ok(())
}

#[tokio::test]
async fn empty_variables_and_a_env_file_are_settings_too() -> Story {
    let settings =
        ServerBSettings::new()?.with("OPENAI_API_KEY", "").with("AI_TEMPERATURE", "").without("AI_PROVIDER");
    let env = settings.ledger().with_file_name(".env");
    std::fs::write(env, "# comment\nAI_MAX_TOKENS=77\nRUST_LOG=error\n")?;
    let server = settings.start()?;
    let config = Caller::new(&server)?.about("/config").await?.json()?;
    assert_eq!(config["provider"], "mock");
    assert_eq!((&config["temperature"], &config["maxTokens"]), (&json!(0.7), &json!(77)));
    server.program.wait_for_log("the mock provider answers")?;
    Ok(())
}
