//! The settings of the mesh from the forms in which people keep them.

use std::sync::Arc;

use serde_json::Value;

use crate::mesh_config::{MeshConfig, MeshNetworks};
use crate::{DecodeError, FieldPath, Finding, Location, Severity, codes, decode, yaml};

/// The settings of a mesh.
#[derive(Debug, Default)]
pub struct Mesh {
    /// The mesh configuration, if the text holds one.
    pub config: Option<MeshConfig>,
    /// The networks, if the text holds them.
    pub networks: Option<MeshNetworks>,
    /// What is wrong with the text.
    pub findings: Vec<Finding>,
}

/// Reads a mesh configuration or mesh networks: as they are, in the ConfigMap that Istio reads (`mesh`, `meshNetworks`),
/// or in an IstioOperator or the values of its chart (`meshConfig`).
pub fn mesh(file: &str, text: &str) -> Mesh {
    let mut reader = Reader { file: file.into(), mesh: Mesh::default() };
    let stream = yaml::read(text);
    for problem in stream.problems {
        reader.problem(problem, None);
    }
    for document in stream.documents {
        reader.document(&document.root);
    }
    reader.mesh
}

struct Reader {
    file: Arc<str>,
    mesh: Mesh,
}

impl Reader {
    fn problem(&mut self, problem: yaml::Problem, outer: Option<&yaml::Node>) {
        // A text inside of a ConfigMap has lines of its own; the place of the whole is the best there is.
        let span = outer.map_or(problem.span, |node| node.span);
        self.mesh.findings.push(Finding {
            code: problem.code,
            severity: problem.severity,
            object: None,
            field: FieldPath::root(),
            location: Some(Location { file: Arc::clone(&self.file), span }),
            message: problem.message,
            help: problem.help,
            related: Vec::new(),
        });
    }

    fn document(&mut self, root: &yaml::Node) {
        let kind = root.get("kind").map(yaml::Node::to_json);
        match kind.as_ref().and_then(Value::as_str) {
            Some("ConfigMap") => {
                for (name, is_config) in [("mesh", true), ("meshNetworks", false)] {
                    if let Some(node) = root.get("data").and_then(|data| data.get(name)) {
                        self.embedded(node, is_config);
                    }
                }
            }
            Some("IstioOperator") => {
                let spec = root.get("spec");
                if let Some(config) = spec.and_then(|spec| spec.get("meshConfig")) {
                    self.settings(config, true);
                }
                let values =
                    spec.and_then(|spec| spec.get("values")?.get("global")?.get("meshNetworks"));
                if let Some(networks) = values {
                    self.networks_by_name(networks);
                }
            }
            _ => match root.get("meshConfig") {
                Some(config) => self.settings(config, true),
                None => self.settings(root, root.get("networks").is_none()),
            },
        }
    }

    fn embedded(&mut self, node: &yaml::Node, is_config: bool) {
        let Value::String(text) = node.to_json() else { return };
        let stream = yaml::read(&text);
        for problem in stream.problems {
            self.problem(problem, Some(node));
        }
        for document in &stream.documents {
            let inner = yaml::Node { span: node.span, content: document.root.content.clone() };
            self.settings(&inner, is_config);
        }
    }

    fn settings(&mut self, node: &yaml::Node, is_config: bool) {
        let value = node.to_json();
        if is_config {
            let read = MeshConfig::from_value(&value);
            self.mesh.config = self.keep(node, read).or(self.mesh.config.take());
        } else {
            let read = decode(&value);
            self.mesh.networks = self.keep(node, read).or(self.mesh.networks.take());
        }
    }

    /// Networks as the values of the chart have them: without the level `networks`.
    fn networks_by_name(&mut self, node: &yaml::Node) {
        let read = decode(&serde_json::json!({ "networks": node.to_json() }));
        self.mesh.networks = self.keep(node, read).or(self.mesh.networks.take());
    }

    fn keep<T>(&mut self, node: &yaml::Node, read: Result<T, DecodeError>) -> Option<T> {
        read.map_err(|error| {
            let (_, span) = node.find(&error.field);
            self.mesh.findings.push(Finding {
                code: codes::UNDECODABLE,
                severity: Severity::Error,
                object: None,
                field: error.field,
                location: Some(Location { file: Arc::clone(&self.file), span }),
                message: error.message,
                help: None,
                related: Vec::new(),
            });
        })
        .ok()
    }
}
