//! Times as people write them: `30`, `500ms`, `10s`, `2m`, `1h`.

use std::time::Duration;

/// Longest time that can be asked for: a day.
const MAX: Duration = Duration::from_secs(86_400);

/// Reads a time; without a unit it is seconds.
///
/// # Errors
/// What is allowed, when it is something else.
pub fn time(text: &str) -> Result<Duration, String> {
    let allowed = || "allowed is a time such as 30, 500ms, 10s, 2m or 1h, up to a day".to_owned();
    let digits = text.find(|char: char| !char.is_ascii_digit() && char != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        _ => return Err(allowed()),
    };
    let number: f64 = number.parse().map_err(|_| allowed())?;
    let time = Duration::try_from_secs_f64(number * seconds).map_err(|_| allowed())?;
    if time >= Duration::from_millis(1) && time <= MAX { Ok(time) } else { Err(allowed()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_or_is_seconds() {
        for (text, millis) in
            [("30", 30_000), ("500ms", 500), ("1.5s", 1_500), ("2m", 120_000), ("1h", 3_600_000)]
        {
            assert_eq!(time(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for wrong in ["", "0", "s", "-1", "1d", "25h", "1e3", "NaN", "1 s"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }
}
