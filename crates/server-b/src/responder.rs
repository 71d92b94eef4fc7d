//! The domain: a question goes to the provider, its answer into the ledger and back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use futures_util::{Stream, StreamExt as _, stream};
use ledger::{Claim, IdempotencyKey};
use providers::{
    Completion, CompletionStream, End, Prompt, Provider, ProviderError, ProviderKind, StreamItem,
};

use crate::{
    error::ApiError,
    exchange::{Answer, Books, Ongoing},
    in_flight::InFlight,
};

/// Longest streamed answer, in bytes: far more than any model writes.
const MAX_ANSWER: usize = 8 << 20;

/// Answers questions: each is asked once, recorded, and answered from the record when it is asked again.
pub(crate) struct Responder {
    provider: Arc<dyn Provider>,
    books: Arc<Books>,
    /// Whether calls may cost money: those are announced in the ledger before they are made.
    billed: bool,
    answered: AtomicU64,
    in_flight: Arc<InFlight>,
}

/// One message to answer.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) prompt: Prompt,
    pub(crate) key: Option<IdempotencyKey>,
    pub(crate) started: Instant,
}

/// One item of a streamed answer.
#[derive(Debug)]
pub(crate) enum StreamedItem {
    Piece(String),
    /// The answer is recorded.
    End(Box<Answer>),
    /// It broke off.
    Failed(ApiError),
}

enum Begun {
    Now(Ongoing),
    Before(Answer),
}

impl Responder {
    /// A responder that has answered `answered` questions in its life before this start.
    pub(crate) fn new(provider: Arc<dyn Provider>, kind: ProviderKind, books: Books, answered: u64) -> Self {
        Self {
            provider,
            books: Arc::new(books),
            billed: kind != ProviderKind::Mock,
            answered: AtomicU64::new(answered),
            in_flight: Arc::default(),
        }
    }

    /// Questions answered, in earlier lives too.
    pub(crate) fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Waits until every call has ended, also those whose callers are gone.
    pub(crate) async fn drain(&self) {
        self.in_flight.drain().await;
    }

    /// Answers in one piece. Dropping the future cancels the call to the provider, unless another caller waits for it
    /// under the same key.
    pub(crate) async fn answer(self: &Arc<Self>, question: Question) -> Result<Answer, ApiError> {
        match question.key.clone() {
            None => self.clone().run(question).await,
            Some(IdempotencyKey { key, fingerprint }) => {
                let start = || self.clone().run(question.clone());
                self.in_flight.join(&key, fingerprint, start).await
            }
        }
    }

    async fn run(self: Arc<Self>, question: Question) -> Result<Answer, ApiError> {
        let mut ongoing = match self.begin(&question).await? {
            Begun::Now(ongoing) => ongoing,
            Begun::Before(answer) => return Ok(answer),
        };
        match self.provider.complete(&question.prompt).await {
            Ok(Completion { text, end }) => {
                ongoing.append(&text);
                self.record(ongoing, end).await
            }
            Err(error) => Err(failed(ongoing, error)),
        }
    }

    /// Answers piece by piece. An error before the first piece is an error of the call. Dropping the stream cancels the
    /// call to the provider; what it used so far is recorded.
    pub(crate) async fn stream(
        self: Arc<Self>,
        question: Question,
    ) -> Result<impl Stream<Item = StreamedItem> + Send + 'static, ApiError> {
        let ongoing = match self.begin(&question).await? {
            Begun::Now(ongoing) => ongoing,
            Begun::Before(answer) => return Ok(replay(answer).left_stream()),
        };
        let mut pieces = match self.provider.stream(&question.prompt).await {
            Ok(pieces) => pieces,
            Err(error) => return Err(failed(ongoing, error)),
        };
        let first = match next(&mut pieces).await {
            Ok(first) => first,
            Err(error) => return Err(failed(ongoing, error)),
        };
        let state = Some((Some(first), pieces, ongoing));
        let items = stream::unfold(state, move |state| {
            let this = self.clone();
            async move {
                let (first, mut pieces, ongoing) = state?;
                let item = match first {
                    Some(first) => Ok(first),
                    None => next(&mut pieces).await,
                };
                Some(this.advance(item, pieces, ongoing).await)
            }
        });
        Ok(items.right_stream())
    }

    async fn advance(
        &self,
        item: Result<StreamItem, ProviderError>,
        pieces: CompletionStream,
        mut ongoing: Ongoing,
    ) -> (StreamedItem, Option<(Option<StreamItem>, CompletionStream, Ongoing)>) {
        match item {
            Ok(StreamItem::Text(text)) if ongoing.len() + text.len() <= MAX_ANSWER => {
                ongoing.append(&text);
                (StreamedItem::Piece(text), Some((None, pieces, ongoing)))
            }
            Ok(StreamItem::Text(_)) => {
                let message = format!("the answer is longer than {MAX_ANSWER} bytes");
                (StreamedItem::Failed(failed(ongoing, ProviderError::BrokenStream { message })), None)
            }
            Ok(StreamItem::End(end)) => match self.record(ongoing, end).await {
                Ok(answer) => (StreamedItem::End(Box::new(answer)), None),
                Err(error) => (StreamedItem::Failed(error), None),
            },
            Err(error) => (StreamedItem::Failed(failed(ongoing, error)), None),
        }
    }

    /// Announces a question that may cost money or that may come again, and finds the answer of one that has come before.
    async fn begin(&self, question: &Question) -> Result<Begun, ApiError> {
        let exchange = self.books.open(&question.prompt);
        if question.key.is_none() && !self.billed {
            return Ok(Begun::Now(self.books.follow(exchange, None, question.started)));
        }
        let claim = self.books.ledger.begin(exchange.clone(), question.key.clone()).await;
        match claim.map_err(ApiError::LedgerBefore)? {
            Claim::New(id) => Ok(Begun::Now(self.books.follow(exchange, Some(id), question.started))),
            Claim::Answered(recorded) => {
                Answer::recorded(&recorded.exchange).map(Begun::Before).ok_or(ApiError::KeyInUse)
            }
            Claim::Open => Err(ApiError::KeyInUse),
            Claim::Mismatch => Err(ApiError::KeyMismatch),
        }
    }

    async fn record(&self, ongoing: Ongoing, end: End) -> Result<Answer, ApiError> {
        let answer = ongoing.answered(end).await.map_err(ApiError::LedgerAfter)?;
        self.answered.fetch_add(1, Ordering::Relaxed);
        Ok(answer)
    }
}

fn failed(ongoing: Ongoing, error: ProviderError) -> ApiError {
    ongoing.failed(&error);
    ApiError::Provider(error)
}

async fn next(pieces: &mut CompletionStream) -> Result<StreamItem, ProviderError> {
    let ended =
        || ProviderError::BrokenStream { message: "it ended before the answer was complete".to_owned() };
    pieces.next().await.unwrap_or_else(|| Err(ended()))
}

/// A recorded answer as a stream of one piece.
fn replay(answer: Answer) -> impl Stream<Item = StreamedItem> + Send + 'static {
    let piece = StreamedItem::Piece(answer.text().to_owned());
    stream::iter([piece, StreamedItem::End(Box::new(answer))])
}
