//! Priorities and shares of places as Istio sets them.

use super::*;
use crate::balancer::testing::{endpoint, place};

fn locality(text: &str) -> Locality {
    let mut parts = text.split('/').map(Arc::from).chain(std::iter::repeat(Arc::from("")));
    let mut part = || parts.next().unwrap();
    Locality { region: part(), zone: part(), sub_zone: part() }
}

fn places(texts: &[&str]) -> Endpoints {
    let localities = texts.iter().zip(1..).map(|(text, number)| LocalityEndpoints {
        locality: locality(text),
        ..place(0, None, vec![endpoint(number, 1)])
    });
    Endpoints { localities: localities.collect() }
}

fn with_labels(number: u8, labels: &[(&str, &str)]) -> Endpoint {
    let mut endpoint = endpoint(number, 1);
    let labels = labels.iter().map(|&(label, value)| (label.into(), value.into())).collect();
    endpoint.identity = Arc::new(crate::model::WorkloadIdentity { labels, ..Default::default() });
    endpoint
}

fn apply(settings: &Settings, endpoints: &mut Endpoints, from: &str, labels: &[(&str, &str)]) {
    let labels =
        labels.iter().map(|&(label, value)| (Arc::from(label), Arc::from(value))).collect();
    let client = Client { locality: &locality(from), labels: &labels };
    settings.apply(endpoints, client, Some(&outlier::Config::default()));
}

fn priorities(endpoints: &Endpoints) -> Vec<u32> {
    endpoints.localities.iter().map(|place| place.priority).collect()
}

const FIVE: [&str; 5] = ["eu/a/1", "eu/a/2", "eu/b/1", "us/a/1", "asia/a/1"];

#[test]
fn nearer_places_come_first_and_priorities_have_no_gaps() {
    let mut endpoints = places(&FIVE);
    apply(&Settings::default(), &mut endpoints, "eu/a/1", &[]);
    assert_eq!(priorities(&endpoints), [0, 1, 2, 3, 3]);
    apply(&Settings::default(), &mut places(&[]), "eu/a/1", &[]);

    let mut endpoints = places(&["us/a/1", "eu/b/1"]);
    apply(&Settings::default(), &mut endpoints, "eu/a/1", &[]);
    assert_eq!(priorities(&endpoints), [1, 0]);
}

#[test]
fn failover_prefers_a_region_to_others() {
    let failover = vec![Failover { from: "eu".into(), to: "us".into() }];
    let settings = Settings { failover, ..Settings::default() };
    let mut endpoints = places(&FIVE);
    apply(&settings, &mut endpoints, "eu/a/1", &[]);
    assert_eq!(priorities(&endpoints), [0, 1, 2, 3, 4]);
    let mut endpoints = places(&FIVE);
    apply(&settings, &mut endpoints, "asia/z/z", &[]);
    assert_eq!(priorities(&endpoints), [1, 1, 1, 1, 0], "the rule is for another region");
}

#[test]
fn t_failover_only_with_outlier_detection() {
    let mut endpoints = places(&FIVE);
    let labels = BTreeMap::new();
    let client = Client { locality: &locality("eu/a/1"), labels: &labels };
    Settings::default().apply(&mut endpoints, client, None);
    assert_eq!(priorities(&endpoints), [0; 5]);

    let distribute = vec![Distribute { from: "*".into(), to: vec![("*".into(), 100)] }];
    Settings { distribute, ..Settings::default() }.apply(&mut endpoints, client, None);
    assert!(
        endpoints.localities.iter().all(|place| place.weight.is_some()),
        "shares need no outlier detection"
    );
}

#[test]
fn shares_go_to_the_places_named_and_others_get_nothing() {
    let distribute = vec![
        Distribute { from: "asia".into(), to: vec![("asia".into(), 100)] },
        Distribute {
            from: "eu/a/*".into(),
            to: vec![("eu/a/*".into(), 80), ("eu/b/1".into(), 15), ("us".into(), 5)],
        },
        Distribute { from: "*".into(), to: vec![("us".into(), 100)] },
    ];
    let settings = Settings { distribute, ..Settings::default() };
    let mut endpoints = places(&FIVE);
    apply(&settings, &mut endpoints, "eu/a/1", &[]);
    let weights: Vec<_> =
        endpoints.localities.iter().map(|place| (place.weight, place.endpoints.len())).collect();
    assert_eq!(weights, [(Some(40), 1), (Some(40), 1), (Some(15), 1), (Some(5), 1), (None, 0)]);
    assert_eq!(priorities(&endpoints), [0; 5]);
}

