//! Values that several programs read.

use secrecy::SecretString;
use url::Url;

/// An `http://` or `https://` URL with a host.
///
/// # Errors
/// What is allowed, when it is something else.
pub fn http_url(text: &str) -> Result<Url, String> {
    let parsed =
        Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    parsed.ok_or_else(|| "allowed is an http:// or https:// URL".to_owned())
}

/// A secret that can stand in a header.
///
/// # Errors
/// What is allowed, when it cannot; never the secret.
pub fn header_secret(text: &str) -> Result<SecretString, String> {
    let fits = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    fits.then(|| SecretString::from(text)).ok_or_else(|| "allowed are visible ASCII characters".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_must_be_an_http_one_with_a_host() {
        for right in ["http://localhost:8000", "https://b.test/ai", "http://[::1]:8000"] {
            assert!(http_url(right).is_ok(), "{right}");
        }
        for wrong in ["localhost:8000", "http://", "ftp://b.test", "b.test", ""] {
            assert!(http_url(wrong).is_err(), "{wrong}");
        }
    }
}
