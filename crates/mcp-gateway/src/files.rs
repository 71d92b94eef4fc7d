//! The files that a gateway writes while it serves.

use anyhow::Context as _;
use gateway::{AccessLog, Settings};
use ledger::{Location, Runs};

use crate::Config;

/// Files that are open. Other settings keep those that they have, too, and close the rest.
#[derive(Default)]
pub(crate) struct OpenFiles {
    access_log: Option<AccessLog>,
    runs: Option<(Location, Runs)>,
}

impl OpenFiles {
    /// Opens what a configuration names, and makes what is not there yet. Must be called within a runtime; blocks for a moment.
    ///
    /// # Errors
    /// When one of them cannot be opened: all stay as they were.
    pub(crate) fn open(&mut self, config: Config) -> anyhow::Result<Settings> {
        let Config { gateway: mut settings, files, .. } = config;
        let access_log = files.access_log.map(|wanted| match &self.access_log {
            Some(log) => log.reopen(&wanted),
            None => AccessLog::open(&wanted),
        });
        let access_log = access_log.transpose().map_err(anyhow::Error::msg)?;
        // Without pipelines there is nothing to write down.
        let ledger = files.ledger.filter(|_| !settings.pipelines.is_empty());
        let runs = ledger.map(|wanted| match &self.runs {
            Some((present, runs)) if *present == wanted => Ok((wanted, runs.clone())),
            _ => Runs::open(&wanted)
                .context("runs of pipelines cannot be written down: is `ledger` a file that can be written?")
                .map(|runs| (wanted, runs)),
        });
        let runs = runs.transpose()?;
        settings.access_log = access_log.clone();
        settings.runs = runs.as_ref().map(|(_, runs)| runs.clone());
        (self.access_log, self.runs) = (access_log, runs);
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn config(folder: &Path, log: &str) -> Config {
        logging(folder, &format!("file = \"{log}\""))
    }

    fn logging(folder: &Path, log: &str) -> Config {
        let text = format!(
            "ledger = \"runs.db\"\naccess_log = {{ {log} }}\n[upstream.a]\nurl = \"http://x/mcp\"\n\
             [pipeline.p]\ndescription = \"x\"\nstage = [{{ name = \"s\", tool = \"a__t\" }}]\n"
        );
        let file = folder.join("gateway.toml");
        fs::write(&file, text).unwrap();
        Config::read(&file).unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name == "runs.db" || name.ends_with(".jsonl"));
        names.sort();
        names
    }

    #[tokio::test]
    async fn files_are_made_when_they_are_opened_and_those_that_are_the_same_stay_open() {
        let folder = tempfile::tempdir().unwrap();
        let (one, same) = (config(folder.path(), "a.jsonl"), config(folder.path(), "a.jsonl"));
        assert!(names(folder.path()).is_empty(), "reading makes no file");
        let mut files = OpenFiles::default();

        let settings = files.open(one).unwrap();
        assert!(settings.runs.is_some() && settings.access_log.is_some());
        assert_eq!(names(folder.path()), ["a.jsonl", "runs.db"]);

        // What is opened anew would be made anew.
        for name in names(folder.path()) {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        files.open(same).unwrap();
        assert!(names(folder.path()).is_empty());

        files.open(logging(folder.path(), "file = \"a.jsonl\", bodies = true")).unwrap();
        assert!(names(folder.path()).is_empty(), "other settings of the same file share it");

        files.open(config(folder.path(), "b.jsonl")).unwrap();
        assert_eq!(names(folder.path()), ["b.jsonl"]);
    }

    #[tokio::test]
    async fn what_cannot_be_opened_leaves_the_others_as_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = OpenFiles::default();
        files.open(config(folder.path(), "a.jsonl")).unwrap();

        let Err(error) = files.open(config(folder.path(), "none/a.jsonl")) else {
            panic!("it has no folder")
        };

        assert!(format!("{error:#}").contains("none/a.jsonl"), "{error:#}");
        assert!(files.access_log.is_some() && files.runs.is_some());
    }
}
