//! What was measured, for people and for scripts.

use std::time::Duration;

use serde_json::{Value, json};

use super::measure::Measured;
use crate::{
    command_line::BenchArgs,
    duration,
    render::{Renderer, paint::Ink, plain},
};

/// Most rows of the drawing.
const ROWS: u64 = 12;
/// Columns of its longest bar.
const BAR: f64 = 40.0;
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];
const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

pub(super) fn document(server: &str, args: &BenchArgs, measured: &Measured) -> Value {
    let times = &measured.times;
    let millis = |micros: u64| micros as f64 / 1e3;
    let latency = (!times.is_empty()).then(|| {
        json!({
            "min": millis(times.min()), "mean": times.mean() / 1e3, "p50": millis(times.value_at_quantile(0.5)),
            "p90": millis(times.value_at_quantile(0.9)), "p99": millis(times.value_at_quantile(0.99)),
            "p99_9": millis(times.value_at_quantile(0.999)), "max": millis(times.max()),
        })
    });
    let histogram: Vec<_> = rows(measured)
        .into_iter()
        .map(|(up_to, calls)| json!({"up_to_ms": millis(up_to), "calls": calls}))
        .collect();
    json!({
        "server": server, "tool": args.tool, "concurrency": args.concurrency, "calls": times.len(),
        "errors": measured.errors, "tool_errors": measured.tool_errors, "seconds": measured.elapsed.as_secs_f64(),
        "calls_per_second": rate(measured), "latency_ms": latency, "histogram": histogram,
    })
}

pub(super) fn show(renderer: &Renderer, server: &str, args: &BenchArgs, measured: &Measured) -> String {
    let bold = |text: &str| renderer.ink(Ink::Bold, text);
    let dim = |text: &str| renderer.ink(Ink::Dim, text);
    let times = &measured.times;
    let title = format!("{} {}", bold(&plain::visible_line(server)), bold(&plain::visible_line(&args.tool)));
    let calls = format!(
        "{} answers in {}, {} at a time",
        times.len(),
        duration::show(measured.elapsed),
        args.concurrency
    );
    let mut lines = vec![format!("{title} {}", dim(&format!("· {calls}"))), String::new()];
    lines.push(format!("  {} {}", dim("throughput "), bold(&format!("{:.1} calls/s", rate(measured)))));
    if !times.is_empty() {
        let quantiles = QUANTILES.map(|(name, quantile)| (name, times.value_at_quantile(quantile)));
        let all = [("min", times.min())].into_iter().chain(quantiles).chain([("max", times.max())]);
        let words: Vec<_> = all.map(|(name, micros)| format!("{} {}", dim(name), micro(micros))).collect();
        lines.push(format!("  {} {}", dim("answer time"), words.join("  ")));
    }
    let errors =
        format!("{} without an answer, {} failed by the tool", measured.errors, measured.tool_errors);
    let ink = if measured.errors + measured.tool_errors == 0 { Ink::Plain } else { Ink::Red };
    lines.push(format!("  {} {}", dim("errors     "), renderer.ink(ink, &errors)));
    lines.extend(drawing(renderer, measured));
    lines.join("\n")
}

fn rate(measured: &Measured) -> f64 {
    measured.times.len() as f64 / measured.elapsed.as_secs_f64().max(1e-9)
}

fn micro(micros: u64) -> String {
    duration::show(Duration::from_micros(micros))
}

/// How many answers took up to so many microseconds: rows of one width up to the slowest hundredth, which is the last row.
fn rows(measured: &Measured) -> Vec<(u64, u64)> {
    let times = &measured.times;
    if times.is_empty() {
        return Vec::new();
    }
    let (from, to) = (times.min(), times.value_at_quantile(0.99));
    let step = ((to - from) / (ROWS - 1)).max(1);
    let mut rows: Vec<(u64, u64)> = (1..=(to - from) / step + 1).map(|row| (from + row * step, 0)).collect();
    let mut rest = 0;
    for recorded in times.iter_recorded() {
        let row = recorded.value_iterated_to().saturating_sub(from) / step;
        match rows.get_mut(usize::try_from(row).unwrap_or(usize::MAX)) {
            Some((_, calls)) => *calls += recorded.count_since_last_iteration(),
            None => rest += recorded.count_since_last_iteration(),
        }
    }
    if rest > 0 {
        rows.push((times.max(), rest));
    }
    rows
}

fn drawing(renderer: &Renderer, measured: &Measured) -> Vec<String> {
    let rows = rows(measured);
    let most = rows.iter().map(|(_, calls)| *calls).max().unwrap_or(1).max(1);
    let row = |(up_to, calls): &(u64, u64)| {
        let length = *calls as f64 / most as f64 * BAR;
        let part = EIGHTHS[((length.fract() * 8.0) as usize).min(7)];
        let bar = format!("{}{part}", "█".repeat(length as usize));
        let label = format!("≤ {}", micro(*up_to));
        format!(
            "  {} {} {calls}",
            renderer.ink(Ink::Dim, &format!("{label:>10}")),
            renderer.ink(Ink::Cyan, &bar)
        )
    };
    if rows.is_empty() {
        Vec::new()
    } else {
        std::iter::once(String::new()).chain(rows.iter().map(row)).collect()
    }
}
