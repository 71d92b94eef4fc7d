//! Conversations as resources: `conversation://ID`, with the id percent-encoded where a URI needs it.

use ledger::{Conversation, ConversationsQuery, HistoryPage, HistoryQuery};
use mcp_transport::unknown_cursor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use rmcp::{
    ErrorData,
    model::{
        Annotations, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams,
        ReadResourceResult, Resource, ResourceContents, ResourceTemplate, SubscriptionFilter,
    },
};
use serde::Serialize;
use serde_json::json;
use url::Url;

use crate::{
    Failure, Messenger,
    arguments::PAGE_DEFAULT,
    conversation,
    results::{HistoryResult, rfc3339},
};

/// What the URIs look like.
pub(crate) const TEMPLATE: &str = "conversation://{id}";
/// The variable of [`TEMPLATE`].
pub(crate) const TEMPLATE_VARIABLE: &str = "id";
/// Media type of a conversation.
pub(crate) const MIME_TYPE: &str = "application/json";
const SCHEME: &str = "conversation://";
/// Conversations of one page of the list.
const PAGE: usize = 50;
/// Most characters of a title.
const TITLE_MAX_CHARS: usize = 60;
/// Most characters of the messages and answers in one resource; older ones are left to the history tool.
const BUDGET_CHARS: usize = 400_000;
/// Longest URI that an error repeats.
const URI_MAX_BYTES: usize = 2_048;
/// RFC 6570 leaves these as they are.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The URI of a conversation.
pub(crate) fn uri(id: &str) -> String {
    format!("{SCHEME}{}", utf8_percent_encode(id, RESERVED))
}

/// The conversation that a URI stands for.
pub(crate) fn conversation_of(uri: &str) -> Option<String> {
    let id = percent_decode_str(uri.strip_prefix(SCHEME)?).decode_utf8().ok()?;
    conversation::is_id(&id).then(|| id.into_owned())
}

/// A page of the list; the conversation that went on last is first.
pub(crate) async fn list(
    messenger: &Messenger,
    request: Option<PaginatedRequestParams>,
) -> Result<ListResourcesResult, ErrorData> {
    let cursor = request.and_then(|request| request.cursor);
    let before = cursor.map(|cursor| position(&cursor).ok_or_else(unknown_cursor)).transpose()?;
    let query = ConversationsQuery { id_prefix: String::new(), before, limit: PAGE };
    let page = messenger.conversations(query).await.map_err(Failure::into_error)?;
    let last = page.conversations.last().map(|conversation| conversation.last_id);
    let mut list = ListResourcesResult::with_all_items(page.conversations.iter().map(resource).collect());
    list.next_cursor = last.filter(|_| page.more).map(|last| format!("c{last}"));
    Ok(list)
}

fn position(cursor: &str) -> Option<i64> {
    let digits =
        cursor.strip_prefix('c').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|id| *id > 0)
}

fn resource(conversation: &Conversation) -> Resource {
    let Conversation { id, exchanges, last_at, beginning, .. } = conversation;
    let mut annotations = Annotations::default();
    annotations.last_modified = Some(rfc3339(*last_at));
    let messages = if *exchanges == 1 { "1 message".to_owned() } else { format!("{exchanges} messages") };
    let resource = Resource::new(uri(id), id)
        .with_description(format!("A conversation with AI models: {messages} and their answers"))
        .with_mime_type(MIME_TYPE)
        .with_annotations(annotations);
    match title(beginning) {
        title if title.is_empty() => resource,
        title => resource.with_title(title),
    }
}

/// The first words, on one line.
fn title(beginning: &str) -> String {
    let line = beginning.split(|character: char| character.is_whitespace() || character.is_control());
    let line = line.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TITLE_MAX_CHARS) {
        Some((end, _)) => format!("{}…", line[..end].trim_end()),
        None => line,
    }
}

/// The one template there is.
pub(crate) fn templates(
    request: Option<PaginatedRequestParams>,
) -> Result<ListResourceTemplatesResult, ErrorData> {
    let template = ResourceTemplate::new(TEMPLATE, "conversation")
        .with_title("A conversation")
        .with_description(
            "Messages and answers of one conversation, the newest of them, with tokens, cost and totals. The id is the \
             conversationId of a result of send_message_to_ai.",
        )
        .with_mime_type(MIME_TYPE);
    let (templates, next_cursor) = mcp_transport::page(&[template], request, PAGE)?;
    let mut list = ListResourceTemplatesResult::with_all_items(templates);
    list.next_cursor = next_cursor;
    Ok(list)
}

/// What `resources/read` answers.
pub(crate) async fn read(messenger: &Messenger, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let text = match conversation_of(uri) {
        Some(id) => text(messenger, &id).await.map_err(Failure::into_error)?,
        None => None,
    };
    let Some(text) = text else { return Err(not_found(uri)) };
    Ok(ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(MIME_TYPE)]))
}

