//! Texts with percent codes, as URIs have them.

/// The text without its percent codes, and with spaces for the `+` of queries. `None` when there are none.
pub(super) fn decoded(text: &str) -> Option<String> {
    if !text.contains(['%', '+']) {
        return None;
    }
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let (mut at, mut in_query, mut is_coded) = (0, false, false);
    while let Some(byte) = bytes.get(at) {
        let code = (*byte == b'%').then(|| code(bytes.get(at + 1..at + 3)?)).flatten();
        let byte = match byte {
            b'+' if in_query => b' ',
            byte => code.unwrap_or(*byte),
        };
        is_coded |= code.is_some() || byte != bytes[at];
        in_query = (in_query || bytes[at] == b'?') && !bytes[at].is_ascii_whitespace();
        at += if code.is_some() { 3 } else { 1 };
        plain.push(byte);
    }
    is_coded.then(|| String::from_utf8_lossy(&plain).into_owned())
}

fn code(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let [high, low] = digits else { return None };
    u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_codes_are_read_and_nothing_else() {
        for (text, plain) in [
            ("a%40b%20c", Some("a@b c")),
            ("j%C3%BCrgen %FF", Some("jürgen \u{fffd}")),
            ("x://y?q=a+b c+d", Some("x://y?q=a b c+d")),
            ("50% of 1+1, %4", None),
            ("%zz", None),
            ("%25", Some("%")),
            ("plain", None),
        ] {
            assert_eq!(decoded(text).as_deref(), plain);
        }
    }
}
