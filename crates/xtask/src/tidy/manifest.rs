//! Reads what the checks need to know of a `Cargo.toml`.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::finding::Finding;

/// When a dependency is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Normal,
    Build,
    Dev,
}

/// One dependency as a manifest declares it.
#[derive(Debug)]
pub(crate) struct Dependency {
    /// The package's name, also where the manifest gives it another one.
    pub(crate) package: String,
    pub(crate) kind: Kind,
    /// Whether it says `workspace = true`.
    pub(crate) inherited: bool,
    /// Whether it is nothing but a folder of this repository.
    pub(crate) local: bool,
    pub(crate) features: Vec<String>,
    pub(crate) line: usize,
}

/// A manifest of the repository.
#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) path: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// `[workspace.dependencies]`.
    pub(crate) workspace_dependencies: Vec<Dependency>,
    /// Whether it says `[lints] workspace = true`.
    pub(crate) inherits_lints: bool,
}

impl Manifest {
    /// Reads a manifest; an unreadable one is a finding.
    pub(crate) fn parse(path: &str, text: &str) -> Result<Self, Finding> {
        let root = DeTable::parse(text).map_err(|error| {
            let line = line_at(text, error.span().map_or(0, |span| span.start));
            Finding::new(path, line, format!("is not readable as TOML ({})", error.message()), "correct it")
        })?;
        let root = root.into_inner();
        let mut dependencies = dependencies_of(text, &root);
        for platform in table(&root, "target").into_iter().flat_map(|targets| targets.values()) {
            if let DeValue::Table(platform) = platform.get_ref() {
                dependencies.extend(dependencies_of(text, platform));
            }
        }
        let workspace = table(&root, "workspace").and_then(|workspace| table(workspace, "dependencies"));
        let lints = table(&root, "lints").and_then(|lints| lints.get("workspace"));
        Ok(Self {
            path: path.to_owned(),
            dependencies,
            workspace_dependencies: workspace
                .map(|deps| read_all(text, deps, Kind::Normal))
                .unwrap_or_default(),
            inherits_lints: lints.is_some_and(is_true),
        })
    }

    /// The folder's name of a crate under `crates/`.
    pub(crate) fn crate_folder(&self) -> Option<&str> {
        self.path.strip_prefix("crates/")?.strip_suffix("/Cargo.toml")
    }
}

fn dependencies_of(text: &str, parent: &DeTable<'_>) -> Vec<Dependency> {
    let sections = [
        ("dependencies", Kind::Normal),
        ("build-dependencies", Kind::Build),
        ("dev-dependencies", Kind::Dev),
    ];
    let present = sections.into_iter().filter_map(|(name, kind)| Some((table(parent, name)?, kind)));
    present.flat_map(|(deps, kind)| read_all(text, deps, kind)).collect()
}

fn read_all(text: &str, dependencies: &DeTable<'_>, kind: Kind) -> Vec<Dependency> {
    dependencies
        .iter()
        .map(|(name, value)| {
            let name_line = line_at(text, name.span().start);
            let mut dependency = Dependency {
                package: name.get_ref().to_string(),
                kind,
                inherited: false,
                local: false,
                features: Vec::new(),
                line: name_line,
            };
            if let DeValue::Table(options) = value.get_ref() {
                if let Some(package) = options.get("package").and_then(as_str) {
                    package.clone_into(&mut dependency.package);
                }
                dependency.inherited = options.get("workspace").is_some_and(is_true);
                dependency.local = options.get("path").is_some() && options.get("version").is_none();
                if let Some(DeValue::Array(features)) = options.get("features").map(Spanned::get_ref) {
                    dependency.features = features.iter().filter_map(as_str).map(str::to_owned).collect();
                }
            }
            dependency
        })
        .collect()
}

fn table<'a, 'i>(parent: &'a DeTable<'i>, name: &str) -> Option<&'a DeTable<'i>> {
    match parent.get(name)?.get_ref() {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn as_str<'a>(value: &'a Spanned<DeValue<'_>>) -> Option<&'a str> {
    match value.get_ref() {
        DeValue::String(text) => Some(text),
        _ => None,
    }
}

fn is_true(value: &Spanned<DeValue<'_>>) -> bool {
    matches!(value.get_ref(), DeValue::Boolean(true))
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_dependency_is_read() {
        let text = r#"
[dependencies]
myelin-pdu = { workspace = true }
short.workspace = true
[build-dependencies]
cc = "1"
[dev-dependencies]
other = { package = "rand", version = "1", features = ["std"] }
[target.'cfg(unix)'.dependencies]
rustix = "1"
[dependencies.tokio]
workspace = true
[lints]
workspace = true
"#;
        let manifest = Manifest::parse("crates/rooms/Cargo.toml", text).unwrap();
        let mut found: Vec<String> = manifest
            .dependencies
            .iter()
            .map(|d| format!("{} {:?} {} {}", d.package, d.kind, d.inherited, d.line))
            .collect();
        found.sort();
        assert_eq!(
            found,
            [
                "cc Build false 6",
                "myelin-pdu Normal true 3",
                "rand Dev false 8",
                "rustix Normal false 10",
                "short Normal true 4",
                "tokio Normal true 11",
            ]
        );
        assert!(manifest.inherits_lints);
        assert_eq!(manifest.crate_folder(), Some("rooms"));
    }

    #[test]
    fn broken_toml_is_a_finding() {
        let finding = Manifest::parse("Cargo.toml", "[package]\nname = \n").unwrap_err();
        assert_eq!(finding.line, 2);
    }
}
