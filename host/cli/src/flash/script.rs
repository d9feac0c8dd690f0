//! The shell scripts that run on a Linux board, and the reading of what the first of them answers. They need `sh` and coreutils
//! or busybox, and systemd where there is a service.

use std::collections::BTreeMap;

use super::{
    linux::{ENABLED, MANIFEST, MANIFEST_FOLDER, PROGRAM, Questions, SERVICE, UNIT, leftover},
    plan::{Action, Put, digest},
    survey::{Found, Privilege, Survey},
};

/// Exit code of a script whose copy differs from the original.
pub(super) const DAMAGED: i32 = 81;
/// Exit code of a script whose new program does not run.
pub(super) const DOES_NOT_RUN: i32 = 82;
/// Exit code of a script whose new program is another version.
pub(super) const OTHER_VERSION: i32 = 83;
/// Exit code of a script whose service does not come up.
pub(super) const DOES_NOT_STAY: i32 = 84;

/// What stands before every line that is an answer; others come from the user's profile.
const ANSWER: &str = "kurtoscope:";

/// A word that a POSIX shell takes as it is.
pub fn quote(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_=/.:,+@%".contains(letter);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// The script that looks at a board and changes nothing.
pub(super) fn survey(questions: &Questions) -> String {
    let mut script = format!(
        r#"LC_ALL=C; export LC_ALL
say() {{ printf '{ANSWER}%s\n' "$1"; }}
above() {{ d=$1; while [ ! -d "$d" ]; do d=$(dirname "$d"); done; }}
as=
if [ "$(id -u)" = 0 ]; then say root=root
elif sudo -n true 2>/dev/null; then as='sudo -n'; say root=sudo
else say root=none; fi
say "machine=$(uname -m)"
if [ -d /run/systemd/system ]; then say systemd=yes; fi
above {PROGRAM}; say "room=$(df -Pk "$d" | tail -n 1)"
if [ -x {PROGRAM} ]; then say "version=$({PROGRAM} --version 2>&1 | head -n 1)"; fi
for p in /sys/class/udc/*; do if [ -e "$p" ]; then say "port=${{p##*/}}"; fi; done
for p in /sys/class/leds/*; do if [ -e "$p" ]; then say "light=${{p##*/}}"; fi; done
if [ -L {ENABLED} ]; then say enabled=yes; fi
if [ -d /run/systemd/system ] && systemctl is-active --quiet {SERVICE}; then say active=yes; fi
"#
    );
    for (number, path) in questions.all().enumerate() {
        let path = quote(path);
        script += &format!(
            "above {path}; if ! $as env test -w \"$d\"; then say \"locked={number}=$d\"; fi\n\
             if [ -f {path} ]; then say \"size={number}=$($as cat {path} | wc -c)\"; \
             say \"sha={number}=$($as cat {path} | sha256sum | cut -c 1-64)\"; fi\n"
        );
    }
    for (number, path) in questions.texts.iter().enumerate() {
        let path = quote(path);
        script += &format!("if [ -f {path} ]; then $as cat {path} | sed 's/^/{ANSWER}text={number}=/'; echo; fi\n");
    }
    script + "say end=yes\n"
}

/// Reads what [`survey`] answered; nothing if its end is missing.
pub(super) fn read_survey(answers: &str, questions: &Questions) -> Option<Survey> {
    let mut survey = Survey::default();
    let mut lights = Vec::new();
    let mut texts: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    let mut sizes: BTreeMap<usize, u64> = BTreeMap::new();
    let asked = |number: &str| questions.all().nth(number.parse().ok()?).map(String::from);
    let mut ended = false;
    for line in answers.split('\n') {
        let Some((key, value)) = line.strip_prefix(ANSWER).and_then(|line| line.split_once('=')) else { continue };
        match key {
            "root" if value == "root" => survey.privilege = Privilege::Root,
            "root" if value == "sudo" => survey.privilege = Privilege::Sudo,
            "machine" => survey.machine = Some(value.trim().into()),
            "systemd" => survey.systemd = true,
            "room" => survey.free_bytes = free_bytes(value),
            "version" => survey.version = Some(value.trim().into()),
            "light" => lights.push(value.to_owned()),
            "port" => survey.device_ports.push(value.into()),
            "enabled" => survey.enabled = true,
            "active" => survey.active = true,
            "locked" => {
                let (number, folder) = value.split_once('=')?;
                survey.read_only.insert(asked(number)?, folder.into());
            }
            "size" => {
                let (number, bytes) = value.split_once('=')?;
                sizes.insert(number.parse().ok()?, bytes.trim().parse().ok()?);
            }
            "sha" => {
                let (number, sha256) = value.split_once('=')?;
                let bytes = sizes.get(&number.parse().ok()?).copied()?;
                survey.files.insert(asked(number)?, Found { sha256: sha256.into(), bytes, text: None });
            }
            "text" => {
                let (number, text) = value.split_once('=')?;
                texts.entry(number.parse().ok()?).or_default().push(text);
            }
            "end" => ended = true,
            _ => {}
        }
    }
    survey.lights = Some(lights);
    // Who is not root cannot write there in any case, and the error says so.
    if survey.privilege == Privilege::None {
        survey.read_only.clear();
    }
    for (number, path) in questions.texts.iter().enumerate() {
        if let Some(found) = survey.files.get_mut(path) {
            found.text = unharmed(&texts.remove(&number).unwrap_or_default(), &found.sha256);
        }
    }
    ended.then_some(survey)
}

