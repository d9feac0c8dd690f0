//! The details: the models, each hypothesis, each experiment, the recorded document, and where facts were read.

use super::Material;
use super::block::{Block, Inline, Line, labelled, table, table_of_maps, words};
use super::wording::{DETAILS, probability, verdict};
use crate::evidence::known::KNOWN;
use crate::evidence::{Evidence, Provenance, Recorded};
use crate::experiment::Experiment;
use crate::hypothesis::{Judgement, Statistic};
use crate::number;
use crate::report::sections::family;
use crate::report::table::{Cell, Column, Table};
use crate::text::plain;

/// The models, and what a reader must know about them.
pub fn models(material: &Material<'_>) -> Vec<Block> {
    let evidence = material.evidence;
    let mut models = Table::new([
        ("Model", Column::Names),
        ("Family", Column::Words),
        ("Parameters", Column::Numbers),
        ("Layers", Column::Numbers),
        ("Matrices", Column::Numbers),
        ("Highest kurtosis", Column::Numbers),
        ("w/o 16", Column::Numbers),
        ("in", Column::Names),
    ]);
    for (index, model) in evidence.models.iter().enumerate() {
        let rows = || evidence.tensors.iter().filter(|row| row.model == index);
        let worst = rows()
            .filter(|row| row.kurtosis.is_some())
            .reduce(|worst, row| if row.kurtosis > worst.kurtosis { row } else { worst });
        models.push([
            Cell::name(&model.name),
            family(model.family).into(),
            model.parameters.map_or_else(|| "—".to_owned(), number::scaled).into(),
            model.layers.map_or_else(|| "—".to_owned(), |layers| layers.to_string()).into(),
            rows().count().to_string().into(),
            number::kurtosis(worst.and_then(|row| row.kurtosis)).into(),
            number::kurtosis(worst.and_then(|row| row.kurtosis_without_16)).into(),
            worst.map_or_else(|| "—".into(), |row| Cell::name(&row.tensor)),
        ]);
    }
    let mut blocks = vec![
        Block::Heading(2, "The models".into()),
        Block::Paragraph(words(
            "Kurtosis is Pearson's (a normal distribution has 3). w/o 16: the same matrix without the 16 weights farthest from \
             the mean.",
        )),
        Block::Table(models, 0),
    ];
    if !material.remarks.is_empty() {
        blocks.push(Block::List(material.remarks.iter().map(words).collect()));
    }
    blocks
}

/// Each hypothesis with all that its verdict rests on.
pub fn hypotheses(judgements: &[Judgement]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(2, DETAILS.into())];
    if judgements.is_empty() {
        blocks.push(Block::Paragraph(words("None was judged.")));
    }
    for judgement in judgements {
        blocks.push(Block::Heading(3, format!("{}: {}", judgement.id, judgement.title)));
        blocks.push(Block::Paragraph(vec![
            Inline::Strong(format!("{}.", verdict(judgement.verdict))),
            Inline::Text(format!(" {}", judgement.reason)),
        ]));
        blocks.push(Block::List(vec![
            labelled("Claim", &judgement.claim),
            labelled("Prediction", &judgement.prediction),
            labelled("Test", &judgement.test),
            labelled("Decision rule", &judgement.decision_rule),
            labelled("Falsification", &judgement.falsification),
        ]));
        if !judgement.statistics.is_empty() {
            blocks.push(Block::Table(statistics(&judgement.statistics), 0));
        }
        for (label, lines) in
            [("What else could explain it", &judgement.confounds), ("What evidence is missing", &judgement.missing)]
        {
            if !lines.is_empty() {
                blocks.push(Block::Heading(4, label.into()));
                blocks.push(Block::List(lines.iter().map(words).collect()));
            }
        }
        if let Some(rows) = table_of_maps(&judgement.rows) {
            blocks.push(Block::Heading(4, "What it rests on".into()));
            blocks.push(rows);
        }
    }
    blocks
}

