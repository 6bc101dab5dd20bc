//! What becomes of texts: objects, refusals, findings and places.

use super::*;
use crate::Code;

/// Each finding as `code line:column object field: message | help`.
fn told(text: &str) -> Vec<String> {
    let show = |finding: &Finding| {
        let start =
            finding.location.as_ref().expect("every finding of a text has a place").span.start;
        let object = finding.object.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let mut line = format!("{} {}:{} {object}", finding.code, start.line, start.column);
        if !finding.field.is_root() {
            line.push_str(&format!(" {}", finding.field));
        }
        line.push_str(&format!(": {}", finding.message));
        if let Some(help) = &finding.help {
            line.push_str(&format!(" | {help}"));
        }
        line
    };
    load("a.yaml", text, "default").findings.iter().map(show).collect()
}

#[track_caller]
fn tells(text: &str, expect: &[&str]) {
    assert_eq!(told(text), expect, "{text}");
}

fn names(objects: &[LoadedObject]) -> Vec<String> {
    objects.iter().map(|loaded| loaded.object.reference().to_string()).collect()
}

fn service(name: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec:\n  ports:\n  - port: 80\n"
    )
}

/// A VirtualService whose spec is `spec`, which begins on line 6.
fn routes(spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: v\nspec:\n{spec}"
    )
}

const SOUND: &str = "  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n";

#[test]
fn good_objects_are_kept_beside_bad_ones() {
    let text = [
        service("a").as_str(),
        &routes(SOUND),
        &routes("  hosts: b\n").replace("name: v", "name: w"),
        "kind: [",
        "# nothing",
        &service("c"),
    ]
    .join("\n---\n");
    let loaded = load("a.yaml", &text, "default");
    assert_eq!(
        names(&loaded.objects),
        ["Service default/a", "VirtualService default/v", "Service default/c"]
    );
    assert_eq!(loaded.refused.len(), 1);
    let AnyObject::VirtualService(routes) = &loaded.objects[1].object else {
        panic!("order is kept")
    };
    assert_eq!(routes.spec.hosts, ["a"]);
    let codes: Vec<Code> = loaded.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [codes::SCHEMA_TYPE, codes::UNCLOSED_BRACKET]);
}

#[test]
fn wrong_values_are_told_in_the_words_of_kubernetes_with_advice() {
    tells(
        &routes("  hosts: reviews\n"),
        &[
            "SRN0100 6:10 VirtualService default/v spec.hosts: Invalid value: \"string\": spec.hosts in body must be of type \
         array: \"string\" | `hosts` is a list: write `[reviews]`, or `- reviews` on a line below",
        ],
    );
    tells(
        &routes("  hosts: [a]\n  http:\n  - route:\n    - destination:\n        host:a\n"),
        &[
            "SRN0100 10:9 VirtualService default/v spec.http[0].route[0].destination: Invalid value: \"string\": \
         spec.http[0].route[0].destination in body must be of type object: \"string\" | the colon needs a space: write \
         `host: a`",
        ],
    );
    tells(
        &routes(&format!("{SOUND}    timeout: 5\n")),
        &[
            "SRN0100 10:14 VirtualService default/v spec.http[0].timeout: Invalid value: \"integer\": spec.http[0].timeout in \
         body must be of type string: \"integer\" | put the value in quotes to make it a text",
        ],
    );
    tells(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\nspec:\n  mtls:\n    mode: STRIKT\n",
        &[
            "SRN0102 6:11 PeerAuthentication default/p spec.mtls.mode: Unsupported value: \"STRIKT\": supported values: \
           \"UNSET\", \"DISABLE\", \"PERMISSIVE\", \"STRICT\" | did you mean `STRICT`?",
        ],
    );
    tells(
        "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s}\nspec:\n  ports: []\n",
        &[
            "SRN0101 4:1 ServiceEntry default/s spec.hosts: Required value | add `hosts` below `spec`",
        ],
    );
}

#[test]
fn a_value_of_a_wrong_type_hides_no_other_mistake() {
    let text = routes(
        "  hosts: [reviews]\n  http:\n  - timeout: 5\n    retries: {attempts: -1}\n    route:\n    - destination: {host: reviews}\n",
    );
    let fields: Vec<String> = load("a.yaml", &text, "default")
        .findings
        .iter()
        .map(|finding| finding.field.to_string())
        .collect();
    assert_eq!(fields, ["spec.http[0].timeout", "spec.http[0].retries.attempts"]);
    assert_eq!(load("a.yaml", &text, "default").refused.len(), 1);
}

