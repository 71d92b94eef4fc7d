//! An answer that is lost after its call was carried out: the call is made again only where that does no harm.

use e2e::{
    fault::Strings,
    moody::{Mood, Moody},
};

use crate::{
    Story,
    running::{Running, SHORT, failing},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_a_lost_answer_is_told_as_such_and_its_call_is_made_once() -> Story {
    for mood in [Mood::HangingUp, Mood::BreakingOff] {
        let upstream = Moody::start().await?;
        let gateway = Running::start(&format!("[upstream.far]\nurl = {:?}\n{SHORT}", upstream.url()))?;
        gateway.until_answers("far__echo").await?;
        upstream.is(mood);
        let before = upstream.calls("echo");

        let (code, message) = gateway.client.call("far__echo", "hello").await?.expect_err("it was lost");

        assert_eq!(
            (code.as_str(), upstream.calls("echo")),
            ("DELIVERY_UNKNOWN", before + 1),
            "{mood:?}: {message}"
        );
        assert!(
            message.contains("upstream \"far\"") && message.contains("look before you repeat it"),
            "{message}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_a_call_that_may_be_repeated_is_made_twice_and_not_more_often() -> Story {
    let upstream = Moody::start().await?;
    let gateway = Running::start(&format!("[upstream.far]\nurl = {:?}\n{SHORT}", upstream.url()))?;
    gateway.until_answers("far__echo").await?;
    for mood in [Mood::HangingUp, Mood::BreakingOff] {
        for tool in ["look", "put"] {
            upstream.is(mood);
            let before = upstream.calls(tool);
            let (code, message) =
                gateway.client.call(&format!("far__{tool}"), "hello").await?.expect_err("all were lost");
            assert_eq!(
                (code.as_str(), upstream.calls(tool)),
                ("DELIVERY_UNKNOWN", before + 2),
                "{tool}: {message}"
            );
            upstream.is(Mood::Well);
            gateway.until_answers("far__echo").await?;
        }
    }
    for tool in ["look", "put"] {
        upstream.is(Mood::HangingUpOnce);
        let before = upstream.calls(tool);
        let answer = gateway.client.call(&format!("far__{tool}"), "hello").await?;
        assert_eq!(
            answer.map(|result| result["content"][0]["text"].clone()),
            Ok(format!("{tool}: hello").into())
        );
        assert_eq!(upstream.calls(tool), before + 2);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_pipe_a_lost_answer_is_told_as_such_and_its_call_is_made_once() -> Story {
    let strings = Strings::new()?;
    let gateway = Running::start(&format!("[upstream.near]\n{}{SHORT}", failing("forgets", &strings)?))?;
    gateway.until_answers("near__safe").await?;

    let (code, message) = gateway.client.call("near__echo", "hello").await?.expect_err("it was lost");

    assert_eq!(code, "DELIVERY_UNKNOWN", "{message}");
    gateway.until_answers("near__safe").await?; // whatever would come after it has come
    assert_eq!(strings.count("called echo"), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_a_pipe_a_call_that_may_be_repeated_is_made_twice_and_answered() -> Story {
    for tool in ["look", "put"] {
        let strings = Strings::new()?;
        let gateway = Running::start(&format!("[upstream.near]\n{}{SHORT}", failing("forgets", &strings)?))?;
        gateway.until_answers("near__safe").await?;

        let answer = gateway.client.call(&format!("near__{tool}"), "hello").await?;

        assert_eq!(answer.map(|result| result["content"][0]["text"].clone()), Ok("echo: hello".into()));
        assert_eq!(strings.count(&format!("called {tool}")), 2);
    }
    Ok(())
}

/// The configuration knows better than the tools.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_configuration_overrules_what_tools_say_of_themselves() -> Story {
    let upstream = Moody::start().await?;
    let text = SHORT.replace("retry = {", r#"retry = { repeat = ["ech*"], never_repeat = ["put"],"#);
    let gateway = Running::start(&format!("[upstream.far]\nurl = {:?}\n{text}", upstream.url()))?;
    gateway.until_answers("far__look").await?;
    upstream.is(Mood::HangingUp);
    for (tool, times) in [("echo", 2), ("put", 1)] {
        let (code, _) =
            gateway.client.call(&format!("far__{tool}"), "hello").await?.expect_err("it was lost");
        assert_eq!((code.as_str(), upstream.calls(tool)), ("DELIVERY_UNKNOWN", times), "{tool}");
    }
    Ok(())
}
