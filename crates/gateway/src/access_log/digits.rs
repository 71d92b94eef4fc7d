//! Numbers that belong to people: of cards, phones, accounts and social security.

use std::ops::Range;

/// How long account numbers are, by country (ISO 13616, the IBAN registry).
const IBAN_LENGTHS: [(&[u8; 2], usize); 77] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 23),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"XK", 20),
];

/// How much of the text is an IBAN: it begins there.
pub(super) fn iban(text: &str) -> Option<usize> {
    let country: [u8; 2] = text.get(..2)?.to_ascii_uppercase().as_bytes().try_into().ok()?;
    let (_, length) = IBAN_LENGTHS.iter().find(|(known, _)| **known == country)?;
    let mut signs = text.char_indices().filter(|(_, sign)| sign.is_ascii_alphanumeric());
    let number: Vec<_> = signs.by_ref().take(*length).collect();
    let (last, _) = *number.last().filter(|_| number.len() == *length)?;
    let is_at_the_end = !text[last + 1..].starts_with(|sign: char| sign.is_ascii_alphanumeric());
    // The first four go to the end, letters count from 10, and what remains after division by 97 is 1.
    let turned = number[4..].iter().chain(&number[..4]);
    let rest = turned.fold(0, |rest, (_, sign)| match sign.to_digit(36).unwrap_or_default() {
        digit @ ..10 => (rest * 10 + digit) % 97,
        letter => (rest * 100 + letter) % 97,
    });
    (is_at_the_end && rest == 1).then_some(last + 1)
}

/// What is personal in a run of digits in groups, as parts of the text.
pub(super) fn personal(text: &str) -> Vec<(Range<usize>, &'static str)> {
    let groups = groups(text);
    let mut found = Vec::new();
    let mut first = 0;
    while first < groups.len() {
        // The longest that begins here.
        let ends = (first..groups.len()).rev();
        let hit = ends.map(|last| (last, &groups[first..=last])).find_map(|(last, groups)| {
            let range = groups[0].start..groups[groups.len() - 1].end;
            Some((last, kind(text, range.clone(), groups)?, range))
        });
        match hit {
            Some((last, (name, start), range)) => {
                found.push((start..range.end, name));
                first = last + 1;
            }
            None => first += 1,
        }
    }
    found
}

fn groups(text: &str) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match groups.last_mut().filter(|group| group.end == at) {
            Some(group) => group.end = at + 1,
            None => groups.push(at..at + 1),
        }
    }
    groups
}

/// What these groups of digits are, and where that begins: a phone number begins with what stands before its digits.
fn kind(text: &str, range: Range<usize>, groups: &[Range<usize>]) -> Option<(&'static str, usize)> {
    let digits: Vec<u8> =
        text[range.clone()].bytes().filter(u8::is_ascii_digit).map(|byte| byte - b'0').collect();
    let between = &text[range.clone()];
    let sizes: Vec<_> = groups.iter().map(ExactSizeIterator::len).collect();
    if !between.contains(['(', ')', '/', '.']) && is_card(&digits) {
        return Some(("[card]", range.start));
    }
    if sizes == [3, 2, 4] && (between.matches('-').count() == 2 || between.matches(' ').count() == 2) {
        let (area, group, serial) = (&digits[..3], &digits[3..5], &digits[5..]);
        let is_given =
            area != [0; 3] && area != [6; 3] && area[0] != 9 && group != [0; 2] && serial != [0; 4];
        return is_given.then_some(("[ssn]", range.start));
    }
    let before = &text[..range.start];
    let lead = before.len() - before.trim_end_matches(['+', '(', ' ']).len();
    let is_international = before[before.len() - lead..].contains('+');
    let is_phone = is_international && (7..=15).contains(&digits.len())
        || sizes.ends_with(&[3, 3, 4]) && (sizes.len() == 3 || sizes.len() == 4 && digits[0] == 1)
        || before.bytes().all(|byte| !byte.is_ascii_digit()) && is_with_area_code(&sizes, &digits, between);
    is_phone.then(|| {
        let start = if is_international || before.ends_with('(') { range.start - lead } else { range.start };
        ("[phone]", start)
    })
}

/// `030 901820`, `0171-123 45 67`: what begins with one zero and the area's number.
fn is_with_area_code(sizes: &[usize], digits: &[u8], between: &str) -> bool {
    (2..=6).contains(&sizes.len())
        && (3..=5).contains(&sizes[0])
        && (8..=12).contains(&digits.len())
        && digits[0] == 0
        && digits[1] != 0
        && !between.contains('.')
}

/// Whether these are the digits of a payment card: of a length and a beginning that are given out, with the right check digit.
pub(super) fn is_card(digits: &[u8]) -> bool {
    let start =
        |count: usize| digits.iter().take(count).fold(0, |start, digit| start * 10 + u32::from(*digit));
    let is_given = match digits.len() {
        13 => start(1) == 4,
        14 => matches!(start(3), 300..=305 | 309) || matches!(start(2), 36 | 38 | 39),
        15 => matches!(start(2), 34 | 37),
        16 => {
            start(1) == 4
                || matches!(start(2), 51..=55 | 60 | 62 | 64 | 65 | 35)
                || matches!(start(4), 2221..=2720)
        }
        17..=19 => matches!(start(2), 62 | 60) || start(1) == 4,
        _ => false,
    };
    is_given && luhn(digits)
}

fn luhn(digits: &[u8]) -> bool {
    let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
    let values = digits.iter().rev().enumerate();
    let sum: u32 =
        values.map(|(place, digit)| u32::from(if place % 2 == 1 { doubled(*digit) } else { *digit })).sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_digit_tells_a_card_from_a_number() {
        let digits = |text: &str| text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>();
        for card in
            ["4111111111111111", "378282246310005", "5555555555554444", "6011111111111117", "30569309025904"]
        {
            assert!(is_card(&digits(card)), "{card}");
            let last = (card.as_bytes()[card.len() - 1] - b'0' + 1) % 10;
            assert!(!is_card(&digits(&format!("{}{last}", &card[..card.len() - 1]))), "{card}");
        }
        assert!(!is_card(&digits("0000000000000000")) && !is_card(&digits("1234567812345670")));
    }

    #[test]
    fn an_iban_ends_where_its_country_says() {
        assert_eq!(iban("NL91 ABNA 0417 1643 00 EUR"), Some(22));
        assert_eq!(iban("NO9386011117947"), Some(15));
        for no in ["NL91ABNA0417164301", "XX91ABNA0417164300", "NL91ABNA04171643001", "NL91"] {
            assert_eq!(iban(no), None, "{no}");
        }
    }
}
