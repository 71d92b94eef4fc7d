//! What somebody may have meant.

/// The known name that is nearest to what was written, if it is near enough to be a slip of the fingers.
pub(crate) fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let slips = |name: &str| strsim::damerau_levenshtein(&written.to_lowercase(), &name.to_lowercase());
    let most = match written.chars().count() {
        0..=2 => return None,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let near = known.into_iter().map(|name| (slips(name), name)).min_by_key(|(slips, _)| *slips)?;
    (near.0 <= most).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_finds_its_name_and_another_word_finds_none() {
        assert_eq!(nearest("tolos", ["tools", "quit"]), Some("tools"));
        assert_eq!(nearest("math_clac", ["echo", "math_calc"]), Some("math_calc"));
        assert_eq!(nearest("weather", ["tools", "quit"]), None);
        assert_eq!(nearest("ls", ["tools"]), None);
    }
}
