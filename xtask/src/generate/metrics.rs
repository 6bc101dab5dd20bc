//! The reference of metrics.

use serin_telemetry::catalogue::{self, Entry};

/// A table for each group.
pub(super) fn reference() -> String {
    let groups = [
        ("Requests and connections", catalogue::OF_TRAFFIC),
        ("Proxies", catalogue::OF_PROXIES),
        ("Releases", catalogue::OF_RELEASES),
    ];
    let mut text = String::new();
    for (title, entries) in groups {
        text.push_str(&format!(
            "\n## {title}\n\n| metric | kind | labels | what it says |\n|---|---|---|---|\n"
        ));
        entries.iter().for_each(|entry| text.push_str(&row(entry)));
    }
    text.push('\n');
    text
}

fn row(Entry { name, kind, labels, help }: &Entry) -> String {
    let labels = match labels {
        [] => String::new(),
        labels => format!("`{}`", labels.join("`, `")),
    };
    format!("| `{name}` | {} | {labels} | {help} |\n", kind.name())
}
