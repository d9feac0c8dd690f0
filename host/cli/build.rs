//! Gathers `boards/*/board.toml` into the program, so that an installed command has the boards without a checkout.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../boards");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut boards: Vec<(String, String)> = Vec::new();
    // A host that is packaged without the checkout around it knows no boards of its own.
    for entry in fs::read_dir(&root).into_iter().flatten() {
        let entry = entry?;
        let path = entry.path().join("board.toml");
        if path.is_file() {
            println!("cargo::rerun-if-changed={}", path.display());
            boards.push((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(path)?));
        }
    }
    boards.sort();
    let mut list = String::from("&[\n");
    for (name, text) in &boards {
        writeln!(list, "    ({name:?}, {text:?}),")?;
    }
    list.push_str("]\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("boards.rs"), list)?;
    Ok(())
}
