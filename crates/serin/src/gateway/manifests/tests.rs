use super::*;

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder =
            std::env::temp_dir().join(format!("serin-gateway-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn route(name: &str, path: &str) -> String {
    format!(
        "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}}}
spec:
  hosts: [{name}.example]
  http:
  - match: [{{uri: {{prefix: {path}}}}}]
    route: [{{destination: {{host: web}}}}]
"
    )
}

fn manifests(folder: &Folder) -> Manifests {
    let mut manifests = Manifests::new(vec![folder.0.clone()], None, "default");
    manifests.read_first().unwrap();
    manifests
}

/// The rules: whose, and the path that they ask for.
fn rules(manifests: &Manifests) -> Vec<String> {
    let rule = |object: AnyObject| match object {
        AnyObject::VirtualService(it) => {
            let text = format!("{:?}", it.spec);
            let path = text.split("\"/").nth(1)?.split('"').next()?.to_owned();
            Some(format!("{} /{path}", it.meta.name))
        }
        _ => None,
    };
    manifests.objects().into_iter().filter_map(rule).collect()
}

#[test]
fn an_object_that_becomes_wrong_stays_as_it_was_and_others_change() {
    let folder = Folder::new("wrong");
    folder.write("routes.yaml", &format!("{}---\n{}", route("a", "/1"), route("b", "/1")));
    let mut manifests = manifests(&folder);
    assert_eq!(rules(&manifests), ["a /1", "b /1"]);
    let wrong = route("a", "/2").replace("host: web", "hots: web");
    folder.write("routes.yaml", &format!("{wrong}---\n{}", route("b", "/2")));
    assert!(manifests.read());
    assert_eq!(rules(&manifests), ["a /1", "b /2"]);
    assert!(manifests.report(&[]).count(Severity::Error) > 0);
}

#[test]
fn a_file_that_is_no_yaml_any_more_keeps_its_objects_and_one_that_is_removed_does_not() {
    let folder = Folder::new("broken");
    folder.write("a.yaml", &route("a", "/1"));
    folder.write("b.yaml", &route("b", "/1"));
    let mut manifests = manifests(&folder);
    folder.write("a.yaml", "kind: [VirtualService\n");
    assert!(manifests.read());
    assert_eq!(rules(&manifests), ["a /1", "b /1"]);
    std::fs::remove_file(folder.0.join("b.yaml")).unwrap();
    assert!(manifests.read());
    assert_eq!(rules(&manifests), ["a /1"]);
    folder.write("a.yaml", "");
    assert!(manifests.read());
    assert!(rules(&manifests).is_empty());
}

#[test]
fn what_is_the_same_is_no_change() {
    let folder = Folder::new("same");
    folder.write("a.yaml", &route("a", "/1"));
    let mut manifests = manifests(&folder);
    folder.write("a.yaml", &route("a", "/1"));
    assert!(!manifests.read());
}
