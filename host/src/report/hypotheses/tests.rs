//! The whole report, as Markdown and as a page: what it says, what it must never let through, and that nothing is fetched.

use std::fs;

use serde_json::{Value, json};

use super::*;
use crate::evidence::{Evidence, Facts, Figures, Gathered, gather};
use crate::experiment;
use crate::fixture;
use crate::hypothesis::{Statistic, Verdict};
use crate::report::terminal::Style;

/// A name that is markup in every format, and a control character.
const EVIL: &str = "m|<script>alert(1)`\u{1b}[31m";

fn judgement(id: &str, verdict: Verdict) -> Judgement {
    let row = json!({ "model": EVIL, "kurtosis": 562.3, "side": "early" });
    Judgement {
        id: id.into(),
        title: "Layer position".into(),
        claim: "Outliers form early.".into(),
        prediction: "Early layers have the higher kurtosis.".into(),
        test: "The highest kurtosis of each quarter, by model.".into(),
        decision_rule: "Supported at an adjusted p of 0.05.".into(),
        falsification: "Late layers have as much.".into(),
        verdict,
        reason: format!("One model, {EVIL}, decides nothing."),
        statistics: vec![
            Statistic {
                name: "Spearman correlation".into(),
                value: Some(-0.25),
                interval: Some([-0.8, 0.6]),
                n: 5,
                p: Some(0.68),
                p_adjusted: Some(1.0),
            },
            Statistic { name: "share".into(), value: None, interval: None, n: 0, p: None, p_adjusted: None },
        ],
        rows: vec![row.as_object().cloned().expect("an object")],
        confounds: vec!["The families differ in everything.".into()],
        missing: vec!["Six models.".into()],
    }
}

/// Two runs, one synthetic and one with a name that no page may trust.
fn gathered() -> Gathered {
    let mut other = fixture::clean();
    (other.model.source, other.model.fingerprint) = (EVIL.into(), "0".repeat(32));
    gather(&[fixture::full(), other], &Facts::new(None))
}

