use serin_api::load;
use serin_routing::model::WorkloadIdentity;
use serin_translate::{Objects, Settings};

use super::*;

fn snapshot(mesh: &str) -> Arc<Snapshot> {
    let mesh = load::mesh("istio", mesh).config.unwrap();
    let settings = Settings { mesh: Arc::new(mesh), ..Settings::default() };
    Arc::new(Snapshot::new(Objects::default(), settings))
}

fn workload(role: Role) -> Workload {
    let identity = WorkloadIdentity {
        workload: "shop".into(),
        pod: "shop-1".into(),
        namespace: "trade".into(),
        labels: [("app".into(), "till".into())].into_iter().collect(),
        ..WorkloadIdentity::default()
    };
    Workload { role, identity: Arc::new(identity), addresses: Vec::new(), sockets: Vec::new() }
}

fn told(folder: &Path) -> Told {
    Told::new(folder.join("logs"), Arc::new(|authority| TcpStream::connect(authority)))
}

#[test]
fn a_proxy_logs_to_a_file_of_its_own_as_long_as_the_mesh_asks_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = told(folder.path());
    let is_logged = |told: &mut Told, role| told.of("key", &workload(role)).0.is_some();
    assert!(told.follow(&snapshot("{}")));
    assert!(!is_logged(&mut told, Role::Sidecar));
    let asks = snapshot("accessLogFile: /dev/stdout");
    assert!(told.follow(&asks) && !told.follow(&asks));
    assert!(!is_logged(&mut told, Role::Plain), "it is not in the mesh");
    let first = told.of("key", &workload(Role::Sidecar)).0.unwrap();
    let again = told.of("key", &workload(Role::Sidecar)).0.unwrap();
    assert!(Arc::ptr_eq(&first, &again));
    assert!(folder.path().join("logs/trade_shop-1.log").exists());
    told.follow(&snapshot("{}"));
    assert!(!is_logged(&mut told, Role::Sidecar));
}

#[test]
fn traces_go_where_the_provider_says_and_only_in_the_form_that_is_spoken() {
    let check = |provider: &str, expect: Result<&str, &str>| {
        let mesh = snapshot(&format!("extensionProviders: [{{name: mine, {provider}}}]"));
        let found = collector(&mesh, "mine").map(|(url, _)| url);
        assert_eq!(found.as_deref(), expect.as_ref().copied(), "{provider}");
    };
    let otel = "service: watch/otel.watch.svc.cluster.local, port: 4318";
    check(
        &format!("opentelemetry: {{{otel}, http: {{path: /in}}}}"),
        Ok("http://otel.watch.svc.cluster.local:4318/in"),
    );
    check(
        &format!("opentelemetry: {{{otel}}}"),
        Err("spans are sent by HTTP only: set `opentelemetry.http`"),
    );
    check(
        &format!("zipkin: {{{otel}}}"),
        Err("spans are sent in OpenTelemetry's form only: set `opentelemetry`"),
    );
}

#[test]
fn a_proxy_is_traced_by_the_default_provider() {
    let folder = tempfile::tempdir().unwrap();
    let mut told = told(folder.path());
    told.follow(&snapshot(
        "{defaultProviders: {tracing: [mine]}, extensionProviders: [{name: mine, \
         opentelemetry: {service: otel, port: 4318, http: {path: /v1/traces}}}]}",
    ));
    let traced = told.of("key", &workload(Role::Sidecar)).1.unwrap();
    assert!((traced.share - 0.01).abs() < 1e-9);
    assert!(told.of("key", &workload(Role::Plain)).1.is_none());
}

#[test]
fn a_destination_rule_says_how_a_collector_is_spoken_to() {
    let check = |tls: &str, expect: Result<(&str, Option<&str>), &str>| {
        let mesh = "extensionProviders: [{name: mine, opentelemetry: {service: \
                    otel.watch.svc.cluster.local, port: 4318, http: {path: /in}}}]";
        let mesh = load::mesh("istio", mesh).config.unwrap();
        let rule = format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
             metadata: {{name: otel, namespace: watch}}\n\
             spec: {{host: otel, trafficPolicy: {{{tls}}}}}\n"
        );
        let loaded = load::load("rule.yaml", &rule, "default");
        assert!(loaded.findings.is_empty(), "{tls}: {:?}", loaded.findings);
        let settings = Settings { mesh: Arc::new(mesh), ..Settings::default() };
        let objects = loaded.objects.into_iter().map(|it| it.object).collect();
        let found = collector(&Snapshot::new(objects, settings), "mine");
        let found = found.as_ref().map(|(url, trust)| {
            (url.split("://").next().unwrap(), trust.authorities.as_deref().and_then(Path::to_str))
        });
        assert_eq!(found, expect.as_ref().copied(), "{tls}");
    };
    check("tls: {mode: SIMPLE}", Ok(("https", None)));
    check("tls: {mode: SIMPLE, caCertificates: /ca.pem}", Ok(("https", Some("/ca.pem"))));
    check("tls: {mode: DISABLE}", Ok(("http", None)));
    check("tls: {mode: ISTIO_MUTUAL}", Ok(("http", None)));
    check(
        "tls: {mode: SIMPLE}, portLevelSettings: [{port: {number: 4318}, loadBalancer: {simple: RANDOM}}]",
        Ok(("http", None)),
    );
    check("portLevelSettings: [{port: {number: 4318}, tls: {mode: SIMPLE}}]", Ok(("https", None)));
    check(
        "tls: {mode: SIMPLE, insecureSkipVerify: true}",
        Err("collectors are spoken to by TLS only if their certificate is verified"),
    );
}
