//! `kurtoscope hypotheses`: claims about outliers, tested on runs or on the recorded investigation; `analyze` of
//! several models ends with the same report.

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use clap::Args;

use super::{arguments::Outcome, output};
use kurtoscope_host::{
    evidence::{self, Facts, Figures, Gathered, Recorded, UserFacts},
    experiment, files,
    hypothesis::{self, Definition, Judgement, judge_all},
    record::Run,
    report::{
        self,
        hypotheses::{Against, Material, block::Block, content, json, markdown, terminal, wording, write_all},
    },
    run_file::RUN_FILE,
};

/// What to hold the hypotheses against.
#[derive(Debug, Args)]
pub(super) struct HypothesesArguments {
    /// Runs to take evidence from: run.json, the folder that holds it, or a folder of such folders
    #[arg(required_unless_present = "recorded", conflicts_with = "recorded", value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Judge the figures of the investigation that the project began with, and show its verdicts beside ours
    #[arg(long)]
    recorded: bool,

    /// Write hypotheses.json, report.md with its plots, and report.html into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// What to print
    #[arg(long, value_enum, default_value_t = output::Format::Table)]
    format: output::Format,

    #[command(flatten)]
    sources: Sources,
}

/// What the user adds to what the runs say.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Sources {
    /// Facts of your own about models, as TOML: a table [models."NAME"] with facts such as training.precision = "fp16"
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,

    /// A hypothesis of your own, as TOML; repeat for several
    #[arg(long = "hypothesis", value_name = "FILE")]
    hypotheses: Vec<PathBuf>,
}

/// Why a folder cannot take the report.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} holds the run of one model, and its report.md would be replaced; choose another folder for --out", out.display()
)]
struct HoldsRun {
    out: PathBuf,
}

/// Creates the folder for the report, unless it is a run's: both have a report.md.
pub(super) fn prepare(out: &Path) -> Outcome {
    if out.join(RUN_FILE).exists() {
        return Err(HoldsRun { out: out.to_owned() }.into());
    }
    Ok(files::create_directory(out)?)
}

type Failure = Box<dyn Error + Send + Sync>;

impl Sources {
    /// Reads the files, so that what is wrong with them is found out before anything is measured.
    pub(super) fn read(&self) -> Result<Read, Failure> {
        let user = self.facts.as_deref().map(UserFacts::read).transpose()?;
        let mut hypotheses = hypothesis::built_in()?;
        for file in &self.hypotheses {
            let own = Definition::read(file)?;
            if let Some(same) = hypotheses.iter().find(|known| known.id == own.id) {
                return Err(SameName { file: file.clone(), id: same.id.clone(), title: same.title.clone() }.into());
            }
            hypotheses.push(own);
        }
        Ok(Read { facts: Facts::new(user), hypotheses })
    }
}

/// Two hypotheses of one name could not be distinguished in a report.
#[derive(Debug, thiserror::Error)]
#[error("{}: the hypothesis {id} is there already ({title}); give yours another id", file.display())]
struct SameName {
    file: PathBuf,
    id: String,
    title: String,
}

/// The user's files, read.
#[derive(Debug)]
pub(super) struct Read {
    facts: Facts,
    hypotheses: Vec<Definition>,
}

pub(super) fn run(arguments: &HypothesesArguments) -> Outcome {
    let sources = arguments.sources.read()?;
    if let Some(out) = &arguments.out {
        prepare(out)?;
    }
    if arguments.recorded {
        return recorded(arguments, &sources);
    }
    let runs = evidence::read(&arguments.runs)?;
    let gathered = evidence::gather(&runs, &sources.facts);
    let judgements = judge_all(&sources.hypotheses, &gathered.evidence);
    finish(&gathered, &judgements, None, arguments.out.as_deref(), arguments.format)
}

fn recorded(arguments: &HypothesesArguments, sources: &Read) -> Outcome {
    let document = Recorded::built_in();
    let gathered = document.evidence(Figures::Results, &sources.facts);
    let earlier = document.evidence(Figures::Hypotheses, &sources.facts);
    let judgements = judge_all(&sources.hypotheses, &gathered.evidence);
    let earlier = judge_all(&sources.hypotheses, &earlier.evidence);
    let against = Against { document: &document, earlier: &earlier };
    finish(&gathered, &judgements, Some(against), arguments.out.as_deref(), arguments.format)
}

/// Writes the report that `analyze` of several models ends with, and gives what is printed of it. Programs that read the
/// runs' JSON from standard output find the report in the files.
pub(super) fn conclude(
    runs: &[Run],
    sources: &Read,
    out: Option<&Path>,
    format: output::Format,
) -> Result<Option<String>, Failure> {
    let gathered = evidence::gather(runs, &sources.facts);
    let judgements = judge_all(&sources.hypotheses, &gathered.evidence);
    with_material(&gathered, &judgements, None, |material| {
        if let Some(out) = out {
            write_all(out, material)?;
        }
        match format {
            output::Format::Json => Ok(None),
            output::Format::Table | output::Format::Markdown => Ok(Some(render(material, format, out)?)),
        }
    })
}

fn finish(
    gathered: &Gathered,
    judgements: &[Judgement],
    against: Option<Against<'_>>,
    out: Option<&Path>,
    format: output::Format,
) -> Outcome {
    with_material(gathered, judgements, against, |material| {
        if let Some(out) = out {
            write_all(out, material)?;
        }
        Ok(output::print(&render(material, format, out)?)?)
    })
}

fn with_material<T>(
    gathered: &Gathered,
    judgements: &[Judgement],
    recorded: Option<Against<'_>>,
    use_it: impl FnOnce(&Material<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let experiments = experiment::all(&gathered.evidence);
    use_it(&Material {
        evidence: &gathered.evidence,
        remarks: &gathered.remarks,
        judgements,
        experiments: &experiments,
        recorded,
    })
}

fn render(material: &Material<'_>, format: output::Format, out: Option<&Path>) -> Result<String, report::RenderError> {
    Ok(match format {
        output::Format::Table => {
            let blocks = content::blocks(material);
            let whole = match out {
                Some(out) => format!("The whole report is in {}.", out.join(report::hypotheses::PAGE_FILE).display()),
                None => "The whole report: --format markdown, or --out DIR for files with plots.".to_owned(),
            };
            format!("{}\n{whole}\n", terminal::render(&blocks, wording::DETAILS, &output::style()))
        }
        output::Format::Markdown => {
            let mut blocks = content::blocks(material);
            if out.is_none() {
                // There are no files that the text could show.
                blocks.retain(|block| !matches!(block, Block::Plot { .. }));
            }
            markdown::render(&blocks)
        }
        output::Format::Json => json::render(material)?,
    })
}
