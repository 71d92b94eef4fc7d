use std::{convert::Infallible, time::Duration};

use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { timeout: Duration::from_secs(1), answer_bytes: 1 << 16, line_bytes: 1 << 12 };
const END: &str = concat!(
    r#"data: {"usage":{"promptTokens":1,"completionTokens":2,"totalTokens":3,"estimatedCost":0.5,"#,
    r#""costProvenance":"exact"},"model":"mock-model","processingTime":0.1,"timestamp":"2026-01-31T12:00:00.000Z","#,
    r#""finishReason":"stop"}"#,
    "\n\n"
);

/// A transport that cannot fail.
struct Never(Infallible);

impl From<Never> for ResponderError {
    fn from(never: Never) -> Self {
        match never.0 {}
    }
}

/// What comes out, as text: errors have no equality.
fn decoded(chunks: Vec<Vec<u8>>) -> Vec<String> {
    decoded_within(chunks, LIMITS)
}

fn decoded_within(chunks: Vec<Vec<u8>>, limits: Limits) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let bytes = stream::iter(chunks.into_iter().map(Ok::<_, Never>));
        decode(bytes, limits).map(|item| format!("{item:?}")).collect().await
    })
}

fn whole(text: &str) -> Vec<String> {
    decoded(vec![text.as_bytes().to_vec()])
}

fn pieces(text: &str) -> String {
    text.split_inclusive(' ')
        .map(|word| format!("data: {}\n\n", serde_json::json!({"content": word})))
        .collect()
}

fn cut(bytes: &[u8], mut places: Vec<usize>) -> Vec<Vec<u8>> {
    places.iter_mut().for_each(|place| *place %= bytes.len() + 1);
    places.sort_unstable();
    let mut chunks = Vec::new();
    let mut start = 0;
    for place in places {
        chunks.push(bytes[start..place].to_vec());
        start = place;
    }
    chunks.push(bytes[start..].to_vec());
    chunks
}

#[test]
fn a_good_stream_is_its_pieces_and_its_end() {
    let events = whole(&format!("{}{END}data: [DONE]\n\n", pieces("two words")));
    assert_eq!(events.len(), 3, "{events:?}");
    assert!(events[0].contains("two "), "{events:?}");
    assert!(events[2].contains("mock-model"), "{events:?}");
}

#[test]
fn what_follows_done_is_not_read() {
    let events = whole(&format!("{END}data: [DONE]\n\ndata: nonsense\n\n"));
    assert_eq!(events.len(), 1, "{events:?}");
}

#[test]
fn comments_and_a_byte_order_mark_are_not_events() {
    let events =
        whole(&format!("\u{feff}data: {{\"content\":\"a\"}}\n\n: still here\n\n{END}data: [DONE]\n\n"));
    assert_eq!(events.len(), 2, "{events:?}");
    assert!(events.iter().all(|event| event.starts_with("Ok")), "{events:?}");
}

#[test]
fn a_stream_without_done_is_broken() {
    for text in [String::new(), pieces("a b"), END.to_owned(), format!("{}data: [DONE]\n\n", pieces("a"))] {
        let events = whole(&text);
        assert_eq!(events.last().unwrap(), "Err(BrokenStream)", "{events:?}");
    }
}

#[test]
fn a_failure_after_the_start_is_an_error_with_its_code() {
    let events =
        whole(&format!("{}data: {{\"error\":\"gone\",\"code\":\"provider_failed\"}}\n\n", pieces("a")));
    assert_eq!(events[1], r#"Err(StreamFailed(StreamError { error: "gone", code: "provider_failed" }))"#);
    assert_eq!(events.len(), 2);
}

#[test]
fn an_event_that_is_not_known_is_an_error_that_does_not_quote_it() {
    for data in ["{\"words\":\"private\"}", "{\"content\":7,\"private\":1}", "private", "[]"] {
        let events = whole(&format!("data: {data}\n\n"));
        assert!(events[0].starts_with("Err(InvalidAnswer"), "{events:?}");
        assert!(!events[0].contains("private"), "{events:?}");
        assert_eq!(events.len(), 1);
    }
}

#[test]
fn a_piece_after_the_end_is_an_error() {
    let events = whole(&format!("{END}{}", pieces("a")));
    assert!(events[1].starts_with("Err(InvalidAnswer"), "{events:?}");
}

#[test]
fn an_endless_line_and_an_endless_stream_are_cut() {
    let line = decoded(vec![vec![b'x'; 1 << 10]; 5]);
    assert!(line[0].starts_with("Err(InvalidAnswer"), "{line:?}");
    let stream = decoded(vec![pieces("a").into_bytes(); 1 << 13]);
    assert!(stream.last().unwrap().starts_with("Err(InvalidAnswer"));
    assert!(stream.len() < 1 << 13);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_falls_silent_times_out() {
    let silent = stream::iter([Ok::<_, Never>(pieces("a").into_bytes())]).chain(stream::pending());
    let mut events = decode(silent, LIMITS);
    assert!(events.next().await.unwrap().is_ok());
    let error = events.next().await.unwrap().unwrap_err();
    assert!(matches!(error, ResponderError::TimedOut { after } if after == LIMITS.timeout), "{error:?}");
    assert!(events.next().await.is_none());
}

proptest! {
    #[test]
    fn the_events_do_not_depend_on_how_the_bytes_are_cut(
        text in "[a-zß😀 \"\\\\]{0,40}",
        mark in any::<bool>(),
        line_break in prop::sample::select(vec!["\n", "\r\n"]),
        places in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        let body = format!("{}: comment\n\n{END}data: [DONE]\n\n", pieces(&text)).replace('\n', line_break);
        let body = if mark { format!("\u{feff}{body}") } else { body };
        prop_assert_eq!(decoded(cut(body.as_bytes(), places)), whole(&body));
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_end_the_same_however_they_are_cut(
        bytes in prop::collection::vec(
            prop_oneof![4 => prop::sample::select(b"data: \r\n\"{}\xEF\xBB\xBF".to_vec()), 1 => any::<u8>()],
            0..200,
        ),
        places in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        prop_assert_eq!(decoded(cut(&bytes, places)), decoded(vec![bytes.clone()]));
    }
}
