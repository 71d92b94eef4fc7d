//! The `mcpServers` JSON of assistants and editors.

use std::path::Path;

use gateway::{Reach, Replica, Settings, UpstreamSettings};
use mcp_transport::ConnectOptions;
use server_files::ConfigFile;

use super::{Config, Files, build::is_name, problems::Problems, source::Source};

pub(super) fn parse(text: &str, path: &Path, source: &Source) -> Result<Config, Problems> {
    // Their messages begin with the file's name.
    let broken = |reason: String| Problems::of_file(path, without_file(&reason, path));
    let file = ConfigFile::parse(text, path).map_err(|error| broken(error.to_string()))?;
    let mut settings = Settings::default();
    let mut wrong = Vec::new();
    for name in file.names() {
        match file.server(name, &|name| source.variable(name)) {
            Ok(server) => {
                let options = ConnectOptions { headers: server.headers, ..ConnectOptions::default() };
                let replicas = vec![Replica { reach: Reach::Address(server.address), options }];
                let upstream = UpstreamSettings::new(replicas);
                let unique = settings.upstreams.insert(upstream_name(name), upstream).is_none();
                if !unique {
                    wrong.push(format!("mcpServers.{name}: another server has this name, but for signs that names of tools cannot have"));
                }
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if wrong.is_empty() && settings.upstreams.is_empty() {
        wrong.push("there is no server in it that is enabled".to_owned());
    }
    let mut wrong = wrong.into_iter().map(|reason| without_file(&reason, path));
    let Some(first) = wrong.next() else {
        return Ok(Config { listen: None, gateway: settings, pins: None, files: Files::default() });
    };
    let mut problems = Problems::of_file(path, first);
    wrong.for_each(|reason| problems.add_without_place(reason));
    Err(problems)
}

/// Names in these files are free; those of upstreams are parts of names of tools.
fn upstream_name(name: &str) -> String {
    let plain = |char: char| if is_name(char.encode_utf8(&mut [0; 4])) { char } else { '_' };
    name.chars().map(plain).take(40).collect()
}

fn without_file(reason: &str, path: &Path) -> String {
    let file = path.display().to_string();
    reason.strip_prefix(&file).map_or(reason, |rest| rest.trim_start_matches([':', ' '])).to_owned()
}
