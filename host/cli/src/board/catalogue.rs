//! Finding boards: those of a checkout that is here, and those that this program was built with.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use super::{BoardError, Description};

/// The environment variable that names a folder of boards.
pub const VARIABLE: &str = "KURTOSCOPE_BOARDS";

/// Name and `board.toml` of every board in the checkout that this program was built from; gathered by the build script.
const BUILT_IN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/boards.rs"));

/// A board that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// What it is.
    pub description: Description,
    /// Where it was found.
    pub origin: Origin,
}

impl Board {
    /// The board's folder, where its firmware can be built.
    ///
    /// # Errors
    /// [`BoardError::NoSources`] for a board that is only known from this program.
    pub fn folder(&self) -> Result<&Path, BoardError> {
        match &self.origin {
            Origin::Folder(folder) => Ok(folder),
            Origin::BuiltIn => Err(BoardError::NoSources { name: self.description.name.clone() }),
        }
    }
}

/// Where a board was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// In this program.
    BuiltIn,
    /// In this folder.
    Folder(PathBuf),
}

/// All boards that are known here. A board in a folder replaces one of the same name in this program.
#[derive(Debug)]
pub struct Catalogue {
    boards: BTreeMap<String, Source>,
}

#[derive(Debug)]
struct Source {
    /// Of the `board.toml`; for errors, where the board is only in this program.
    path: PathBuf,
    /// Absent where the file is read when it is asked for.
    text: Option<&'static str>,
}

impl Catalogue {
    /// The boards in `folder`; without one in the folder that [`VARIABLE`] names; else in the `boards/` of the checkout
    /// in which the process works, or from which this program was built. Together with those in this program.
    ///
    /// # Errors
    /// When a folder that was named cannot be read or holds no boards.
    pub fn load(folder: Option<&Path>) -> Result<Self, BoardError> {
        let named = folder.map(Path::to_owned).or_else(|| {
            let folder = env::var_os(VARIABLE).filter(|folder| !folder.is_empty());
            folder.map(PathBuf::from)
        });
        let mut catalogue = Self::built_in();
        if let Some(folder) = named {
            let found = in_folder(&folder).map_err(|source| BoardError::Read { path: folder.clone(), source })?;
            if found.is_empty() {
                return Err(BoardError::NoBoards(folder));
            }
            catalogue.boards.extend(found);
        } else if let Some(found) = checkouts().find_map(|boards| in_folder(&boards).ok().filter(|it| !it.is_empty())) {
            catalogue.boards.extend(found);
        }
        Ok(catalogue)
    }

    /// The boards in this program alone.
    pub fn built_in() -> Self {
        let boards = BUILT_IN.iter().map(|(name, text)| {
            let path = Path::new("boards").join(name).join("board.toml");
            (String::from(*name), Source { path, text: Some(text) })
        });
        Self { boards: boards.collect() }
    }

    /// The names of all boards, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.boards.keys().map(String::as_str)
    }

    /// Every board, or why it cannot be described, in order of name.
    pub fn boards(&self) -> impl Iterator<Item = Result<Board, BoardError>> {
        self.boards.values().map(Source::read)
    }

    /// The board of this name.
    ///
    /// # Errors
    /// When there is none, or its `board.toml` is not a description.
    pub fn find(&self, name: &str) -> Result<Board, BoardError> {
        self.boards.get(name).ok_or_else(|| self.unknown(name))?.read()
    }

    /// The board whose QEMU machine, or whose own name, is `machine`.
    ///
    /// # Errors
    /// When there is none. Boards that cannot be described are passed over unless the name is theirs.
    pub fn find_in_qemu(&self, machine: &str) -> Result<Board, BoardError> {
        if self.boards.contains_key(machine) {
            return self.find(machine);
        }
        let is_machine = |board: &Board| board.description.qemu.as_ref().is_some_and(|qemu| qemu.machine == machine);
        self.boards().flatten().find(is_machine).ok_or_else(|| {
            let machines = self.boards().flatten().filter_map(|board| Some(board.description.qemu?.machine));
            BoardError::Unknown {
                name: format!("qemu:{machine}"),
                known: list(machines.map(|it| format!("qemu:{it}"))),
            }
        })
    }

    fn unknown(&self, name: &str) -> BoardError {
        BoardError::Unknown { name: name.into(), known: list(self.names().map(String::from)) }
    }
}

impl Source {
    fn read(&self) -> Result<Board, BoardError> {
        match self.text {
            Some(text) => Ok(Board { description: Description::parse(&self.path, text)?, origin: Origin::BuiltIn }),
            None => {
                let failed = |source| BoardError::Read { path: self.path.clone(), source };
                let text = fs::read_to_string(&self.path).map_err(failed)?;
                let folder = self.path.parent().unwrap_or(Path::new(".")).to_owned();
                Ok(Board { description: Description::parse(&self.path, &text)?, origin: Origin::Folder(folder) })
            }
        }
    }
}

fn list(names: impl Iterator<Item = String>) -> String {
    let names: Vec<String> = names.collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// Every folder in `boards` that holds a `board.toml`.
fn in_folder(boards: &Path) -> io::Result<BTreeMap<String, Source>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(boards)? {
        let entry = entry?;
        let path = entry.path().join("board.toml");
        if path.is_file() {
            found.insert(entry.file_name().to_string_lossy().into_owned(), Source { path, text: None });
        }
    }
    Ok(found)
}

/// Where a checkout's boards could be: in the working directory and those above it that look like a checkout, then where
/// this program was built.
fn checkouts() -> impl Iterator<Item = PathBuf> {
    let here = env::current_dir().unwrap_or_default();
    let above: Vec<PathBuf> = here.ancestors().map(Path::to_owned).collect();
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_owned);
    above
        .into_iter()
        .chain(built)
        .filter(|root| root.join("firmware/Cargo.toml").is_file())
        .map(|root| root.join("boards"))
}