fn statistics(statistics: &[Statistic]) -> Table {
    let mut table = Table::new([
        ("Statistic", Column::Words),
        ("Value", Column::Numbers),
        ("95 % interval", Column::Words),
        ("n", Column::Numbers),
        ("p", Column::Numbers),
        ("p adjusted", Column::Numbers),
    ]);
    let value = |value: f64| number::significant(value, 3);
    let undefined = || number::UNDEFINED.to_owned();
    for statistic in statistics {
        table.push([
            Cell::from(plain(&statistic.name)),
            statistic.value.map_or_else(undefined, value).into(),
            statistic
                .interval
                .map_or_else(|| "—".into(), |[low, high]| format!("{} to {}", value(low), value(high)))
                .into(),
            statistic.n.to_string().into(),
            statistic.p.map_or_else(|| "—".into(), probability).into(),
            statistic.p_adjusted.map_or_else(|| "—".into(), probability).into(),
        ]);
    }
    table
}

/// Each experiment: table, plot, the numbers under them.
pub fn experiments(experiments: &[Experiment]) -> Vec<Block> {
    let mut blocks = vec![Block::Heading(2, "The experiments".into())];
    for experiment in experiments {
        blocks.push(Block::Heading(3, format!("{}: {}", experiment.id, experiment.title)));
        blocks.push(Block::Paragraph(words(&experiment.question)));
        match table(&experiment.columns, &experiment.rows) {
            Some(rows) => blocks.push(rows),
            None => blocks.push(Block::Paragraph(words("The evidence has nothing for this table."))),
        }
        for further in &experiment.further {
            if let Some(rows) = table(&further.columns, &further.rows) {
                blocks.push(Block::Heading(4, further.title.clone()));
                blocks.push(rows);
            }
        }
        match &experiment.plot {
            Some(plot) => blocks.push(Block::Plot {
                file: experiment.id.to_lowercase(),
                title: format!("{}: {} against {}", experiment.id, plot.y, plot.x),
                plot: plot.clone(),
            }),
            None => blocks.push(Block::Paragraph(words("There are too few figures for a plot."))),
        }
        blocks.push(Block::List(experiment.notes.iter().map(words).collect()));
    }
    blocks
}

/// The recorded document beside ours; nothing where the evidence was measured.
pub fn recorded(material: &Material<'_>) -> Vec<Block> {
    let Some(against) = material.recorded else { return Vec::new() };
    let document = against.document;
    // Columns of names are those that a narrow terminal may shorten.
    let mut verdicts = Table::new([
        ("Hypothesis", Column::Words),
        ("The document says", Column::Names),
        ("because", Column::Names),
        ("Ours, later figures", Column::Words),
        ("Ours, earlier figures", Column::Words),
    ]);
    let ours = |judgements: &[Judgement], id: &str| {
        judgements.iter().find(|judgement| judgement.id == id).map_or("—", |found| verdict(found.verdict)).to_owned()
    };
    let mut disagreements: Vec<Line> = Vec::new();
    for said in &document.verdicts {
        let (later, earlier) = (ours(material.judgements, &said.id), ours(against.earlier, &said.id));
        let agrees = |ours: &str| said.says.iter().all(|word| word.eq_ignore_ascii_case(ours));
        if !agrees(&later) || !agrees(&earlier) {
            disagreements.push(labelled(&said.id, &said.differs));
        }
        let words = [said.id.clone(), said.says.join(", then "), said.evidence.clone(), later, earlier];
        verdicts.push(words.map(Cell::from));
    }
    let mut blocks = vec![
        Block::Heading(2, "The document against this report".into()),
        Block::Paragraph(labelled("It asked", &document.question)),
        Block::Table(verdicts, 0),
        Block::Heading(3, "Why the verdicts differ".into()),
        Block::List(disagreements),
        Block::Heading(3, "Where the document contradicts itself".into()),
        Block::Table(contradictions(document), 0),
        Block::Heading(3, "Its tables".into()),
    ];
    for recorded in &document.tables {
        let mut shown = Table::with_headers(recorded.columns.iter().map(|column| (column.clone(), Column::Words)));
        for row in &recorded.rows {
            shown.push(row.iter().map(|cell| Cell::from(cell.clone())).collect::<Vec<_>>());
        }
        let reproduced = match document.reproduces(recorded) {
            Some(true) => "Reproduced from the recorded rows, cell by cell.",
            Some(false) => "NOT reproduced: the recorded rows give other cells.",
            None => "Cannot be computed again from what was kept.",
        };
        blocks.push(Block::Heading(4, recorded.section.clone()));
        blocks.push(Block::Table(shown, 0));
        blocks.push(Block::Paragraph(words(format!("{reproduced} {}", recorded.remark))));
    }
    blocks
}

