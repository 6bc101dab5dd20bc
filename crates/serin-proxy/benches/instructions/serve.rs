//! The process that is measured: a proxy with the rules of a manifest, which serves until its input ends.

use std::io::{BufRead, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serin_api::load::Loader;
use serin_proxy::{Pem, Proxy, Settings};
use serin_routing::Model;
use serin_routing::model::{CertificateSource, PathMatch, Route, RouteTable, VirtualHost};
use serin_translate::{ProxyKind, Snapshot, Translator};

/// The argument that asks for it.
pub(crate) const COMMAND: &str = "serve";
/// The function before which callgrind writes down what it has counted.
pub(crate) const MARK: &str = "*counted_until_here*";
/// The file with the authority's certificate, in the folder that the environment names.
pub(crate) const AUTHORITY: &str = "ca.crt";

/// Serves. The first line of its output is the ports; each line of its input is answered after a mark.
pub(crate) fn run(rules: &str, [one, two, grpc]: [&str; 3]) -> anyhow::Result<()> {
    let text = include_str!("rules.yaml")
        .replace("PORT_ONE", one)
        .replace("PORT_TWO", two)
        .replace("PORT_GRPC", grpc);
    let model = with_rules(model(&text)?, rules.parse()?);
    let settings = Settings {
        wildcard_address: Ipv4Addr::LOCALHOST.into(),
        ports: [(80, 0), (443, 0)].into(),
        // How many requests it makes a difference for is a matter of time.
        sample_every: Duration::from_secs(3600),
        ..Settings::default()
    };
    let mut proxy = Proxy::start(settings)?;
    let source = CertificateSource::Secret { namespace: "default".into(), name: "web".into() };
    proxy.certificates().set(source, Some(certificate()?));
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let published = runtime.block_on(proxy.publish(model));
    ensure!(published.failed.is_empty(), "{:?}", published.failed);
    let port = |name| published.listening.get(name).map(|it| it.port()).context("no listener");
    println!("{} {}", port("0.0.0.0_80")?, port("0.0.0.0_443")?);
    for line in std::io::stdin().lock().lines() {
        line?;
        counted_until_here();
        println!("counted");
        std::io::stdout().flush()?;
    }
    Ok(())
}

#[inline(never)]
fn counted_until_here() {
    std::hint::black_box(());
}

fn model(text: &str) -> anyhow::Result<Model> {
    let mut loader = Loader::new("default");
    loader.add("rules.yaml", text);
    let loaded = loader.finish();
    ensure!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    let objects = loaded.objects.into_iter().map(|it| it.object);
    let settings = serin_translate::Settings::default();
    let snapshot = Arc::new(Snapshot::new(objects.collect(), settings));
    let labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
    let gateway = serin_translate::Proxy::new(ProxyKind::Gateway, "default", labels);
    Ok(Translator::new(gateway).translate(&snapshot).model)
}

/// Puts rules that no request matches before those that there are, until there are so many.
fn with_rules(mut model: Model, count: usize) -> Model {
    let table = |table: &Arc<RouteTable>| {
        let mut table = RouteTable::clone(table);
        for host in &mut table.virtual_hosts {
            let mut with_more = VirtualHost::clone(host);
            let Some(pattern) = with_more.routes.last().cloned() else { continue };
            let missing = count.saturating_sub(with_more.routes.len());
            let more = (0..missing).map(|number| {
                let mut route = Route::clone(&pattern);
                route.condition.path = PathMatch::Prefix(format!("/other/{number}/").into());
                Arc::new(route)
            });
            with_more.routes.splice(0..0, more);
            *host = Arc::new(with_more);
        }
        Arc::new(table)
    };
    for it in model.route_tables.values_mut() {
        *it = table(it);
    }
    model
}

/// A certificate by a new authority, whose own is written into the folder.
fn certificate() -> anyhow::Result<Pem> {
    let folder = std::env::var_os("SERIN_INSTRUCTIONS_FOLDER").context("no folder")?;
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = rcgen::KeyPair::generate()?;
    std::fs::write(PathBuf::from(folder).join(AUTHORITY), params.self_signed(&key)?.pem())?;
    let issuer = rcgen::Issuer::new(params, key);
    let own = rcgen::KeyPair::generate()?;
    let params = rcgen::CertificateParams::new(vec!["bench.test".to_owned()])?;
    Ok(Pem {
        certificate: params.signed_by(&own, &issuer)?.pem().into_bytes(),
        private_key: own.serialize_pem().into_bytes(),
        authorities: Vec::new(),
    })
}