#[test]
fn unknown_fields_are_told_with_what_was_meant() {
    tells(
        &routes(&SOUND.replace("hosts", "host")),
        &[
            "SRN0108 6:3 VirtualService default/v spec.host: unknown field \"spec.host\" | did you mean `hosts`?",
        ],
    );
    tells(
        &routes("  hosts: [a]\n  http:\n  - route:\n    - destination:\n      host: a\n"),
        &[
            "SRN0100 9:7 VirtualService default/v spec.http[0].route[0].destination: Invalid value: \"null\": \
         spec.http[0].route[0].destination in body must be of type object: \"null\" | give `destination` a value, or \
         remove it",
            "SRN0108 10:7 VirtualService default/v spec.http[0].route[0].host: unknown field \
         \"spec.http[0].route[0].host\" | `host` is a field of `destination`: indent it so that it stands below \
         `destination`",
        ],
    );
    tells(
        &routes(&SOUND.replace("{host: a}", "{host: a, retries: {attempts: 1}}")),
        &[
            "SRN0108 9:30 VirtualService default/v spec.http[0].route[0].destination.retries: unknown field \
         \"spec.http[0].route[0].destination.retries\" | `retries` is a field of `spec.http[0]`: move it there",
        ],
    );
    tells(
        &service("a").replace("name: a", "name: a\n  lables: {}"),
        &[
            "SRN0108 5:3 Service default/a metadata.lables: unknown field \"metadata.lables\" | did you mean `labels`?",
        ],
    );
    // Of Kubernetes' own kinds not all fields are known here.
    tells(&service("a").replace("ports:", "healthCheckNodePort: 1\n  ports:"), &[]);
}

#[test]
fn rules_of_schemas_and_of_admission_are_told() {
    let text = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: p}\nspec:\n  portLevelMtls:\n    80: {mode: STRICT}\n";
    tells(
        text,
        &[
            "SRN0107 4:1 PeerAuthentication default/p spec: Invalid value: \"object\": portLevelMtls requires selector",
        ],
    );
    let found = told(&routes(
        "  hosts: [a]\n  http:\n  - route:\n    - destination: {host: a}\n      weight: -1\n",
    ));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0]
            .starts_with("IST0106 10:15 VirtualService default/v spec.http[0].route[0].weight: "),
        "{found:?}"
    );
}

#[test]
fn what_is_no_object_is_told() {
    tells(
        "- a\n",
        &[
            "SRN0020 1:3 -: this document is a list, not a Kubernetes object | an object is a mapping with apiVersion, kind \
         and metadata",
        ],
    );
    tells(
        "apiversion: v1\nkind: Service\n",
        &["SRN0021 1:1 -: the object has no apiVersion | `apiversion` is written `apiVersion`"],
    );
    tells(
        "a: 1\n",
        &[
            "SRN0021 1:1 -: the object has neither apiVersion nor kind | every object begins with its apiVersion and kind; a \
         file that is no manifest can be left out",
        ],
    );
}

#[test]
fn unknown_kinds_are_left_alone_unless_they_are_misspelt() {
    tells(
        "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\n",
        &[
            "SRN0023 2:7 Thing t kind: Thing (example.com/v1) is not a kind that Serin acts on; it is left alone",
        ],
    );
    let text = routes(SOUND);
    tells(
        &text.replace("VirtualService", "VirtualServices"),
        &[
            "SRN0023 2:7 VirtualServices v kind: there is no kind VirtualServices in networking.istio.io/v1 | did you mean \
         `kind: VirtualService`?",
        ],
    );
    tells(
        &text.replace("networking.istio", "network.istio"),
        &[
            "SRN0023 2:7 VirtualService v kind: there is no kind VirtualService in network.istio.io/v1 | did you mean \
         `apiVersion: networking.istio.io/v1`?",
        ],
    );
    tells(
        &text.replace("io/v1", "io/v2"),
        &[
            "SRN0024 1:13 VirtualService default/v apiVersion: VirtualService is not served in version v2 | write \
         `apiVersion: networking.istio.io/v1`",
        ],
    );
}

#[test]
fn kinds_that_only_envoy_executes_are_refused_loudly() {
    for kind in
        ["networking.istio.io/v1alpha3/EnvoyFilter", "extensions.istio.io/v1alpha1/WasmPlugin"]
    {
        let (api_version, kind) = kind.rsplit_once('/').unwrap();
        let text = format!(
            "apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: f}}\nspec:\n  url: oci://x\n"
        );
        let loaded = load("a.yaml", &text, "");
        assert_eq!(
            (loaded.objects.len(), loaded.findings[0].code),
            (0, codes::ENVOY_ONLY),
            "{kind}"
        );
        assert_eq!(loaded.findings[0].severity, Severity::Error);
    }
}

