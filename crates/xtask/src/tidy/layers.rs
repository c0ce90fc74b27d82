//! The layer graph: arrows between crates point down only.

use super::{
    finding::Finding,
    manifest::{Dependency, Kind, Manifest},
    policy::{L0_FORBIDDEN_PACKAGES, LAYERS, Layer},
};

/// Forbidden arrows out of one crate of `crates/`.
pub(crate) fn check(manifest: &Manifest) -> Vec<Finding> {
    let Some(folder) = manifest.crate_folder() else { return Vec::new() };
    let Some(layer) = layer_of(folder) else {
        let what = format!("crate `{folder}` has no layer");
        return vec![Finding::new(
            &manifest.path,
            1,
            what,
            "add it to LAYERS in crates/xtask/src/tidy/policy.rs",
        )];
    };
    let mut findings = Vec::new();
    for dependency in &manifest.dependencies {
        let broken = match dependency.package.strip_prefix("myelin-").or(dev_tool(&dependency.package)) {
            Some(target) => forbidden_arrow(folder, layer, target, dependency.kind),
            None => forbidden_package(folder, layer, dependency),
        };
        if let Some((what, instead)) = broken {
            findings.push(Finding::new(&manifest.path, dependency.line, what, instead));
        }
    }
    findings
}

fn layer_of(folder: &str) -> Option<Layer> {
    LAYERS.iter().find(|(name, _)| *name == folder).map(|(_, layer)| *layer)
}

/// `xtask` bears no prefix.
fn dev_tool(package: &str) -> Option<&str> {
    (package == "xtask").then_some(package)
}

fn forbidden_arrow(from: &str, layer: Layer, to: &str, kind: Kind) -> Option<(String, String)> {
    let Some(target) = layer_of(to) else {
        return Some((format!("`{to}` has no layer"), "add it to LAYERS in tidy's policy".to_owned()));
    };
    let allowed = match (layer, target) {
        _ if to == "xtask" => false,
        (_, Layer::Dev) => layer == Layer::Dev || kind == Kind::Dev,
        (Layer::L2, Layer::L2) => false,
        _ => target <= layer,
    };
    let instead = match target {
        Layer::L2 if layer == Layer::L2 => {
            "declare a narrow trait in the consumer and wire it in the server crate"
        }
        Layer::Dev => "make it a dev-dependency, or move what you need to a lower layer",
        _ => "move what you need down, or hand it in from above",
    };
    (!allowed)
        .then(|| (format!("`{from}` ({layer:?}) may not import `{to}` ({target:?})"), instead.to_owned()))
}

fn forbidden_package(from: &str, layer: Layer, dependency: &Dependency) -> Option<(String, String)> {
    let package = &dependency.package;
    let forbidden = layer == Layer::L0
        && dependency.kind != Kind::Dev
        && L0_FORBIDDEN_PACKAGES.contains(&package.as_str());
    forbidden.then(|| {
        let what = format!("`{from}` is L0 and may not depend on `{package}`");
        (what, "keep the decision here and let a service do the input and output".to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::finding::summary;

    fn found(folder: &str, dependencies: &str) -> Vec<String> {
        let path = format!("crates/{folder}/Cargo.toml");
        summary(&check(&Manifest::parse(&path, dependencies).unwrap()))
    }

    fn normal(folder: &str, package: &str) -> usize {
        found(folder, &format!("[dependencies]\n{package}.workspace = true\n")).len()
    }

    #[test]
    fn arrows_down_are_fine() {
        for (from, to) in [("server", "api"), ("api", "rooms"), ("rooms", "store"), ("store", "pdu")] {
            assert_eq!(normal(from, &format!("myelin-{to}")), 0, "{from} -> {to}");
        }
    }

    #[test]
    fn arrows_up_are_forbidden() {
        assert_eq!(
            found("store", "[dependencies]\nmyelin-rooms.workspace = true\n"),
            ["crates/store/Cargo.toml:2: `store` (L1) may not import `rooms` (L2)"]
        );
        assert_eq!(normal("pdu", "myelin-model"), 1);
        assert_eq!(normal("rooms", "myelin-api"), 1);
    }

    #[test]
    fn services_never_import_each_other_not_even_in_tests() {
        assert_eq!(normal("rooms", "myelin-users"), 1);
        assert_eq!(found("rooms", "[dev-dependencies]\nmyelin-users.workspace = true\n").len(), 1);
    }

    #[test]
    fn other_layers_may_import_within_themselves() {
        for (from, to) in
            [("store-sql", "store"), ("room-core", "pdu"), ("server", "web"), ("testkit", "server")]
        {
            assert_eq!(normal(from, &format!("myelin-{to}")), 0, "{from} -> {to}");
        }
    }

    #[test]
    fn build_and_platform_dependencies_count() {
        assert_eq!(found("pdu", "[build-dependencies]\nmyelin-store.workspace = true\n").len(), 1);
        assert_eq!(
            found("pdu", "[target.'cfg(unix)'.dependencies]\nmyelin-store.workspace = true\n").len(),
            1
        );
    }

    #[test]
    fn testkit_is_for_tests_and_xtask_for_nobody() {
        assert_eq!(normal("rooms", "myelin-testkit"), 1);
        assert_eq!(found("rooms", "[dev-dependencies]\nmyelin-testkit.workspace = true\n").len(), 0);
        assert_eq!(found("rooms", "[dev-dependencies]\nxtask = { path = \"../xtask\" }\n").len(), 1);
    }

    #[test]
    fn a_crate_without_a_layer_is_a_finding() {
        assert_eq!(found("misc", ""), ["crates/misc/Cargo.toml:1: crate `misc` has no layer"]);
        assert_eq!(normal("server", "myelin-misc"), 1);
    }

    #[test]
    fn l0_depends_on_no_runtime_or_store() {
        assert_eq!(normal("room-core", "tokio"), 1);
        assert_eq!(found("pdu", "[dependencies]\nr = { package = \"rand\", version = \"1\" }\n").len(), 1);
        assert_eq!(normal("rooms", "tokio"), 0);
        assert_eq!(found("pdu", "[dev-dependencies]\ntokio.workspace = true\n").len(), 0);
    }
}