fn with_material<T>(judgements: &[Judgement], use_it: impl Fn(&Material<'_>) -> T) -> T {
    let gathered = gathered();
    let experiments = experiment::all(&gathered.evidence);
    use_it(&Material {
        evidence: &gathered.evidence,
        remarks: &gathered.remarks,
        judgements,
        experiments: &experiments,
        recorded: None,
    })
}

fn with_recorded<T>(judgements: &[Judgement], use_it: impl Fn(&Material<'_>) -> T) -> T {
    let document = Recorded::built_in();
    let gathered = document.evidence(Figures::Results, &Facts::new(None));
    let experiments = experiment::all(&gathered.evidence);
    use_it(&Material {
        evidence: &gathered.evidence,
        remarks: &gathered.remarks,
        judgements,
        experiments: &experiments,
        recorded: Some(Against { document: &document, earlier: judgements }),
    })
}

#[test]
fn as_markdown() {
    let judgements = [judgement("H3", Verdict::Inconclusive)];
    insta::assert_snapshot!(with_material(&judgements, |material| markdown::render(&content::blocks(material))));
}

#[test]
fn the_recorded_document_as_markdown() {
    let judgements = [judgement("H1", Verdict::Inconclusive), judgement("H3", Verdict::Mixed)];
    insta::assert_snapshot!(with_recorded(&judgements, |material| markdown::render(&content::blocks(material))));
}

#[test]
fn on_a_terminal() {
    let judgements = [judgement("H3", Verdict::Supported)];
    let style = Style { width: 100, color: false };
    insta::assert_snapshot!(with_material(&judgements, |material| {
        terminal::render(&content::blocks(material), wording::DETAILS, &style)
    }));
}

#[test]
fn the_page_needs_nothing_and_believes_no_name() {
    let judgements = [judgement("H3", Verdict::Inconclusive)];
    let page = with_material(&judgements, |material| html::render(&content::blocks(material)));
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "names are escaped");
    assert!(!page.contains('\u{1b}'));
    for fetching in ["src=", "url(", "@import", "<link", "<iframe", "<img", "<object"] {
        assert!(!page.contains(fetching), "{fetching}");
    }
    // The only address is the namespace of SVG, which nothing fetches.
    assert_eq!(
        page.matches("http").count(),
        page.matches("http://www.w3.org/2000/svg").count() + page.matches("http-equiv").count()
    );
    for wanted in ["default-src 'none'", "prefers-color-scheme: dark", "@media print", "width=device-width", "<svg"] {
        assert!(page.contains(wanted), "{wanted}");
    }
    for tag in ["table", "svg", "ul", "li", "p", "h2", "h3", "code", "figure", "div", "td"] {
        let open = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(open, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn links_lead_to_chapters() {
    let page = with_recorded(&[], |material| html::render(&content::blocks(material)));
    let targets: Vec<&str> = page.split("href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(targets.len() >= 8, "{targets:?}");
    for target in targets {
        assert_eq!(page.matches(&format!("<h2 id=\"{target}\">")).count(), 1, "{target}");
    }
}

#[test]
fn the_record_has_the_schemas_fields() {
    let judgements = [judgement("H3", Verdict::Inconclusive)];
    let text = with_material(&judgements, |material| json::render(material).expect("numbers and strings"));
    let record: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(record["schema"], 1);
    let hypothesis = &record["hypotheses"][0];
    assert_eq!(hypothesis["verdict"], "inconclusive");
    for field in ["id", "verdict", "reason", "statistics", "rows", "confounds", "missing"] {
        assert!(hypothesis.get(field).is_some(), "{field}");
    }
    let statistics = &hypothesis["statistics"];
    for field in ["name", "value", "n", "p", "p_adjusted"] {
        assert!(statistics[0].get(field).is_some(), "{field}");
    }
    assert_eq!([&statistics[1]["value"], &statistics[1]["p"]], [&Value::Null; 2], "undefined is null");
    let ids: Vec<&Value> = record["experiments"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    assert_eq!(ids, ["EXP-022", "EXP-023", "EXP-024", "EXP-025", "EXP-026"]);
    for experiment in record["experiments"].as_array().expect("a list") {
        let columns = experiment["columns"].as_array().expect("columns").len();
        for row in experiment["rows"].as_array().expect("rows") {
            assert_eq!(row.as_array().expect("cells").len(), columns, "{}", experiment["id"]);
        }
    }
    assert_eq!(record["evidence"]["models"][0]["family"], "opt");
    assert!(record.get("recorded").is_none());
}

#[test]
fn the_recorded_document_is_in_the_record_with_both_verdicts() {
    let text = with_recorded(&[], |material| json::render(material).expect("numbers and strings"));
    let record: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(record["recorded"]["verdicts"][0]["says"], json!(["INCONCLUSIVE", "REJECTED"]));
    assert_eq!(record["recorded"]["contradictions"][0]["values"], json!(["271", "562"]));
    let reproduced: Vec<&Value> =
        record["recorded"]["tables"].as_array().expect("tables").iter().map(|table| &table["reproduced"]).collect();
    assert_eq!(reproduced, [&Value::Null, &json!(true), &json!(true), &Value::Null, &json!(true), &json!(true)]);
}

#[test]
fn all_files_and_nothing_else() {
    let folder = tempfile::tempdir().expect("temporary folder");
    with_material(&[], |material| write_all(folder.path(), material).expect("writable"));
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();

    assert_eq!(
        names,
        [
            "exp-022.svg",
            "exp-023.svg",
            "exp-024.svg",
            "exp-025.svg",
            "exp-026.svg",
            "hypotheses.json",
            "report.html",
            "report.md"
        ]
    );
    let report = fs::read_to_string(folder.path().join("report.md")).expect("a report");
    for name in names.iter().filter(|name| name.ends_with(".svg")) {
        assert!(report.contains(&format!("]({name})")), "{name}");
    }
    assert_eq!(report.matches(".svg)").count(), names.iter().filter(|name| name.ends_with(".svg")).count());
}

#[test]
fn nothing_is_made_of_no_evidence() {
    let evidence = Evidence::default();
    let experiments = experiment::all(&evidence);
    let material =
        Material { evidence: &evidence, remarks: &[], judgements: &[], experiments: &experiments, recorded: None };
    let blocks = content::blocks(&material);
    assert!(markdown::render(&blocks).contains("No hypothesis was judged."));
    assert!(!markdown::render(&blocks).contains("NaN") && markdown::plots(&blocks).is_empty());
}