#[test]
fn names_and_labels_follow_the_rules_of_kubernetes() {
    for (text, place) in [
        (service("Bad_Name"), "4:9 Service default/Bad_Name metadata.name"),
        (service("a.b"), "4:9 Service default/a.b metadata.name"),
        (
            service("a").replace("  name", "  namespace: B\n  name"),
            "4:14 Service B/a metadata.namespace",
        ),
        (
            service("a").replace("  name", "  labels: {k: v/w}\n  name"),
            "4:15 Service default/a metadata.labels.k",
        ),
        (
            service("a").replace("  name", "  labels: {k/: v}\n  name"),
            "4:16 Service default/a metadata.labels[k/]",
        ),
        (
            service("a").replace("name: a", "x: a").replace("  x", "  labels: {}\n  x"),
            "3:1 Service default/ metadata.name",
        ),
    ] {
        let found = told(&text);
        assert!(
            found.iter().any(|line| line.starts_with(&format!("SRN0022 {place}: "))),
            "{found:?}"
        );
    }
    assert_eq!(
        told(&service("a").replace("  name: a", "  generateName: a-")),
        Vec::<String>::new()
    );
    assert_eq!(
        told(&service("a").replace("  name", "  labels: {app.kubernetes.io/name: A_1.x}\n  name")),
        Vec::<String>::new()
    );
}

#[test]
fn objects_get_the_default_namespace_if_their_kind_has_namespaces() {
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: ns, namespace: ignored}\n";
    let text = format!("{}---\n{namespace}", service("a"));
    for (default, expect) in
        [("x", ["Service x/a", "Namespace ns"]), ("", ["Service a", "Namespace ns"])]
    {
        let loaded = load("a.yaml", &text, default);
        assert_eq!(loaded.findings, []);
        assert_eq!(names(&loaded.objects), expect);
    }
}

#[test]
fn lists_are_unwrapped_with_their_places() {
    let item = "  - metadata: {name: a}\n    spec:\n      ports: x\n";
    let text = format!("apiVersion: v1\nkind: ServiceList\nitems:\n{item}");
    tells(
        &text,
        &[
            "SRN0100 6:14 Service default/a spec.ports: Invalid value: \"string\": spec.ports in body must be of type array: \
         \"string\" | `ports` is a list: write `[x]`, or `- x` on a line below",
        ],
    );
    let json = r#"{"kind":"List","apiVersion":"v1","items":[
        {"apiVersion":"v1","kind":"Service","metadata":{"name":"a"},"spec":{"ports":[{"port":1}]}},
        {"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"}}]}]}"#;
    let loaded = load("a.json", json, "default");
    assert_eq!(names(&loaded.objects), ["Service default/a", "Namespace n"]);
    assert_eq!(loaded.findings, []);
}

#[test]
fn the_later_of_two_objects_of_one_name_wins() {
    let mut loader = Loader::new("default");
    loader.add("a.yaml", &service("a"));
    loader.add("b.yaml", &service("a").replace("80", "81"));
    let loaded = loader.finish();
    assert_eq!(loaded.objects.len(), 1);
    let AnyObject::Service(service) = &loaded.objects[0].object else { panic!("a Service") };
    assert_eq!(service.spec.ports[0].port, 81);
    let [finding] = &loaded.findings[..] else { panic!("one finding") };
    assert_eq!(
        (finding.code, finding.severity, finding.message.as_str()),
        (
            codes::DUPLICATE_OBJECT,
            Severity::Warning,
            "Service default/a is given twice; this one takes the place of the one at a.yaml:4"
        )
    );
    assert_eq!(&*finding.location.as_ref().unwrap().file, "b.yaml");
}

#[test]
fn the_same_object_twice_is_no_mistake() {
    let mut loader = Loader::new("default");
    loader.add("a.yaml", &service("a"));
    loader.add("b.yaml", &format!("# the same\n{}", service("a")));
    let loaded = loader.finish();
    assert_eq!((loaded.objects.len(), loaded.findings.len(), loaded.steps()), (1, 0, 1));
    let object = loaded.objects[0].object.reference();
    assert_eq!(&*loaded.place(&object, &FieldPath::root()).unwrap().file, "b.yaml");
}

