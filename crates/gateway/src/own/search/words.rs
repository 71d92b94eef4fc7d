//! Texts as words that can be compared: split, in small letters, without endings.

/// Most words that are read of one text: what a tool says of itself has no other bound.
const MOST_WORDS: usize = 1000;

/// Words that say nothing about what a tool does. Whoever asks in whole sentences uses them all the time.
#[rustfmt::skip] // a line for each would be a page
const STOP_WORDS: &[&str] = &[
    "a", "about", "all", "am", "an", "and", "any", "anything", "are", "as", "at", "be", "been", "being",
    "by", "can", "could", "did", "do", "does", "doing", "everything", "for", "from", "give", "has", "have",
    "having", "help", "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "ll",
    "me", "might", "mine", "must", "my", "need", "of", "on", "or", "our", "please", "re", "s", "shall",
    "should", "so", "some", "something", "t", "than", "that", "the", "their", "them", "there", "these",
    "they", "this", "those", "to", "tool", "tools", "us", "use", "used", "using", "ve", "want", "was", "we",
    "were", "who", "will", "with", "would", "you", "your",
];

/// The words of a text, in their order.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for piece in text.split(|c: char| !c.is_alphanumeric()).filter(|piece| !piece.is_empty()) {
        if words.len() >= MOST_WORDS {
            break;
        }
        if piece.chars().any(is_unspaced) {
            words.extend(pairs(piece));
            continue;
        }
        let parts = humps(piece);
        if parts.len() > 1 {
            // `GitHub` is found by `github` too.
            words.extend(word(piece));
        }
        words.extend(parts.into_iter().filter_map(word));
    }
    words
}

/// A word, unless it says nothing.
fn word(text: &str) -> Option<String> {
    let small = text.to_lowercase();
    (STOP_WORDS.binary_search(&small.as_str()).is_err()).then(|| stem(&small))
}

/// Whether a script is written without spaces between its words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{e00}'..='\u{e7f}')
}

/// Each two characters that stand together: nearly as good as words where nothing separates those.
fn pairs(piece: &str) -> Vec<String> {
    let characters: Vec<char> = piece.to_lowercase().chars().collect();
    match characters.as_slice() {
        [one] => vec![one.to_string()],
        several => several.windows(2).map(|pair| pair.iter().collect()).collect(),
    }
}

/// The words of which a name such as `readTextFile` or `HTTPServer` consists.
fn humps(piece: &str) -> Vec<&str> {
    let characters: Vec<(usize, char)> = piece.char_indices().collect();
    let (mut parts, mut start) = (Vec::new(), 0);
    for (place, &(at, c)) in characters.iter().enumerate().skip(1) {
        let before = characters[place - 1].1;
        let next = characters.get(place + 1).map(|(_, next)| *next);
        let rises = c.is_uppercase() && before.is_lowercase();
        let ends_acronym = c.is_uppercase() && before.is_uppercase() && next.is_some_and(char::is_lowercase);
        // `GZip` is one word, `iPhone` too.
        if (rises || ends_acronym) && at - start > 1 {
            parts.push(&piece[start..at]);
            start = at;
        }
    }
    parts.push(&piece[start..]);
    parts
}

/// A word without the endings of English that change little of what it means. It need not be a word any more: only the same for
/// words that belong together.
pub(super) fn stem(word: &str) -> String {
    if word.len() < 4 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let word = singular(word);
    let mut stem = without_ending(&word);
    if stem.len() > 3 && stem.ends_with('e') {
        stem.pop();
    }
    // British and American spelling.
    if stem.len() > 5 && (stem.ends_with("is") || stem.ends_with("ys")) {
        stem.pop();
        stem.push('z');
    }
    stem
}

fn singular(word: &str) -> String {
    let ends = |ending: &str| word.strip_suffix(ending).filter(|rest| rest.len() > 1);
    if let Some(rest) = ends("ies").filter(|rest| rest.len() > 1) {
        return format!("{rest}y");
    }
    for ending in ["ches", "shes", "sses", "xes", "zes"] {
        if word.ends_with(ending) {
            return word[..word.len() - 2].to_owned();
        }
    }
    let is_singular = ["ss", "us", "is"].iter().any(|ending| word.ends_with(ending));
    ends("s").filter(|_| !is_singular).unwrap_or(word).to_owned()
}

fn without_ending(word: &str) -> String {
    if let Some(rest) = word.strip_suffix("ied").filter(|rest| rest.len() > 1) {
        return format!("{rest}y");
    }
    let strip = |ending: &str, least: usize| word.strip_suffix(ending).filter(|rest| rest.len() >= least);
    if let Some(rest) = ["ation", "ating", "ated", "ator", "ate"].iter().find_map(|ending| strip(ending, 4)) {
        return rest.to_owned();
    }
    if let Some(rest) = strip("ion", 3).filter(|rest| rest.ends_with(['s', 't'])) {
        return rest.to_owned();
    }
    if let Some(rest) = strip("ly", 4) {
        return rest.to_owned();
    }
    let is_verb = |rest: &&str| rest.contains(['a', 'e', 'i', 'o', 'u', 'y']) && !rest.ends_with('e');
    match strip("ing", 3).or_else(|| strip("ed", 3)).filter(is_verb) {
        Some(rest) => single(rest).to_owned(),
        None => word.to_owned(),
    }
}

/// `runn` is `run`; `call` stays.
fn single(rest: &str) -> &str {
    match rest.as_bytes() {
        [.., a, b] if a == b && !b"lsz".contains(b) => &rest[..rest.len() - 1],
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_wherever_a_word_begins() {
        for (text, expected) in [
            ("files__read_text-file", "fil read text fil"),
            ("get.weather/forecast", "get weather forecast"),
            ("readTextFile", "readtextfil read text fil"),
            ("HTTPServer", "httpserver http server"),
            ("GZip base64 v2", "gzip base64 v2"),
            ("Who is the user of this?", "user"),
            ("Größe ändern", "größe ändern"),
            ("天气预报", "天气 气预 预报"),
            ("", ""),
        ] {
            let expected: Vec<_> = expected.split_whitespace().map(stem).collect();
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn forms_of_a_word_are_the_same() {
        for forms in [
            "directory directories",
            "create creates created creating creation",
            "delete deletes deleted deleting deletion",
            "copy copies copied copying",
            "run runs running",
            "summarise summarize summarised summarising summarization",
            "simulate simulated simulates simulation simulator",
            "search searches searching searched",
            "relate related relation relations",
            "box boxes",
            "recursive recursively",
            "log logs logging logged",
        ] {
            let stems: Vec<_> = forms.split_whitespace().map(stem).collect();
            assert!(stems.windows(2).all(|pair| pair[0] == pair[1]), "{stems:?}");
        }
        for (one, other) in [("string", "str"), ("format", "form"), ("status", "statu"), ("need", "ne")] {
            assert_ne!(stem(one), stem(other));
        }
    }

    #[test]
    fn stop_words_are_sorted_so_that_they_are_found() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn no_text_has_words_without_end() {
        assert!(words(&"word ".repeat(MOST_WORDS * 2)).len() <= MOST_WORDS + 1);
    }
}
