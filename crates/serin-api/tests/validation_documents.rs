//! Documents that the schemas of Istio's kinds accept or refuse, with the texts of the refusals.
//!
//! The documents lie beside the repository (`../shared`) and are passed over where they are absent.

use std::path::PathBuf;

use serde_json::Value;
use serin_api::{Kind, yaml};

/// What an API server with our definitions would say of an object.
fn errors(mut object: Value) -> Option<Vec<String>> {
    let text = |name: &str| object[name].as_str().unwrap_or_default().to_owned();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let (group, version) = api_version.split_once('/').unwrap_or(("", &api_version));
    let kind = Kind::find(group, &kind).filter(|kind| kind.versions.contains(&version))?;
    let schema = kind.schema();
    let unknown = schema.unknown_fields(&object).into_iter().map(|field| field.to_string());
    let mut errors: Vec<String> = unknown.collect();
    schema.apply_defaults(&mut object);
    errors.extend(schema.validate(&object, None).iter().map(ToString::to_string));
    Some(errors)
}

#[test]
fn documents_are_accepted_or_refused_as_by_the_definitions_of_istio() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/conformance/istio/validation");
    if !folder.is_dir() {
        println!("skipped: {} is absent", folder.display());
        return;
    }
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    files.sort();
    let (mut documents, mut failures) = (0, Vec::new());
    for file in files {
        let stream = yaml::read(&std::fs::read_to_string(&file).unwrap());
        assert_eq!(stream.problems, [], "{}", file.display());
        for document in stream.documents {
            documents += 1;
            let mut object = document.root.to_json();
            let name =
                format!("{} {}", file.file_name().unwrap().display(), object["metadata"]["name"]);
            let expect = object.as_object_mut().unwrap().shift_remove("_err");
            let errors = errors(object).expect("a known kind in a served version");
            let fits = match &expect {
                None => errors.is_empty(),
                Some(text) => errors.iter().any(|error| error.contains(text.as_str().unwrap())),
            };
            if !fits {
                failures.push(format!("{name}: expected {expect:?}, found {errors:#?}"));
            }
        }
    }
    println!("{} of {documents} documents as expected", documents - failures.len());
    assert_eq!(failures, Vec::<String>::new());
}
