//! The formats that a form may ask a text to have.

use rmcp::model::StringFormat;
use url::Url;

/// What is wrong with the text, as the rest of a sentence about it.
pub(super) fn problem(format: StringFormat, text: &str) -> Option<&'static str> {
    let (fits, wanted) = match format {
        StringFormat::Email => (is_email(text), "must be an e-mail address, like ada@example.org"),
        StringFormat::Uri => (Url::parse(text).is_ok(), "must be a whole URI, like https://example.org/"),
        StringFormat::Date => (is_date(text), "must be a date, like 2026-01-31"),
        StringFormat::DateTime => {
            (text.parse::<jiff::Timestamp>().is_ok(), "must be a date and time, like 2026-01-31T12:00:00Z")
        }
        _ => return None,
    };
    (!fits).then_some(wanted)
}

/// What the format is called in a form.
pub(super) fn name(format: StringFormat) -> &'static str {
    match format {
        StringFormat::Email => "e-mail address",
        StringFormat::Uri => "URI",
        StringFormat::Date => "date, YYYY-MM-DD",
        StringFormat::DateTime => "date and time, like 2026-01-31T12:00:00Z",
        _ => "text",
    }
}

/// Near enough: whether an address exists only a message to it can tell.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let label = |label: &str| {
        let inner = label.chars().all(|c| c.is_alphanumeric() || c == '-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    let plain =
        !local.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '@' | '<' | '>' | ','));
    !local.is_empty() && plain && text.len() <= 254 && domain.split('.').all(label)
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_takes_what_it_is_and_nothing_else() {
        for (format, good, bad) in [
            (
                StringFormat::Email,
                vec!["ada@example.org", "a.b+c@x-y.de", "root@localhost"],
                vec!["ada", "@x.org", "a b@x.org", "a@b@", "a@-x.org", "a@x..org"],
            ),
            (StringFormat::Uri, vec!["https://x.org/a?b", "urn:isbn:1"], vec!["x.org", "//x", ""]),
            (StringFormat::Date, vec!["2026-02-28"], vec!["2026-02-30", "28.2.2026", "2026-02-28T00:00:00Z"]),
            (
                StringFormat::DateTime,
                vec!["2026-02-28T12:00:00Z", "2026-02-28T12:00:00+02:00"],
                vec!["2026-02-28", "noon"],
            ),
        ] {
            for text in good {
                assert_eq!(problem(format, text), None, "{text}");
            }
            for text in bad {
                assert!(problem(format, text).is_some(), "{text}");
            }
        }
    }
}