/// The text of these lines, with or without an end to the last, whichever has this digest; nothing if neither has.
fn unharmed(lines: &[&str], sha256: &str) -> Option<String> {
    let text = lines.join("\n");
    [text.clone() + "\n", text].into_iter().find(|text| digest(text.as_bytes()) == sha256)
}

/// The bytes available in a line of `df -Pk`: the number before the percentage.
fn free_bytes(line: &str) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let percentage = fields.iter().rposition(|field| field.ends_with('%'))?;
    fields.get(percentage.checked_sub(1)?)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// The script that carries out an action. A file's content is its standard input.
pub(super) fn action(action: &Action) -> String {
    match action {
        Action::Put(put) => put_file(put),
        Action::Delete { path } if path == MANIFEST => {
            format!("rm -f {MANIFEST}; rmdir {MANIFEST_FOLDER} 2>/dev/null || [ ! -e {MANIFEST} ]")
        }
        Action::Delete { path } => format!("rm -f {}", quote(path)),
        Action::Enable => format!("set -e; systemctl daemon-reload; systemctl enable {SERVICE}"),
        // The unit is of the kind that notifies systemd when it is ready, so `restart` waits for that. Its last message
        // explains more than what systemd says about it.
        Action::Start => format!(
            "said=$(systemctl restart {SERVICE} 2>&1) && exit\n\
             last=$(journalctl -u {SERVICE} -n 20 -o cat --no-pager | grep '^kurtoscope-device: ' | tail -n 1)\n\
             printf '%s\\n' \"${{last:-$said}}\" >&2; exit {DOES_NOT_STAY}"
        ),
        Action::Disable => {
            format!("set -e; if [ -e {UNIT} ]; then systemctl disable --now {SERVICE}; fi; rm -f {ENABLED}")
        }
        Action::Forget => {
            format!("systemctl daemon-reload && {{ systemctl reset-failed {SERVICE} 2>/dev/null || true; }}")
        }
    }
}

/// Writes beside the file, checks, tries, and only then renames: an interruption at any point leaves the old file or the new
/// one. What an interrupted run left is removed first.
fn put_file(put: &Put) -> String {
    let folder = put.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let new = quote(&leftover(&put.path));
    let mut script = format!(
        "set -e; LC_ALL=C; export LC_ALL\nmkdir -p {}\ntrap 'rm -f {new}' EXIT\nrm -f {new}; cat >{new}\n",
        quote(if folder.is_empty() { "/" } else { folder }),
    );
    script += &format!("[ \"$(sha256sum <{new} | cut -c 1-64)\" = {} ] || exit {DAMAGED}\n", put.content.sha256());
    if let Some(mode) = put.mode {
        script += &format!("chmod {mode:o} {new}\n");
    }
    if let Some(version) = &put.version {
        script += &format!(
            "found=$({new} --version 2>&1) || {{ printf '%s\\n' \"$found\" >&2; exit {DOES_NOT_RUN}; }}\n\
             [ \"$found\" = {} ] || {{ printf '%s\\n' \"$found\" >&2; exit {OTHER_VERSION}; }}\n",
            quote(version)
        );
    }
    script + &format!("sync; mv -f {new} {}; sync\n", quote(&put.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_words() {
        assert_eq!(quote("/a/b.c"), "/a/b.c");
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quote(""), "''");
    }

    #[test]
    fn the_profile_of_a_shell_does_not_disturb_answers() {
        let questions = Questions { files: vec!["/a".into()], texts: vec!["/b c".into()] };
        let text = "x=1\n\n  y";
        let answers = format!(
            "Welcome to the board!\nkurtoscope:root=sudo\nkurtoscope:machine=aarch64\nkurtoscope:room=/dev/my disk 100 40 60 40% /\n\
             kurtoscope:locked=1=/b c\nkurtoscope:size=1= 8\nkurtoscope:sha=1={}\nkurtoscope:text=0=x=1\nkurtoscope:text=0=\nkurtoscope:text=0=  y\nkurtoscope:end=yes\n",
            digest(text.as_bytes())
        );
        let survey = read_survey(&answers, &questions).expect("complete");
        assert_eq!(survey.privilege, Privilege::Sudo);
        assert_eq!(survey.free_bytes, Some(60 << 10));
        assert_eq!(survey.files["/b c"].text.as_deref(), Some(text));
        assert_eq!((survey.files["/b c"].bytes, survey.read_only["/b c"].as_str()), (8, "/b c"));
        assert!(!survey.has("/a"));
        assert_eq!(read_survey(answers.strip_suffix("kurtoscope:end=yes\n").expect("its end"), &questions), None);
    }
}
