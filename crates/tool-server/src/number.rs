//! How a number is written.

/// From here on, not every whole number is a 64-bit float.
const EXACT: f64 = 9_007_199_254_740_992.0;
/// Digits that a 64-bit float always has right.
const DIGITS: usize = 15;

/// Whole numbers as they are, others with 15 significant digits, and an exponent where that is shorter: 0.1 + 0.2 is 0.3.
pub(crate) fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < EXACT {
        return (value as i64).to_string(); // also without the sign of -0
    }
    let scientific = format!("{value:.*e}", DIGITS - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent @ -6..15) => {
            let decimals = usize::try_from(14 - exponent).unwrap_or_default();
            without_trailing_zeros(&format!("{value:.decimals$}")).to_owned()
        }
        _ => format!("{}e{exponent}", without_trailing_zeros(mantissa)),
    }
}

fn without_trailing_zeros(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_write_them() {
        for (value, text) in [
            (8.0, "8"),
            (-0.0, "0"),
            (0.1 + 0.2, "0.3"),
            (1.0 / 3.0, "0.333333333333333"),
            (-2.5, "-2.5"),
            (123_456_789.125, "123456789.125"),
            (1e15, "1000000000000000"),
            (2_f64.powi(53) - 1.0, "9007199254740991"),
            (2_f64.powi(100), "1.26765060022823e30"),
            (0.000_001_5, "0.0000015"),
            (1.5e-7, "1.5e-7"),
            (-1e300, "-1e300"),
            (999_999.999_999_999_9, "1000000"),
        ] {
            assert_eq!(plain(value), text);
        }
    }
}
