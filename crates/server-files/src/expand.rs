//! Variables in a file's texts.
//!
//! `${NAME}`, `${NAME:-default}` and `${env:NAME}` are environment variables, `$NAME` is left as it is; `${input:ID}` is what VS Code
//! asks for; `${workspaceFolder}`, `${workspaceFolderBasename}`, `${userHome}`, `${pathSeparator}` and `${/}` are places. `$${` is `${`.

use std::path::{Path, PathBuf};

use crate::{ConfigError, Secrets, error::Place, json::Json};

/// Longest text with its variables put in, in bytes.
const MAX_TEXT: usize = 64 << 10;
/// Folders of a workspace in which editors keep their file.
const EDITOR_FOLDERS: [&str; 2] = [".vscode", ".cursor"];

/// Something that VS Code asks its user for.
#[derive(Debug)]
pub(crate) struct Input {
    id: String,
    default: Option<String>,
}

impl Input {
    pub(crate) fn all(value: &Json, place: &Place) -> Result<Vec<Self>, ConfigError> {
        let one = |(index, value): (usize, &Json)| {
            let place = place.at(index);
            let members = value.object(&place)?;
            let text = |name: &str| match members.iter().find(|(member, _)| member == name) {
                Some((_, value)) => value.string(&place.at(name)).map(|text| Some(text.to_owned())),
                None => Ok(None),
            };
            let id = text("id")?.ok_or_else(|| place.error("an input needs an \"id\""))?;
            Ok(Self { id, default: text("default").unwrap_or_default() })
        };
        value.array(place)?.iter().enumerate().map(one).collect()
    }

    /// The environment variable that answers for it.
    fn variable(id: &str) -> String {
        let name =
            id.chars().map(|char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' });
        format!("MCP_INPUT_{}", name.collect::<String>())
    }
}

/// Puts variables in, and remembers their values as secrets.
pub(crate) struct Expander<'a> {
    workspace: PathBuf,
    environment: &'a dyn Fn(&str) -> Option<String>,
    inputs: &'a [Input],
    pub(crate) secrets: Secrets,
}

impl<'a> Expander<'a> {
    pub(crate) fn new(
        file: &Path,
        environment: &'a dyn Fn(&str) -> Option<String>,
        inputs: &'a [Input],
    ) -> Self {
        // Relative only if the system does not know its own working directory.
        let file = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        let folder = file.parent().unwrap_or(Path::new("/"));
        let editors =
            folder.file_name().is_some_and(|name| EDITOR_FOLDERS.iter().any(|known| name == *known));
        let workspace = if editors { folder.parent().unwrap_or(folder) } else { folder };
        Self { workspace: workspace.to_owned(), environment, inputs, secrets: Secrets::default() }
    }

    /// The folder at which paths start.
    pub(crate) fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// A path of the file, which starts at the workspace's folder.
    pub(crate) fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), (self.environment)("HOME")) {
            (Some(rest), Some(home)) => Path::new(&home).join(rest),
            _ => self.workspace.join(text),
        }
    }

    /// The text with its variables' values.
    pub(crate) fn expand(&mut self, text: &str, place: &Place) -> Result<String, ConfigError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            if let Some(literal) = after.strip_prefix("${") {
                out.push_str("${");
                rest = literal;
            } else if let Some(inner) = after.strip_prefix('{') {
                let (name, after) = inner.split_once('}').ok_or_else(|| place.error("a `${` has no `}`"))?;
                out.push_str(&self.value(name, place)?);
                rest = after;
            } else {
                out.push('$'); // programs have their own use for it, as shells do
                rest = after;
            }
            if out.len() > MAX_TEXT {
                return Err(place.error("with its variables it has more than 64 KiB"));
            }
        }
        out.push_str(rest);
        Ok(out)
    }

    fn value(&mut self, inner: &str, place: &Place) -> Result<String, ConfigError> {
        if let Some(id) = inner.strip_prefix("input:") {
            return self.input(id, place);
        }
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if let Some(name) = name.strip_prefix("env:") {
            return self.variable(name, default, place);
        }
        match name {
            "workspaceFolder" => Ok(self.workspace.display().to_string()),
            "workspaceFolderBasename" => {
                Ok(self.workspace.file_name().unwrap_or_default().to_string_lossy().into_owned())
            }
            "userHome" => (self.environment)("HOME").ok_or_else(|| place.error("HOME is not set")),
            "pathSeparator" | "/" => Ok(std::path::MAIN_SEPARATOR_STR.to_owned()),
            name if is_name(name) => self.variable(name, default, place),
            _ => Err(place.error(format!(
                "`${{{}}}` is not known here: there are ${{NAME}}, ${{NAME:-default}}, ${{env:NAME}}, ${{input:ID}}, ${{workspaceFolder}} and ${{userHome}}",
                name.escape_debug()
            ))),
        }
    }

    fn variable(&mut self, name: &str, default: Option<&str>, place: &Place) -> Result<String, ConfigError> {
        let value = (self.environment)(name);
        if let Some(value) = value.filter(|value| default.is_none() || !value.is_empty()) {
            self.remember(&value);
            return Ok(value);
        }
        let default = default.ok_or_else(|| {
            place.error(format!("the environment variable {} is not set", name.escape_debug()))
        })?;
        self.remember(default);
        Ok(default.to_owned())
    }

    /// What is there as a file or a folder is a path and no secret; a key may begin as a path does.
    fn remember(&mut self, value: &str) {
        let path = Path::new(value);
        if !(path.is_absolute() && path.exists()) {
            self.secrets.add(value);
        }
    }

    fn input(&mut self, id: &str, place: &Place) -> Result<String, ConfigError> {
        let known = self.inputs.iter().find(|input| input.id == id);
        let input = known.ok_or_else(|| place.error(format!("there is no input {id:?} in \"inputs\"")))?;
        let name = Input::variable(id);
        let value = (self.environment)(&name).or_else(|| input.default.clone());
        let value = value.ok_or_else(|| {
            place.error(format!("the input {id:?} has no value: set the environment variable {name}"))
        })?;
        self.remember(&value);
        Ok(value)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|char: char| char.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