/// The JSON of a conversation; `None` when there is none.
pub(crate) async fn text(messenger: &Messenger, id: &str) -> Result<Option<String>, Failure> {
    let limit = PAGE_DEFAULT as usize;
    let page =
        messenger.history(HistoryQuery { conversation: Some(id.to_owned()), before: None, limit }).await?;
    if page.exchanges.is_empty() {
        return Ok(None);
    }
    let whole = ConversationResource { conversation_id: id, history: HistoryResult::new(that_fits(page)) };
    serde_json::to_string(&whole).map(Some).map_err(|error| {
        tracing::error!(%error, "a conversation is not JSON");
        Failure::internal()
    })
}

/// A conversation as it is read: like a page of the history, and whose it is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConversationResource<'c> {
    conversation_id: &'c str,
    #[serde(flatten)]
    history: HistoryResult,
}

/// The newest exchanges that fit, at least one.
fn that_fits(mut page: HistoryPage) -> HistoryPage {
    let mut left = BUDGET_CHARS;
    let fitting = page.exchanges.iter().take_while(|recorded| {
        let size = recorded.exchange.message.chars().count() + recorded.exchange.answer.chars().count();
        left.checked_sub(size).map(|rest| left = rest).is_some()
    });
    let keep = fitting.count().max(1);
    page.more |= keep < page.exchanges.len();
    page.exchanges.truncate(keep);
    page
}

/// What is no URI at all is not repeated: it would be in the log.
fn not_found(uri: &str) -> ErrorData {
    if uri.len() > URI_MAX_BYTES || Url::parse(uri).is_err() {
        return ErrorData::invalid_params("uri must be one that resources/list has", None);
    }
    ErrorData::resource_not_found(
        "there is no such resource: resources/list has those that there are",
        Some(json!({ "uri": uri })),
    )
}

/// The URI to subscribe to. The conversation need not have begun: clients may choose ids.
pub(crate) fn subscription(uri: &str) -> Result<String, ErrorData> {
    match conversation_of(uri) {
        Some(id) => Ok(self::uri(&id)),
        None => Err(not_found(uri)),
    }
}

/// What a stream may listen to: the list, and conversations by the URIs that changes are told with.
pub(crate) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let mut accepted = requested.clone();
    if let Some(uris) = &mut accepted.resource_subscriptions {
        uris.retain(|uri| subscription(uri).is_ok_and(|known| known == *uri));
    }
    accepted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_one_uri_and_finds_its_way_back() {
        for id in ["c-1", "a/b?c#d", "100%", "ü❤", "{id}", "A", "..", "019a-7f"] {
            let uri = uri(id);
            assert_eq!(conversation_of(&uri).as_deref(), Some(id), "{uri}");
            assert!(uri.is_ascii() && !uri[SCHEME.len()..].contains(['/', '?', '#', '{']), "{uri}");
        }
    }

    #[test]
    fn what_is_no_conversation_is_refused() {
        let long = format!("{SCHEME}{}", "a".repeat(129));
        for wrong in
            ["", "conversation://", "conversation:c", "file:///etc/passwd", "conversation://a%20b", &long]
        {
            assert_eq!(conversation_of(wrong), None, "{wrong}");
        }
        assert_eq!(conversation_of("conversation://%ff"), None, "not UTF-8");
        assert_eq!(conversation_of("conversation://%00"), None, "not visible");
    }

    #[test]
    fn a_title_is_one_short_line() {
        assert_eq!(title(" What\n\tis \u{0} Rust? "), "What is Rust?");
        let long = title(&"word ".repeat(40));
        assert!(long.chars().count() <= TITLE_MAX_CHARS + 1 && long.ends_with('…'), "{long}");
        assert_eq!(title(&"é".repeat(60)), "é".repeat(60));
        assert_eq!(title(""), "");
    }

    #[test]
    fn only_canonical_uris_are_listened_to() {
        let requested = SubscriptionFilter::builder()
            .resources_list_changed()
            .resource_subscriptions(["conversation://a", "conversation://%61", "file:///a", "private words"])
            .build();
        let accepted = accepted(&requested);
        assert_eq!(accepted.resources_list_changed, Some(true));
        assert_eq!(accepted.resource_subscriptions.unwrap(), ["conversation://a"]);
    }

    #[test]
    fn a_cursor_that_no_page_came_with_is_no_position() {
        assert_eq!(position("c7"), Some(7));
        for wrong in ["", "c", "c0", "c-1", "c+1", "7", "p7", "c7x", "c99999999999999999999"] {
            assert_eq!(position(wrong), None, "{wrong}");
        }
    }
}
