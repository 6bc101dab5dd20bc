use super::*;
use crate::Catalog;

fn record(node: &Node) -> &Struct {
    match node {
        Node::Struct(record) => record,
        other => panic!("{other:?} is no record"),
    }
}

#[test]
fn every_builtin_resource_has_a_shape() {
    for resource in Catalog::builtin().resources() {
        let shape = record(resource.schema());
        assert_eq!(shape.name, resource.kind);
        assert!(shape.fields.contains_key("metadata"), "{}", resource.kind);
    }
}

#[test]
fn facts_of_the_tables_reach_the_shapes() {
    let deployment = builtin::of_kind("apps", "v1", "Deployment");
    let pod = deployment.field("spec").field("template").field("spec");
    let containers = &record(pod).fields["containers"];
    assert_eq!(containers.merge.list_key, Some("name"));
    assert!(containers.required);
    let Node::List(list) = containers.node() else { panic!() };
    assert_eq!(list.kind, ListKind::Map(vec!["name".to_owned()]));
    let container = record(list.items());
    assert_eq!(container.name, "Container");
    assert!(container.fields["resources"].always);
    assert!(matches!(record(pod).fields["nodeSelector"].node(), Node::Map(map) if map.atomic));
    let spec = record(deployment.field("spec"));
    assert!(record(spec.fields["selector"].node()).atomic);
    assert!(spec.fields["replicas"].keeps_zero && !spec.fields["minReadySeconds"].keeps_zero);
    let ports = container.fields["ports"].node().element();
    assert_eq!(ports.default_of("protocol"), Some(&serde_json::json!("TCP")));
}

#[test]
fn tables_name_only_what_exists() {
    let definitions = builtin::definitions();
    let missing: Vec<_> = tables::names()
        .filter(|(kind, field)| {
            !definitions.iter().any(|(name, it)| {
                name.ends_with(&format!(".{kind}"))
                    && it.get("properties").is_some_and(|it| it.get(field).is_some())
            })
        })
        .collect();
    assert_eq!(missing, []);
}
