use super::*;
use crate::testing::{cluster, cluster_with, gateway, sidecar};

/// Services `a`, `b` and `c` in the namespaces of these names, and one more in the root namespace.
const SERVICES: &str = "
kind: Service
metadata: {name: a, namespace: a}
spec: {ports: [{port: 80, name: http}, {port: 90, name: tcp}]}
---
kind: Service
metadata: {name: b, namespace: b}
spec: {ports: [{port: 80, name: http}]}
---
kind: Service
metadata: {name: c, namespace: c, annotations: {networking.istio.io/exportTo: '.'}}
spec: {ports: [{port: 80, name: http}]}
---
kind: Service
metadata: {name: root, namespace: istio-system}
spec: {ports: [{port: 80, name: http}]}
";

fn services<'a>(services: impl IntoIterator<Item = &'a Arc<Service>>) -> String {
    let of = |it: &Arc<Service>| {
        let ports: Vec<_> = it.ports.iter().map(|port| port.number.to_string()).collect();
        format!(
            "{}/{}:{}",
            it.namespace,
            it.host.trim_end_matches(".svc.cluster.local"),
            ports.join(",")
        )
    };
    services.into_iter().map(of).collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(objects: &str, proxy: &Proxy, expect: &str) {
    let scope = Scope::new(&cluster(&format!("{SERVICES}\n---\n{objects}")), proxy);
    assert_eq!(services(scope.services()), expect, "{objects}");
}

fn egress(place: &str, selector: &str, hosts: &str) -> String {
    let (namespace, name) = place.split_once('/').unwrap();
    format!(
        "\n---\nkind: Sidecar\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{{selector} egress: [{{hosts: [{hosts}]}}]}}\n"
    )
}

#[test]
fn without_a_sidecar_object_everything_visible_is_in_scope() {
    let everything = "a/a.a:80,90 b/b.b:80 istio-system/root.istio-system:80";
    check("", &sidecar("a", ""), everything);
    check("", &gateway("a", ""), everything);
    check("", &sidecar("c", ""), "c/c.c:80 a/a.a:80,90 b/b.b:80 istio-system/root.istio-system:80");
}

#[test]
fn the_sidecar_that_selects_the_workload_holds_then_the_namespaces_then_the_roots() {
    let own = egress("a/own", "", "'b/*'");
    let selecting = egress("a/z", "workloadSelector: {labels: {app: x}},", "'./*'");
    let root = egress("istio-system/root", "", "'istio-system/*'");
    let all = format!("{own}{selecting}{root}");
    check(&all, &sidecar("a", "app=x"), "a/a.a:80,90");
    check(&all, &sidecar("a", "app=y"), "b/b.b:80");
    check(&all, &sidecar("b", "app=x"), "istio-system/root.istio-system:80");
    check(
        &format!("{selecting}{root}"),
        &sidecar("a", "app=y"),
        "istio-system/root.istio-system:80",
    );
    check(
        &selecting,
        &sidecar("a", "app=y"),
        "a/a.a:80,90 b/b.b:80 istio-system/root.istio-system:80",
    );
    check(&all, &gateway("a", "app=x"), "a/a.a:80,90 b/b.b:80 istio-system/root.istio-system:80");
    let root_selecting =
        egress("istio-system/root", "workloadSelector: {labels: {app: x}},", "'~/*'");
    check(
        &root_selecting,
        &sidecar("b", "app=x"),
        "a/a.a:80,90 b/b.b:80 istio-system/root.istio-system:80",
    );
}

#[test]
fn two_sidecars_for_a_whole_namespace_are_reported() {
    let snapshot =
        cluster(&format!("{}{}", egress("a/one", "", "'b/*'"), egress("a/two", "", "'./*'")));
    let found: Vec<_> =
        snapshot.findings().map(|it| (it.code.0, it.object.clone().unwrap().name)).collect();
    assert_eq!(found, [("SRN0303", "two".to_owned())]);
}

#[test]
fn hosts_of_a_listener_cut_the_scope_down() {
    check(
        &egress("a/own", "", "'./*', 'b/b.b.svc.cluster.local'"),
        &sidecar("a", ""),
        "a/a.a:80,90 b/b.b:80",
    );
    check(&egress("a/own", "", "'*/b.b.svc.cluster.local'"), &sidecar("a", ""), "b/b.b:80");
    check(&egress("a/own", "", "'~/*'"), &sidecar("a", ""), "");
    check(&egress("a/own", "", "'c/*'"), &sidecar("a", ""), "");
    check(&egress("istio-system/root", "", "'./*'"), &sidecar("b", ""), "b/b.b:80");
}

#[test]
fn a_listener_with_a_port_imports_services_with_that_port_only() {
    let sidecars = "kind: Sidecar\nmetadata: {name: own, namespace: a}\nspec: {egress: [\
         {port: {number: 90, protocol: TCP, name: tcp}, hosts: ['*/*']}, \
         {port: {number: 3128, protocol: HTTP_PROXY, name: proxy}, bind: 127.0.0.1, hosts: ['istio-system/*']}, \
         {hosts: ['b/*']}]}";
    check(sidecars, &sidecar("a", ""), "a/a.a:90 istio-system/root.istio-system:80 b/b.b:80");
    let scope = Scope::new(&cluster(&format!("{SERVICES}\n---\n{sidecars}")), &sidecar("a", ""));
    let of = |port| services(scope.egress_for(port, "").unwrap().services());
    assert_eq!(of(90), "a/a.a:90");
    assert_eq!(of(3128), "istio-system/root.istio-system:80");
    assert_eq!(of(80), "b/b.b:80");
}

fn rules(place: &str, host: &str, destination: &str) -> String {
    let (namespace, name) = place.split_once('/').unwrap();
    format!(
        "\n---\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
         spec: {{hosts: ['{host}'], http: [{{route: [{{destination: {{{destination}}}}}]}}]}}\n"
    )
}

#[test]
fn destinations_of_imported_rules_come_into_scope() {
    let own = egress("b/own", "", "'b/*'");
    let to = |destination: &str| format!("{own}{}", rules("b/rules", "b", destination));
    check(&to("host: a.a.svc.cluster.local"), &sidecar("b", ""), "b/b.b:80 a/a.a:80,90");
    check(
        &to("host: a.a.svc.cluster.local, port: {number: 90}"),
        &sidecar("b", ""),
        "b/b.b:80 a/a.a:90",
    );
    check(&to("host: a.a.svc.cluster.local, port: {number: 91}"), &sidecar("b", ""), "b/b.b:80");
    // Not visible, so not reached.
    check(&to("host: c.c.svc.cluster.local"), &sidecar("b", ""), "b/b.b:80");
    // Rules of a namespace that is not imported bring nothing.
    let foreign = format!("{own}{}", rules("a/rules", "x.com", "host: a"));
    check(&foreign, &sidecar("b", ""), "b/b.b:80");
}

#[test]
fn t_wildcard_a_service_has_the_rules_of_the_most_specific_host_then_the_oldest() {
    let objects = [
        rules("b/z", "*.b.svc.cluster.local", "host: z"),
        rules("b/x", "b.b.svc.cluster.local", "host: x"),
        rules("b/xx", "b.b.svc.cluster.local", "host: xx"),
        rules("a/w", "*", "host: w").replace("http:", "exportTo: ['.'], http:"),
    ];
    let scope = Scope::new(&cluster(&format!("{SERVICES}{}", objects.concat())), &sidecar("b", ""));
    let of = |host: &str| {
        let rules = scope.egress[0].virtual_service_of(&Host::new(host));
        rules.map(|it| it.object.meta.name.clone())
    };
    assert_eq!(of("b.b.svc.cluster.local").as_deref(), Some("x"));
    assert_eq!(of("other.b.svc.cluster.local").as_deref(), Some("z"));
    assert_eq!(of("a.a.svc.cluster.local"), None);
    assert_eq!(scope.egress[0].virtual_services().len(), 3);
}

const ENTRY: &str = "
kind: ServiceEntry
metadata: {name: NAME, namespace: NAMESPACE, creationTimestamp: '2024-01-01T00:00:00Z'}
spec: {hosts: [HOST], ports: [{number: PORT, name: http, protocol: HTTP}], resolution: DNS}
";

fn entry(place: &str, host: &str, port: &str) -> String {
    let (namespace, name) = place.split_once('/').unwrap();
    let text = ENTRY.replace("NAMESPACE", namespace).replace("NAME", name);
    format!("\n---\n{}", text.replace("HOST", host).replace("PORT", port))
}

#[test]
fn of_several_services_of_a_host_the_oldest_holds_but_a_kubernetes_service_goes_first() {
    let check = |objects: &[String], namespace: &str, expect: &str| {
        let objects: String = objects.concat();
        let scope = Scope::new(&cluster(&objects), &sidecar(namespace, ""));
        assert_eq!(services(scope.services()), expect, "{objects}");
    };
    let x = || entry("x/one", "example.com", "80");
    let other = || entry("xx/one", "example.com", "81");
    check(&[other(), x()], "z", "x/example.com:80");
    // Without a Sidecar object the own namespace has no precedence: both are public, the first by name holds.
    check(&[other(), x()], "xx", "x/example.com:80");
    check(&[other(), x(), egress("xx/own", "", "'*/*'")], "xx", "xx/example.com:81");
    // Two in one namespace put their ports together.
    check(&[x(), entry("x/two", "example.com", "82")], "z", "x/example.com:80,82");
    let service = "\n---\nkind: Service\nmetadata: {name: s, namespace: s, creationTimestamp: '2025-01-01T00:00:00Z'}\n\
         spec: {ports: [{port: 80}]}\n";
    let squatter = entry("x/one", "s.s.svc.cluster.local", "99");
    check(&[squatter, service.to_owned()], "z", "s/s.s:80");
}

#[test]
fn unknown_destinations_are_let_through_unless_the_mesh_or_the_sidecar_says_no() {
    let check = |mesh: OutboundTrafficPolicyMode,
                 sidecars: &str,
                 expect: OutboundTrafficPolicyMode| {
        let text = format!("{SERVICES}{sidecars}");
        let snapshot = cluster_with(&text, |config| config.outbound_traffic_policy.mode = mesh);
        assert_eq!(Scope::new(&snapshot, &sidecar("a", "")).outbound, expect, "{mesh} {sidecars}");
    };
    use OutboundTrafficPolicyMode::{AllowAny, RegistryOnly};
    let with = |policy: &str| {
        format!("\n---\nkind: Sidecar\nmetadata: {{name: a, namespace: a}}\nspec: {{{policy}}}\n")
    };
    check(AllowAny, "", AllowAny);
    check(RegistryOnly, "", RegistryOnly);
    check(AllowAny, &with("outboundTrafficPolicy: {mode: REGISTRY_ONLY}"), RegistryOnly);
    check(RegistryOnly, &with("outboundTrafficPolicy: {mode: ALLOW_ANY}"), AllowAny);
    check(RegistryOnly, &with(""), RegistryOnly);
}
