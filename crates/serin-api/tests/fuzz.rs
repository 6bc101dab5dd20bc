//! Fuzz targets, which `cargo test` runs on a sample of inputs and a coverage-guided engine can run for longer.

use serin_api::yaml;

/// No bytes make the reader panic, and every place it names is inside of the text.
#[test]
fn reading_yaml_survives_any_bytes() {
    bolero::check!().for_each(|bytes: &[u8]| {
        let lossy = String::from_utf8_lossy(bytes);
        let text = yaml::decode(bytes).unwrap_or(lossy);
        let stream = yaml::read(&text);
        for problem in &stream.problems {
            assert!(text.get(problem.span.start.offset..problem.span.end.offset).is_some());
        }
        for document in &stream.documents {
            document.root.to_json();
        }
    });
}
