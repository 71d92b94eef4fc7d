//! Values that several programs read.

use std::net::IpAddr;

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

/// An address to listen on; `localhost` is 127.0.0.1.
///
/// # Errors
/// What is allowed, when it is something else.
pub fn ip_address(text: &str) -> Result<IpAddr, String> {
    let name = if text == "localhost" { "127.0.0.1" } else { text };
    name.parse().map_err(|_| "allowed is an IP address, for instance 127.0.0.1 or 0.0.0.0".to_owned())
}

/// A time in seconds, up to a day.
///
/// # Errors
/// What is allowed, when it is something else.
pub fn seconds(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|value| (0.001..=86_400.0).contains(value));
    parsed.ok_or_else(|| "allowed is 0.001 to 86400 seconds".to_owned())
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