fn contradictions(document: &Recorded) -> Table {
    let mut table = Table::new([("Of what", Column::Words), ("It says", Column::Names), ("in", Column::Names)]);
    for contradiction in &document.contradictions {
        for (value, section) in contradiction.values.iter().zip(&contradiction.sections) {
            table.push([contradiction.subject.clone(), value.clone(), section.clone()].map(Cell::from));
        }
    }
    table
}

/// Every fact about every model, with where it was read.
pub fn facts(evidence: &Evidence) -> Vec<Block> {
    let mut facts = Table::new([
        ("Model", Column::Names),
        ("Fact", Column::Names),
        ("Value", Column::Words),
        ("Read in", Column::Words),
        ("Standing", Column::Words),
    ]);
    for model in &evidence.models {
        for (name, fact) in &model.facts {
            let (source, standing) = match &fact.provenance {
                Provenance::Config { key } => (format!("config.json, {key}"), "read"),
                Provenance::Gguf { key } => (format!("GGUF metadata, {key}"), "read"),
                Provenance::Table { source, verified: true } => (source.clone(), "read"),
                Provenance::Table { source, verified: false } => (source.clone(), "not verified"),
                Provenance::User { file } => (file.clone(), "yours"),
                Provenance::Recorded { section } => (format!("the document, {section}"), "recorded"),
            };
            facts.push([
                Cell::name(&model.name),
                Cell::name(name),
                plain(&fact.value.to_string()).into(),
                plain(&source).into(),
                standing.into(),
            ]);
        }
    }
    let mut blocks = vec![Block::Heading(2, "Facts and where they were read".into())];
    if facts.is_empty() {
        blocks.push(Block::Paragraph(words(
            "Nothing is known of how these models were trained. A file of your own facts can say it: `--facts FILE`.",
        )));
        return blocks;
    }
    let meanings =
        KNOWN.iter().filter(|known| evidence.models.iter().any(|model| model.facts.contains_key(known.name)));
    let meanings =
        meanings.map(|known| vec![Inline::Name(known.name.into()), Inline::Text(format!(": {}.", known.meaning))]);
    blocks.extend([Block::Table(facts, 0), Block::List(meanings.collect())]);
    blocks
}

/// Definitions.
pub fn reading() -> Vec<Block> {
    let lines = [
        (
            "Kurtosis",
            "Pearson's, of the population: the mean fourth power of the distance from the mean over the squared variance. A \
             normal distribution has 3; n weights have about n at most, so one weight can be the whole story.",
        ),
        (
            "Rows",
            "Weight matrices. Norms, biases, constants and tied copies are left out, and a fused query-key-value projection is \
             represented by its parts where the layout is known.",
        ),
        ("Depth", "The layer's number over that of the last layer: 0 for the first, 1 for the last."),
        (
            "Verdicts",
            "Supported: the prediction held, beyond what chance explains. Rejected: the opposite held, as clearly. \
             Mixed: parts of the evidence contradict each other. Inconclusive: there is too little evidence, and \
             what is missing is said.",
        ),
        (
            "p",
            "How often chance alone would give a statistic at least as extreme, by permutation. Adjusted p takes into account \
             that several hypotheses were tested.",
        ),
    ];
    let lines = lines.map(|(label, text)| labelled(label, text));
    vec![Block::Heading(2, "How to read this".into()), Block::List(lines.into())]
}
