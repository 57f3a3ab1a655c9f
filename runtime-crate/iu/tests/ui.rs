// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
//! What must not compile, and what the error says. Each file of `ui/` is a program of
//! its own; `//~ text` says that an error with the text is about that line (there may be
//! several), and a file without any must compile. One run of cargo checks all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn ui() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    let bins = project.join("src/bin");
    let _ = std::fs::remove_dir_all(&bins);
    std::fs::create_dir_all(&bins).unwrap();
    std::fs::write(
        project.join("Cargo.toml"),
        format!(
            "[package]\nname = \"ui\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\
             [dependencies]\niu = {{ path = \"{}\" }}\n\
             [lints.rust]\nunsafe_code = \"forbid\"\n[workspace]\n",
            root.display()
        ),
    )
    .unwrap();
    let mut cases: BTreeMap<String, Vec<(usize, String)>> = BTreeMap::new();
    for entry in std::fs::read_dir(root.join("tests/ui")).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(bins.join(format!("{name}.rs")), format!("{text}\nfn main() {{}}\n"))
            .unwrap();
        let wants = text
            .lines()
            .enumerate()
            .flat_map(|(i, l)| l.split("//~ ").skip(1).map(move |w| (i + 1, w.trim().to_owned())));
        cases.insert(name, wants.collect());
    }
    assert!(cases.len() >= 10);

    let out = Command::new(env!("CARGO"))
        .args(["check", "--bins", "--keep-going", "--offline", "--message-format=short"])
        .arg("--manifest-path")
        .arg(project.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", project.join("target"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    let mut wrong = Vec::new();
    for (name, wants) in &cases {
        let file = format!("src/bin/{name}.rs:");
        let errors: Vec<&str> =
            said.lines().filter(|l| l.starts_with(&file) && l.contains(" error")).collect();
        for (line, text) in wants {
            let at = format!("{file}{line}:");
            if !errors.iter().any(|e| e.starts_with(&at) && e.contains(text.as_str())) {
                wrong.push(format!("{name}: no error at line {line} with {text:?}: {errors:#?}"));
            }
        }
        if wants.is_empty() && !errors.is_empty() {
            wrong.push(format!("{name}: {errors:#?}"));
        }
        // An error elsewhere is one that an author could not make sense of.
        for e in &errors {
            let line = e[file.len()..].split(':').next().and_then(|l| l.parse().ok());
            if !wants.iter().any(|(l, _)| Some(*l) == line) {
                wrong.push(format!("{name}: unexpected {e}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n\n{said}", wrong.join("\n"));
    assert!(!out.status.success());
}
