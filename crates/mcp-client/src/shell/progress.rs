//! How far a call is, in one line.

use std::time::Duration;

use upstream::Progress;

use crate::render::plain::{visible_line, width};

const BAR: usize = 24;

/// `calc ███████░░░░░ 58% 7/12 reading`, at most as wide as the screen.
pub(super) fn line(server: &str, progress: &Progress, columns: usize) -> String {
    let amount =
        |number: f64| if number.fract() == 0.0 { format!("{number}") } else { format!("{number:.1}") };
    let mut text = visible_line(server).into_owned();
    match progress.total.filter(|total| *total > 0.0 && total.is_finite()) {
        Some(total) => {
            let share = (progress.progress / total).clamp(0.0, 1.0);
            let share = if share.is_nan() { 0.0 } else { share };
            let full = (share * BAR as f64) as usize;
            text += &format!(" {}{} {:.0}%", "█".repeat(full), "░".repeat(BAR - full), share * 100.0);
            if total != 1.0 && total != 100.0 {
                text += &format!(" {}/{}", amount(progress.progress), amount(total));
            }
        }
        None => text += &format!(" {} …", amount(progress.progress)),
    }
    if let Some(message) = &progress.message {
        text += &format!(" {}", visible_line(message));
    }
    fit(text, columns)
}

/// What is shown while there is nothing to tell but that it takes long.
pub(super) fn waiting(server: &str, since: Duration, columns: usize) -> String {
    fit(format!("{} … {} s (Ctrl-C cancels)", visible_line(server), since.as_secs()), columns)
}

fn fit(text: String, columns: usize) -> String {
    let room = columns.saturating_sub(1).max(10);
    if width(&text) <= room {
        return text;
    }
    let mut start = String::new();
    for c in text.chars() {
        if width(&start) + 2 >= room {
            break;
        }
        start.push(c);
    }
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(progress: f64, total: Option<f64>, message: Option<&str>) -> Progress {
        Progress { progress, total, message: message.map(str::to_owned) }
    }

    #[test]
    fn a_bar_shows_the_share_and_a_message_follows() {
        let shown = line("a", &progress(3.0, Some(12.0), Some("reading")), 80);
        assert_eq!(shown, "a ██████░░░░░░░░░░░░░░░░░░ 25% 3/12 reading");
        assert_eq!(line("a", &progress(2.5, None, None), 80), "a 2.5 …");
    }

    #[test]
    fn nonsense_of_a_server_is_drawn_all_the_same() {
        for (at, total) in
            [(-5.0, 10.0), (50.0, 10.0), (f64::NAN, 10.0), (f64::INFINITY, f64::INFINITY), (1.0, 0.0)]
        {
            let shown = line("a", &progress(at, Some(total), Some("\u{1b}[2J\n")), 80);
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }
    }

    #[test]
    fn it_never_takes_more_than_one_line() {
        let shown = line("a", &progress(1.0, Some(2.0), Some(&"long 漢字 ".repeat(40))), 40);
        assert!(width(&shown) < 40, "{shown}");
    }
}
