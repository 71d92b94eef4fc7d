//! What went wrong, from the SDK's errors.

use std::{error::Error as StdError, time::Duration};

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_bedrockruntime::{
    config::http::HttpResponse,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::error::ConverseStreamOutputError,
};

use crate::{ProviderError, error::root_cause, redact::Redactor};

/// What to do without credentials.
pub(super) const NO_CREDENTIALS: &str = "no AWS credentials found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
                                         or AWS_PROFILE, or run where an IAM role applies";

/// A call that got no answer, or an error instead of one. `took` is the time since it started.
pub(super) fn of_call<E>(
    error: SdkError<E, HttpResponse>,
    took: Duration,
    redactor: &Redactor,
) -> ProviderError
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    if let Some(missing) = credentials_error(&error, redactor) {
        return missing;
    }
    match &error {
        SdkError::ServiceError(service) if service.raw().status().is_success() => {
            ProviderError::AnswerLost { message: "it is not what Converse answers".to_owned() }
        }
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            let message = match service.err().message().filter(|message| !message.trim().is_empty()) {
                Some(message) => redactor.clean(message),
                None if code.is_empty() => format!("HTTP {status}"),
                None => redactor.clean(code),
            };
            let wait = service.raw().headers().get("retry-after").and_then(|wait| wait.trim().parse().ok());
            from_code(code, status, message, wait.map(Duration::from_secs), took)
        }
        SdkError::DispatchFailure(_) | SdkError::TimeoutError(_) if never_connected(&error) => {
            ProviderError::Unreachable { message: cause(&error, redactor) }
        }
        SdkError::TimeoutError(_) => ProviderError::TimedOut { after: took },
        SdkError::DispatchFailure(failure) if failure.is_timeout() => ProviderError::TimedOut { after: took },
        SdkError::DispatchFailure(_) | SdkError::ResponseError(_) => {
            ProviderError::AnswerLost { message: cause(&error, redactor) }
        }
        _ => ProviderError::Failed { message: cause(&error, redactor) },
    }
}

/// An error in the middle of a stream.
pub(super) fn of_stream<R>(
    error: SdkError<ConverseStreamOutputError, R>,
    took: Duration,
    redactor: &Redactor,
) -> ProviderError
where
    R: std::fmt::Debug + Send + Sync + 'static,
{
    use ConverseStreamOutputError as Event;
    let SdkError::ServiceError(service) = &error else {
        return ProviderError::BrokenStream { message: cause(&error, redactor) };
    };
    // In a stream the code is the name of the event, which only the variant keeps.
    let (code, message) = match service.err() {
        Event::ThrottlingException(error) => ("ThrottlingException", error.message()),
        Event::ServiceUnavailableException(error) => ("ServiceUnavailableException", error.message()),
        Event::InternalServerException(error) => ("InternalServerException", error.message()),
        Event::ValidationException(error) => ("ValidationException", error.message()),
        Event::ModelStreamErrorException(error) => ("ModelStreamErrorException", error.message()),
        other => ("ModelStreamErrorException", other.meta().message()),
    };
    from_code(code, 0, redactor.clean(message.unwrap_or(code)), None, took)
}

/// The error of a code, or of the status where the code tells nothing.
fn from_code(
    code: &str,
    status: u16,
    message: String,
    retry_after: Option<Duration>,
    took: Duration,
) -> ProviderError {
    match code {
        "ThrottlingException" | "TooManyRequestsException" => {
            ProviderError::RateLimited { message, retry_after }
        }
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationTokenException" => ProviderError::Unauthorized { message },
        "ValidationException" | "ResourceNotFoundException" | "ConflictException" => {
            ProviderError::InvalidRequest { message }
        }
        "ServiceUnavailableException" | "ModelNotReadyException" | "ServiceQuotaExceededException" => {
            ProviderError::Overloaded { message, retry_after }
        }
        "ModelTimeoutException" => ProviderError::TimedOut { after: took },
        "ModelStreamErrorException" => ProviderError::BrokenStream { message },
        "InternalServerException" | "ModelErrorException" => ProviderError::Failed { message },
        _ => match status {
            401 | 403 => ProviderError::Unauthorized { message },
            429 => ProviderError::RateLimited { message, retry_after },
            408 | 504 => ProviderError::TimedOut { after: took },
            503 => ProviderError::Overloaded { message, retry_after },
            400..500 => ProviderError::InvalidRequest { message },
            _ => ProviderError::Failed { message },
        },
    }
}

/// Credentials that cannot be had: none anywhere, an unreadable profile, a role that cannot be assumed.
fn credentials_error(error: &(dyn StdError + 'static), redactor: &Redactor) -> Option<ProviderError> {
    let error = find::<CredentialsError>(error)?;
    Some(ProviderError::NotConfigured { hint: credentials_hint(error, redactor) })
}

pub(super) fn credentials_hint(error: &CredentialsError, redactor: &Redactor) -> String {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => NO_CREDENTIALS.to_owned(),
        error => format!("the AWS credentials cannot be used: {}", cause(error, redactor)),
    }
}

/// Whether no connection was made, so that nothing can have been asked or billed. The SDK's own distinctions mix this
/// with connections that broke.
fn never_connected(error: &(dyn StdError + 'static)) -> bool {
    find::<hyper_util::client::legacy::Error>(error).is_some_and(|error| error.is_connect())
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn cause(error: &(dyn StdError + 'static), redactor: &Redactor) -> String {
    let root = root_cause(error).to_string();
    if root.is_empty() {
        return redactor.clean(&DisplayErrorContext(error).to_string());
    }
    redactor.clean(&root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_has_its_kind() {
        for (code, status, kind) in [
            ("ThrottlingException", 429, "rate_limited"),
            ("AccessDeniedException", 403, "provider_unauthorized"),
            ("UnrecognizedClientException", 403, "provider_unauthorized"),
            ("ExpiredTokenException", 403, "provider_unauthorized"),
            ("ValidationException", 400, "provider_rejected_request"),
            ("ResourceNotFoundException", 404, "provider_rejected_request"),
            ("ServiceUnavailableException", 503, "provider_overloaded"),
            ("ModelNotReadyException", 429, "provider_overloaded"),
            ("ServiceQuotaExceededException", 400, "provider_overloaded"),
            ("ModelTimeoutException", 408, "provider_timed_out"),
            ("ModelErrorException", 424, "provider_failed"),
            ("InternalServerException", 500, "provider_failed"),
            ("SomethingNew", 403, "provider_unauthorized"),
            ("", 502, "provider_failed"),
        ] {
            let error = from_code(code, status, String::new(), None, Duration::ZERO);
            assert_eq!(error.code(), kind, "{code} {status}");
        }
    }
}
