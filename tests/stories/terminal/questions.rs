//! What servers ask: forms, and models that a server-b answers for.

use e2e::{ledger_file::rows, mcp_client::McpClient, programs, world::ServerBSettings};

use crate::{
    Story,
    screen::ENTER,
    shell::{Shell, ToolServer},
};

/// The everything server as a child. In the older era it asks in the middle of a call, in the newer one its answer asks.
pub fn everything() -> anyhow::Result<String> {
    Ok(format!("everything=stdio:{} stdio", programs::folder()?.join("conformance-server").display()))
}

#[test]
fn a_form_is_filled_in_and_sent_after_consent() -> Story {
    for (era, call, fields, expected) in [
        (
            "legacy",
            "call everything test_elicitation message='Who are you?'",
            &[("email", "ada@example.com"), ("username", "ada")][..],
            &["ada", "ada@example.com", "accept"][..],
        ),
        (
            "modern",
            "call everything test_input_required_result_elicitation",
            &[("name", "Grace")],
            &["Grace"],
        ),
    ] {
        let client = McpClient::new()?;
        let shell = Shell::start(&client, &[&everything()?, "--era", era])?;
        let place = shell.place();
        shell.type_in(call)?;
        shell.type_in(ENTER)?;
        for (field, value) in fields {
            shell.wait_for_line(place.below(), &format!("{field}:"))?;
            shell.type_in(value)?;
            shell.type_in(ENTER)?;
        }
        shell.wait_below(place, "send it to everything?")?;
        shell.type_in("y\r")?;
        shell.wait_for_prompt(place.below())?;
        let shown = shell.text_from(place);
        let answer = &shown[shown.rfind("send it to").unwrap_or_default()..];
        for text in expected {
            assert!(answer.contains(text), "{era}: `{text}` is missing in:\n{shown}");
        }
        shell.quit()?;
    }
    Ok(())
}

#[test]
fn a_form_takes_defaults_and_can_be_declined() -> Story {
    let client = McpClient::new()?;
    let shell = Shell::start(&client, &[&everything()?, "--era", "legacy"])?;
    let place = shell.place();
    shell.type_in("call everything test_elicitation_sep1034_defaults\r")?;
    for field in ["age [30]:", "name [John Doe]:", "score [95.5]:", "status [active]:", "verified [yes]:"] {
        shell.wait_for_line(place.below(), field)?;
        shell.type_in(ENTER)?;
    }
    shell.wait_below(place, "send it to everything?")?;
    shell.type_in("y\r")?;
    shell.wait_for_prompt(place.below())?;
    let shown = shell.text_from(place);
    let answer = &shown[shown.rfind("send it to").unwrap_or_default()..];
    for text in ["John Doe", "30", "95.5", "active", "true"] {
        assert!(answer.contains(text), "`{text}` is missing in:\n{shown}");
    }

    let place = shell.place();
    shell.type_in("call everything test_elicitation message=again\r")?;
    shell.wait_for_line(place.below(), "email:")?;
    shell.type_in("/decline\r")?;
    shell.wait_for_prompt(place.below())?;
    assert!(shell.text_from(place).contains("decline"), "{}", shell.screen());
    shell.quit()
}

#[test]
fn a_model_is_asked_through_server_b_after_consent_and_its_cost_is_shown() -> Story {
    let settings = ServerBSettings::new()?;
    let server_b = settings.start()?;
    for (era, call) in [
        ("legacy", "call everything test_sampling prompt='What sings?'"),
        ("modern", "call everything test_input_required_result_sampling"),
    ] {
        let client = McpClient::new()?;
        let shell = Shell::start(&client, &[&everything()?, "--era", era, "--sampling", &server_b.url("")])?;
        let place = shell.place();
        shell.type_in(call)?;
        shell.type_in(ENTER)?;
        shell.wait_below(place, "send it?")?;
        let asked = shell.text_from(place);
        let question = if era == "legacy" { "What sings?" } else { "capital" };
        assert!(asked.contains(question) && asked.contains("tokens"), "{asked}");
        shell.type_in("y\r")?;
        shell.wait_for_prompt(place.below())?;
        let shown = shell.text_from(place);
        for text in ["answered by mock-model", "tokens", "$", "MOCK RESPONSE"] {
            assert!(shown.contains(text), "{era}: `{text}` is missing in:\n{shown}");
        }

        // Without consent nothing is asked, and nothing is spent.
        let place = shell.place();
        shell.type_in(call)?;
        shell.type_in(ENTER)?;
        shell.wait_below(place, "send it?")?;
        shell.type_in("n\r")?;
        shell.wait_for_prompt(place.below())?;
        assert!(!shell.text_from(place).contains("MOCK RESPONSE"), "{}", shell.screen());
        shell.quit()?;
    }
    let asked = rows(&settings.ledger())?;
    assert_eq!(asked.len(), 2, "one for each consent");
    Ok(())
}

#[test]
fn a_missing_argument_is_asked_for() -> Story {
    let client = McpClient::new()?;
    let server = ToolServer::start(client.home(), &[])?;
    let shell = Shell::start(&client, &[server.named("one")])?;
    let place = shell.place();
    shell.type_in("call one echo\r")?;
    shell.wait_for_line(place.below(), "message:")?;
    shell.type_in("given later")?;
    shell.type_in(ENTER)?;
    shell.wait_for_prompt(place.below())?;
    assert!(shell.text_from(place).contains("Echo: given later"), "{}", shell.screen());
    shell.quit()
}
