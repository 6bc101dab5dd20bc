//! scratch
use serin_api::load::*;
fn show(file: &str, text: &str) {
    let l = load(file, text, "default");
    println!("== {file}: {} objects, {} refused", l.objects.len(), l.refused.len());
    for f in &l.findings {
        if f.severity == serin_api::Severity::Info && std::env::var("INFO").is_err() { continue; }
        let loc = f.location.as_ref().unwrap();
        let s = loc.span;
        println!("  {:?} {} {}:{}-{}:{} [{}] {} | {} | help: {}", f.severity, f.code, s.start.line, s.start.column, s.end.line, s.end.column, f.object.as_ref().map(|o| o.to_string()).unwrap_or_default(), f.field, f.message, f.help.as_deref().unwrap_or("-"));
    }
}
fn dir(p: &std::path::Path) {
    let mut es: Vec<_> = std::fs::read_dir(p).unwrap().map(|e| e.unwrap().path()).collect(); es.sort();
    for e in es { if e.is_dir() { dir(&e) } else if e.extension().is_some_and(|x| x == "yaml") { show(&e.display().to_string(), &std::fs::read_to_string(&e).unwrap()) } }
}
#[test]
fn run() {
    for p in std::env::var("PATHS").unwrap().split(':') {
        let p = std::path::Path::new(p);
        if p.is_dir() { dir(p) } else { show(&p.display().to_string(), &std::fs::read_to_string(p).unwrap()) }
    }
}
