//! Where results go: standard output, and folders.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;

use kurtoscope_checkpoint::hub;
use kurtoscope_host::{
    record::Run,
    report::{self, RenderError, terminal::Style},
};

/// Columns where standard output is no terminal.
const PLAIN_WIDTH: usize = 110;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Tables for people
    Table,
    /// What `report.md` holds
    Markdown,
    /// What `run.json` holds; an array for several models
    Json,
}

/// Runs as they are printed.
pub(super) fn render(runs: &[Run], format: Format) -> Result<String, RenderError> {
    let style = style();
    let rendered = |format| runs.iter().map(|run| report::render(run, format, &style)).collect::<Result<Vec<_>, _>>();
    Ok(match format {
        Format::Table => rendered(report::Format::Table)?.join("\n"),
        Format::Markdown => rendered(report::Format::Markdown)?.join("\n"),
        Format::Json if runs.len() == 1 => rendered(report::Format::Json)?.concat(),
        Format::Json => {
            let runs = rendered(report::Format::Json)?;
            format!("[\n{}\n]\n", runs.iter().map(|run| run.trim_end()).collect::<Vec<_>>().join(",\n"))
        }
    })
}

/// Prints a command's result on standard output: its last step, after files are written and the outcome is known, because
/// neither depends on who reads. A reader that is gone (`| head`) has read enough, which is no failure.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

/// How wide standard output is and whether it takes colour. `NO_COLOR`, `CLICOLOR` and `TERM=dumb` are honoured.
pub(super) fn style() -> Style {
    let stdout = io::stdout();
    // A dumb terminal stays dumb in continuous integration, where anstream would colour all the same.
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let color = !dumb && anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    Style { width: width(&stdout).unwrap_or(PLAIN_WIDTH), color }
}

#[cfg(unix)]
fn width(stdout: &io::Stdout) -> Option<usize> {
    rustix::termios::tcgetwinsize(stdout).ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

#[cfg(not(unix))]
fn width(_stdout: &io::Stdout) -> Option<usize> {
    None
}

/// The folder for each model's files: `out` itself for one, a folder named after the model for each of several.
pub(super) fn folders(out: &Path, sources: &[&str]) -> Vec<PathBuf> {
    if sources.len() == 1 {
        return vec![out.into()];
    }
    let mut taken = BTreeSet::new();
    let mut folder = |source: &str| {
        // A model on the hub is named after its repository or file, not after its revision.
        let path =
            Path::new(source.strip_prefix(hub::PREFIX).map_or(source, |name| name.split('@').next().unwrap_or(name)));
        let last = if path.extension().is_some_and(|end| end == "safetensors" || end == "gguf") {
            path.file_stem()
        } else {
            path.file_name()
        };
        let name = last.map_or_else(|| String::from("model"), |last| last.to_string_lossy().into_owned());
        let mut candidate = name.clone();
        let mut number = 2;
        while !taken.insert(candidate.clone()) {
            candidate = format!("{name}-{number}");
            number += 1;
        }
        out.join(candidate)
    };
    sources.iter().map(|source| folder(source)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_a_folder_of_its_own() {
        let out = Path::new("out");
        assert_eq!(folders(out, &["a/b"]), [out]);
        assert_eq!(
            folders(out, &["x/opt", "y/opt", "z/opt.safetensors", "gpt2/", ".."]),
            ["opt", "opt-2", "opt-3", "gpt2", "model"].map(|name| out.join(name))
        );
        assert_eq!(
            folders(out, &["hf:gpt2@refs/pr/1", "hf:facebook/opt@v1", "opt"]),
            ["gpt2", "opt", "opt-2"].map(|name| out.join(name))
        );
    }
}
