//! Prints what llama.cpp's converter calls the tensors of a checkpoint:
//! `cargo run --release -p kurtoscope-host --example gguf_names -- model.safetensors`
//!
//! With `-` it reads lines of an architecture and a name, separated by a tab, and prints the name in GGUF files of that
//! architecture, or `-`; `tests/validation/gguf_names.py` compares these with the package `gguf`.

use std::{env, error::Error, io, path::Path};

use kurtoscope_checkpoint::{Checkpoint, model::Family};
use kurtoscope_host::{deployment::export::gguf_names::Naming, text};

fn main() -> Result<(), Box<dyn Error>> {
    match env::args_os().nth(1).ok_or("usage: gguf_names MODEL | -")? {
        lines if lines == "-" => look_up(),
        path => list(Path::new(&path)),
    }
}

fn list(path: &Path) -> Result<(), Box<dyn Error>> {
    let checkpoint = Checkpoint::open(path)?;
    let names = checkpoint.tensors.iter().map(|tensor| tensor.name.as_str());
    let naming = Naming::of(Family::recognise(names.clone(), checkpoint.config.as_ref()), checkpoint.config.as_ref());
    for name in names {
        let found = match naming.names(name) {
            Ok(names) => names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(reason) => format!("- ({reason})"),
        };
        println!("{}\t{}", text::plain(name), text::plain(&found));
    }
    Ok(())
}

fn look_up() -> Result<(), Box<dyn Error>> {
    for line in io::stdin().lines() {
        let line = line?;
        let (architecture, name) = line.split_once('\t').ok_or("a line without a tab")?;
        let found = Naming::of_architecture(architecture).and_then(|naming| naming.in_table(name));
        println!("{}", found.map_or_else(|| "-".to_owned(), |found| found.to_string()));
    }
    Ok(())
}