#[test]
fn versions_of_an_object_are_steps_with_places_of_their_own() {
    let mut loader = Loader::new("default");
    loader.add("1.yaml", &service("a"));
    loader.add("2.yaml", &service("a").replace("80", "81"));
    loader.add("3.yaml", &service("a").replace("80", "{}"));
    loader.add("other.yaml", &service("b"));
    let loaded = loader.finish();
    let step = |step: usize| {
        let loaded = loaded.step(step);
        let reference = names(&loaded.objects).join(", ");
        let object = loaded.readable().next().unwrap().reference();
        let place = loaded.place(&object, &FieldPath::root()).unwrap();
        (reference, loaded.refused.len(), place.file.to_string())
    };
    assert_eq!(loaded.steps(), 3);
    assert_eq!(
        step(0),
        ("Service default/a, Service default/b".to_owned(), 0, "1.yaml".to_owned())
    );
    assert_eq!(
        step(1),
        ("Service default/a, Service default/b".to_owned(), 0, "2.yaml".to_owned())
    );
    assert_eq!(names(&loaded.step(2).objects), ["Service default/b"]);
}

#[test]
fn fields_of_objects_are_found_again() {
    let text = format!("{}---\n{}", service("x"), routes(SOUND));
    let loaded = load("a.yaml", &text, "default");
    let object = loaded.objects[1].object.reference();
    let slice = |location: Location| &text[location.span.start.offset..location.span.end.offset];
    let host =
        FieldPath::spec().key("http").index(0).key("route").index(0).keys("destination.host");
    let (key, value) = loaded.locate(&object, &host).unwrap();
    assert_eq!((slice(key), slice(value)), ("host", "a"));
    assert_eq!(slice(loaded.place(&object, &host).unwrap()), "a");
    let rule = FieldPath::spec().key("http").index(0);
    assert_eq!(slice(loaded.place(&object, &rule).unwrap()), "route");
    assert_eq!(slice(loaded.place(&object, &rule.key("timeout")).unwrap()), "route");
    // All versions of a kind are one object.
    let other =
        ObjectRef { api_version: "networking.istio.io/v1beta1".to_owned(), ..object.clone() };
    assert!(loaded.place(&other, &host).is_some());
    assert_eq!(loaded.place(&ObjectRef { name: "none".to_owned(), ..object }, &host), None);
}

#[test]
fn mended_documents_are_refused_but_read() {
    let text =
        routes("  hosts:\n    - a\n     - b\n  http:\n  - route:\n    - destination: {host: a}\n");
    let loaded = load("a.yaml", &text, "default");
    assert_eq!((loaded.objects.len(), loaded.refused.len()), (0, 1));
    assert_eq!(loaded.readable().count(), 1);
}

#[test]
fn defaults_of_schemas_are_filled_in() {
    let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  rules:\n  - backendRefs:\n    - {name: a, port: 80}\n";
    let loaded = load("a.yaml", text, "default");
    assert_eq!(loaded.findings, []);
    let AnyObject::HttpRoute(route) = &loaded.objects[0].object else { panic!("an HTTPRoute") };
    assert_eq!(route.spec.rules.as_ref().unwrap()[0].backend_refs[0].weight, Some(1));
    assert_eq!(route.spec.rules.as_ref().unwrap()[0].matches.len(), 1);
}

#[test]
fn mesh_settings_are_read_from_all_their_forms() {
    let plain = "outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\n";
    let indented = |spaces: usize| {
        plain.lines().map(|line| format!("{}{line}\n", " ".repeat(spaces))).collect::<String>()
    };
    let forms = [
        plain.to_owned(),
        format!("apiVersion: v1\nkind: ConfigMap\ndata:\n  mesh: |\n{}", indented(4)),
        format!("kind: IstioOperator\nspec:\n  meshConfig:\n{}", indented(4)),
        format!("meshConfig:\n{}", indented(2)),
    ];
    for form in forms {
        let read = mesh("mesh.yaml", &form);
        assert_eq!(read.findings, [], "{form}");
        let mode = read.config.unwrap().outbound_traffic_policy.mode;
        assert_eq!(mode, crate::networking::OutboundTrafficPolicyMode::RegistryOnly);
    }
    let networks =
        mesh("n.yaml", "networks:\n  n1:\n    endpoints: [{fromRegistry: c1}]\n").networks.unwrap();
    assert_eq!(networks.networks.len(), 1);
    let wrong = mesh("mesh.yaml", "accessLogFile: x\nenableTracing: maybe\n");
    assert!(wrong.config.is_none());
    let place = wrong.findings[0].location.as_ref().unwrap().span.start;
    assert_eq!((wrong.findings[0].code, place.line, place.column), (codes::UNDECODABLE, 2, 16));
}
