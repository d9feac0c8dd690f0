//! What the documents promise is there: files that they link to, and options that their commands take.

use std::{
    fs,
    path::{Path, PathBuf},
};

use kurtoscope_tests::{command::Tested, tested};

const DOCUMENTS: [&str; 8] = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    "boards/README.md",
    "docs/decisions.md",
    "docs/measurements.md",
    "tests/fuzz/README.md",
];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(document: &str) -> String {
    fs::read_to_string(checkout().join(document)).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// Where the links of a Markdown text lead, but for those to other hosts and within the text.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let link = rest.split(')').next()?;
        let file = link.split('#').next()?;
        (!file.is_empty() && !file.contains("://")).then_some(file)
    })
}

/// The lines of a text's shell blocks, without comments and without what stands before the program itself.
fn commands<'a>(text: &'a str, program: &'a str) -> impl Iterator<Item = Vec<&'a str>> {
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).filter_map(move |line| {
        // What stands in quotes is another program's.
        let line = line.split(" #").next()?.split('\'').step_by(2);
        let mut words: Vec<&str> = line.flat_map(str::split_whitespace).collect();
        for before in ["sudo", "cargo run --release --bin", "--"] {
            let before: Vec<&str> = before.split(' ').collect();
            if words.starts_with(&before) {
                words.drain(..before.len());
            }
        }
        (words.first() == Some(&program)).then(|| words.into_iter().skip(1).filter(|word| *word != "--").collect())
    })
}

fn help(program: Tested, command: &[&str]) -> String {
    let outcome = program.args(command).args(["--help"]).run();
    assert_eq!(outcome.code, Some(0), "{command:?} --help: {}", outcome.stderr);
    outcome.stdout
}

/// Fails where an option among `words` is not in the help that `of` it gives.
fn options_are_known(document: &str, words: &[&str], help: &str) {
    for option in words.iter().filter(|word| word.starts_with("--")) {
        let name = option.split('=').next().unwrap_or(option);
        let known = help.split(|it: char| it.is_whitespace() || it == ',').any(|word| word == name);
        assert!(known, "{document}: {words:?} has {name}, which --help does not know");
    }
}

#[test]
fn links_lead_to_files_of_the_checkout() {
    let mut followed = 0;
    for document in DOCUMENTS {
        let folder = checkout().join(document).parent().map(Path::to_path_buf).unwrap_or_default();
        for link in links(&read(document)) {
            assert!(folder.join(link).exists(), "{document} links to {link}, which is not there");
            followed += 1;
        }
    }
    assert!(followed > 5, "{followed} links were found");
}

#[test]
fn the_readme_has_a_row_for_every_kind_of_device() {
    let text = read("README.md");
    for kind in kurtoscope_host::link::KINDS {
        let rows = text.lines().filter(|line| line.starts_with(&format!("| `{}", kind.scheme)));
        assert_eq!(rows.count(), 1, "{}", kind.scheme);
    }
}

#[test]
fn commands_of_the_documents_have_the_options_they_are_shown_with() {
    let mut tried = 0;
    for document in DOCUMENTS {
        for words in commands(&read(document), "kurtoscope") {
            // `boards` has commands of its own, which do not look like its arguments.
            let length = if words.first() == Some(&"boards") { words.len().min(2) } else { 1 };
            options_are_known(document, &words, &help(tested!(), &words[..length]));
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried} commands were found");
}

#[test]
fn commands_of_the_device_side_have_the_options_they_are_shown_with() {
    let device = || Tested::new(env!("CARGO_BIN_EXE_kurtoscope-device-under-test"));
    let mut tried = 0;
    for document in DOCUMENTS {
        for words in commands(&read(document), "kurtoscope-device") {
            options_are_known(document, &words, &help(device(), &[]));
            tried += 1;
        }
    }
    assert!(tried > 2, "{tried} commands were found");
}
