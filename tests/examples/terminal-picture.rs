//! Draws docs/mcp-client.svg: what the terminal shows in a session of mcp-client with two tool-servers.
//!
//! `cargo run -p e2e --example terminal-picture`, after `cargo build`. Nothing in the picture is made up: the program runs in a
//! pseudo-terminal, and what it writes is drawn.

#[expect(dead_code, reason = "the stories use the rest")]
#[path = "../stories/terminal/screen.rs"]
mod screen;
#[path = "../stories/terminal/shell.rs"]
mod shell;

use std::{fmt::Write as _, path::Path};

use e2e::mcp_client::McpClient;
use shell::{Shell, ToolServer};
use vt100::{Cell, Color, Parser};

const COLUMNS: u16 = 120;
const LINES: [&str; 5] = [
    "servers",
    "tools calc",
    "call calc math_calc 2 + 2 * 3",
    r#"broadcast echo {"message": "Hello all servers!"}"#,
    "call calc list_files path=.",
];
/// Pixels.
const CELL: (f64, f64) = (8.4, 18.0);
const MARGIN: f64 = 16.0;
const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d7dae0";
const PALETTE: [&str; 16] = [
    "#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf", "#5c6370",
    "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#ffffff",
];

fn main() -> anyhow::Result<()> {
    let client = McpClient::new()?;
    client.file("notes.txt", "")?;
    let calculator =
        ToolServer::start(client.home(), &["--name", "calculator", "--tools", "math_calc", "echo"])?;
    let files = ToolServer::start(client.home(), &["--name", "filesystem", "--tools", "list_files", "echo"])?;
    let arguments = [calculator.named("calc"), files.named("files"), "--color=always".to_owned()];
    let shell = Shell::start(&client, &arguments)?;
    for line in LINES {
        shell.enter(line)?;
    }
    let raw = shell.raw();
    shell.quit()?;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/mcp-client.svg");
    std::fs::write(&path, draw(&raw))?;
    eprintln!("{} is drawn", path.display());
    Ok(())
}

fn draw(raw: &[u8]) -> String {
    let size = |length: u16| length.try_into().expect("it is not zero");
    let mut parser = Parser::new(size(200), size(COLUMNS), 0);
    parser.process(raw);
    let screen = parser.screen();
    let rows = screen.cursor_position().0 + 1;
    let (width, height) =
        (f64::from(COLUMNS) * CELL.0 + 2.0 * MARGIN, f64::from(rows) * CELL.1 + 2.0 * MARGIN);
    let mut svg = format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0} {height:.0}" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace" font-size="14" role="img" aria-label="A session of mcp-client in a terminal">
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>
"#
    );
    for row in 0..rows {
        let cells = (0..COLUMNS).filter_map(|column| Some((column, screen.cell(row, column)?)));
        let mut run: Option<Run> = None;
        for (column, cell) in cells {
            let style = style(cell);
            let text = if cell.has_contents() { cell.contents() } else { " " };
            match &mut run {
                Some(run) if run.style == style => run.text.push_str(text),
                _ => {
                    run.replace(Run { column, style, text: text.to_owned() })
                        .into_iter()
                        .for_each(|run| run.draw(row, &mut svg));
                }
            }
        }
        run.into_iter().for_each(|run| run.draw(row, &mut svg));
    }
    svg.push_str("</svg>\n");
    svg
}

/// Cells of one row that look alike.
struct Run {
    column: u16,
    style: String,
    text: String,
}

impl Run {
    fn draw(&self, row: u16, svg: &mut String) {
        let text = self.text.trim();
        if text.is_empty() {
            return;
        }
        let indent = self.text.chars().take_while(|character| *character == ' ').count();
        let x = MARGIN + (f64::from(self.column) + indent as f64) * CELL.0;
        let y = MARGIN + (f64::from(row) + 0.75) * CELL.1;
        let length = text.chars().count() as f64 * CELL.0;
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let written = writeln!(
            svg,
            r#"<text x="{x:.1}" y="{y:.1}" textLength="{length:.1}" xml:space="preserve" {}>{text}</text>"#,
            self.style
        );
        written.expect("a string takes everything");
    }
}

fn style(cell: &Cell) -> String {
    let color = match cell.fgcolor() {
        Color::Default => FOREGROUND.to_owned(),
        Color::Idx(index @ 0..16) => PALETTE[usize::from(index)].to_owned(),
        Color::Idx(_) => FOREGROUND.to_owned(),
        Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    };
    let weight = if cell.bold() { r#" font-weight="bold""# } else { "" };
    let opacity = if cell.dim() { r#" opacity="0.65""# } else { "" };
    format!(r#"fill="{color}"{weight}{opacity}"#)
}