#[test]
fn shares_of_several_places_go_by_their_own_weights_and_are_rounded_up() {
    let to = vec![("*".into(), 10), ("eu/b/1".into(), 90)];
    let settings =
        Settings { distribute: vec![Distribute { from: "eu".into(), to }], ..Settings::default() };
    let mut endpoints = places(&["eu/a/1", "eu/a/2", "eu/b/1"]);
    endpoints.localities[0].weight = Some(2);
    apply(&settings, &mut endpoints, "eu/b/1", &[]);
    let weights: Vec<_> = endpoints.localities.iter().map(|place| place.weight).collect();
    assert_eq!(weights, [Some(7), Some(4), Some(90)], "a wildcard takes what nothing else names");
}

#[test]
fn places_are_named_by_their_parts_and_by_wildcards() {
    let place = locality("eu/a/1");
    for (pattern, expect) in [
        ("eu/a/1", true),
        ("eu/a", true),
        ("eu", true),
        ("eu/*", true),
        ("eu/*/1", true),
        ("*", true),
        ("*/a", true),
        ("eu/b", false),
        ("eu/a/2", false),
        ("us/*", false),
        ("", false),
    ] {
        assert_eq!(matches(pattern, &place), expect, "{pattern:?}");
    }
    assert!(matches("", &Locality::default()));
}

#[test]
fn endpoints_that_agree_on_more_labels_come_first() {
    let settings = Settings {
        failover_priority: ["network", "region", "version=v2"].map(Arc::from).into(),
        ..Settings::default()
    };
    let mut endpoints = Endpoints {
        localities: vec![
            place(
                0,
                None,
                vec![
                    with_labels(1, &[("network", "n1"), ("region", "eu"), ("version", "v2")]),
                    with_labels(2, &[("network", "n1"), ("region", "us"), ("version", "v2")]),
                    with_labels(3, &[("network", "n1"), ("region", "eu"), ("version", "v1")]),
                ],
            ),
            place(
                0,
                None,
                vec![
                    with_labels(4, &[("network", "n2"), ("region", "eu")]),
                    with_labels(5, &[("network", "n1"), ("region", "us")]),
                ],
            ),
        ],
    };
    apply(
        &settings,
        &mut endpoints,
        "eu",
        &[("network", "n1"), ("region", "eu"), ("version", "v1")],
    );
    let found: Vec<_> = endpoints
        .localities
        .iter()
        .map(|place| {
            (
                place.priority,
                place.weight,
                place.endpoints.iter().map(|endpoint| endpoint.address.clone()).collect::<Vec<_>>(),
            )
        })
        .collect();
    let address = |number| endpoint(number, 1).address;
    assert_eq!(
        found,
        [
            (0, Some(1), vec![address(1)]),
            (1, Some(1), vec![address(3)]),
            (2, Some(1), vec![address(2)]),
            (2, Some(1), vec![address(5)]),
            (3, Some(1), vec![address(4)]),
        ]
    );
}

#[test]
fn labels_decide_before_places_where_both_are_given() {
    let settings = Settings {
        failover: vec![Failover { from: "eu".into(), to: "us".into() }],
        failover_priority: vec!["version".into()],
        ..Settings::default()
    };
    let mut endpoints = places(&["us", "eu", "asia", "eu"]);
    for (place, version) in endpoints.localities.iter_mut().zip(["v1", "v2", "v1", "v1"]) {
        place.endpoints = vec![with_labels(1, &[("version", version)])];
    }
    apply(&settings, &mut endpoints, "eu", &[("version", "v1")]);
    assert_eq!(priorities(&endpoints), [1, 3, 2, 0]);
}
