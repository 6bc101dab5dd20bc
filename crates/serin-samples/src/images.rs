//! Which sample stands in for which image.

/// Images, the samples that stand in for them, and further arguments, in which `{tag}` is the version in the image's tag and
/// `{version}` the version at the end of its name.
const IMAGES: &[(Name, &str, &[&str])] = &[
    (Name::Versioned("examples-bookinfo-productpage"), "productpage", &[]),
    (Name::Versioned("examples-bookinfo-details"), "details", &[]),
    (Name::Versioned("examples-bookinfo-reviews"), "reviews", &["--version", "{version}"]),
    (Name::Versioned("examples-bookinfo-ratings"), "ratings", &["--version", "{version}"]),
    (Name::Versioned("examples-helloworld"), "hello", &["--version", "{version}"]),
    (Name::Whole("productpage"), "productpage", &[]),
    (Name::Whole("details"), "details", &[]),
    (Name::Whole("reviews"), "reviews", &["--version", "{tag}"]),
    (Name::Whole("ratings"), "ratings", &[]),
    (Name::Whole("yaogang/demo-a"), "greet", &["--upstream", "http://svc-b:8080/greet"]),
    (Name::Whole("yaogang/demo-b-v1"), "greet", &["--version", "v1"]),
    (Name::Whole("yaogang/demo-b-v2"), "greet", &["--version", "v2"]),
    (Name::Last("go-http-sample"), "chain", &[]),
    (Name::Whole("nginx"), "web", &["--version", "{tag}"]),
    (Name::Whole("nginxinc/nginx-unprivileged"), "web", &["--version", "{tag}", "--port", "8080"]),
    (Name::Whole("kennethreitz/httpbin"), "echo", &["--port", "80"]),
    (Name::Whole("kong/httpbin"), "echo", &["--port", "80"]),
    (Name::Whole("mccutchen/go-httpbin"), "echo", &["--port", "8080"]),
    (Name::Whole("hpa-example"), "echo", &["--port", "80", "--burn", "20ms"]),
    (Name::Whole("curlimages/curl"), "sleep", &[]),
    (Name::Whole("governmentpaas/curl-ssl"), "sleep", &[]),
    (Name::Whole("pause"), "sleep", &[]),
];

/// What is left out of an image's name before it is looked up.
const USUAL: [&str; 3] = ["docker.io/", "registry.k8s.io/", "library/"];

/// How an image is recognised.
#[derive(Clone, Copy)]
enum Name {
    /// All of the name, which others may use for something else in other places.
    Whole(&'static str),
    /// The last part of the name.
    Last(&'static str),
    /// The last part of the name is this, a hyphen, and a version: `v1`, `v-faulty`.
    Versioned(&'static str),
}

/// The arguments of `serin` with which it stands in for an image: `["sample", "reviews", "--version", "v2", …]` for any
/// `examples-bookinfo-reviews-v2`, whatever its registry, tag and digest. `None` for images that nothing stands in for.
///
/// ```
/// let arguments = serin_samples::stand_in("docker.io/library/nginx:1.16.1").unwrap_or_default();
/// assert_eq!(arguments[..4], ["sample", "web", "--version", "1.16.1"]);
/// ```
pub fn stand_in(image: &str) -> Option<Vec<String>> {
    let (whole, tag) = split(image);
    let last = whole.rsplit('/').next().unwrap_or_default();
    let of = |known: &(Name, &'static str, &'static [&'static str])| {
        let version = match known.0 {
            Name::Whole(it) => (whole == it).then_some("")?,
            Name::Last(it) => (last == it).then_some("")?,
            Name::Versioned(it) => {
                let version = last.strip_prefix(it)?.strip_prefix('-')?;
                version.starts_with('v').then_some(version)?
            }
        };
        Some((known.1, known.2, version))
    };
    let (sample, further, version) = IMAGES.iter().find_map(of)?;
    let mut arguments = vec!["sample".to_owned(), sample.to_owned()];
    for pair in further.chunks(2) {
        let value = match pair.last().copied().unwrap_or_default() {
            "{version}" => version,
            "{tag}" => of_tag(tag),
            value => value,
        };
        if !value.is_empty() {
            arguments.extend(pair.first().map(|flag| (*flag).to_owned()));
            arguments.push(value.to_owned());
        }
    }
    // A pod is reached from outside its own loopback.
    if sample != "sleep" {
        arguments.extend(["--address", "0.0.0.0"].map(str::to_owned));
    }
    Some(arguments)
}

/// An image's name without what is usual, and its tag, if it has one.
fn split(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or_default();
    // A colon before the last slash is that of the registry's port.
    let (mut name, tag) = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, ""),
    };
    for usual in USUAL {
        name = name.strip_prefix(usual).unwrap_or(name);
    }
    (name, tag)
}

/// The version in a tag: `1.25.3` in `1.25.3-alpine`, `v2` in `v2`, none in `latest`.
fn of_tag(tag: &str) -> &str {
    let version = tag.split('-').next().unwrap_or_default();
    if version.contains(|it: char| it.is_ascii_digit()) { version } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_the_documents_and_of_istio_have_a_stand_in() {
        let check = |image: &str, expect: &str| {
            let arguments = stand_in(image).unwrap_or_default().join(" ");
            assert_eq!(arguments.replace(" --address 0.0.0.0", ""), expect, "{image}");
            assert_eq!(arguments != expect, expect != "sample sleep", "servers listen for all");
        };
        check("docker.io/istio/examples-bookinfo-reviews-v2:1.16.2", "sample reviews --version v2");
        check(
            "registry.istio.io/release/examples-bookinfo-reviews-v3:1.20.3",
            "sample reviews --version v3",
        );
        check("registry.example:5000/examples-bookinfo-details-v1", "sample details");
        check("istio/examples-bookinfo-productpage-v1:1.18.0", "sample productpage");
        check(
            "istio/examples-bookinfo-ratings-v-faulty:1.18.0",
            "sample ratings --version v-faulty",
        );
        check("reviews:v2", "sample reviews --version v2");
        check("reviews", "sample reviews");
        check("yaogang/demo-a:v1.0", "sample greet --upstream http://svc-b:8080/greet");
        check("yaogang/demo-b-v2:v1.0", "sample greet --version v2");
        check("swr.cn-north-4.myhuaweicloud.com/hjmtest/go-http-sample:1.0", "sample chain");
        check("nginx:1.14.2", "sample web --version 1.14.2");
        check("nginx:1.25.3-alpine", "sample web --version 1.25.3");
        check("docker.io/library/nginx:latest", "sample web");
        check("nginx@sha256:0123456789abcdef", "sample web");
        check("istio/examples-helloworld-v1", "sample hello --version v1");
        check("docker.io/mccutchen/go-httpbin:v2.15.0", "sample echo --port 8080");
        check("curlimages/curl", "sample sleep");
    }

    #[test]
    fn other_images_have_none() {
        for image in [
            "",
            "postgres:16",
            "example/nginx",
            "example/details:v1",
            "examples-bookinfo-reviews",
            "a/b/",
        ] {
            assert_eq!(stand_in(image), None, "{image}");
        }
    }
}
