use proptest::prelude::*;

use super::*;

fn host(name: &str) -> Host {
    Host::new(name)
}

fn hosts(names: &[&str]) -> Vec<Host> {
    names.iter().map(|name| host(name)).collect()
}

#[test]
fn a_wildcard_matches_what_ends_like_it() {
    let check = |one: &str, other: &str, expect: bool| {
        assert_eq!(host(one).matches(&host(other)), expect, "{one} {other}");
        assert_eq!(host(other).matches(&host(one)), expect, "{other} {one}");
    };
    check("foo.com", "foo.com", true);
    check("foo.com", "bar.com", false);
    check("*.foo.com", "a.foo.com", true);
    check("*.foo.com", "a.b.foo.com", true);
    check("*.foo.com", "foo.com", false);
    check("*.foo.com", "*.a.foo.com", true);
    check("*.foo.com", "*.com", true);
    check("*.foo.com", "*.bar.com", false);
    check("*", "foo.com", true);
    check("*", "*.com", true);
    check("Foo.COM", "foo.com", true);
}

#[test]
fn a_subset_is_covered_as_a_whole() {
    let check = |one: &str, other: &str, expect: bool| {
        assert_eq!(host(one).is_subset_of(&host(other)), expect, "{one} in {other}");
    };
    check("foo.com", "foo.com", true);
    check("foo.com", "*.com", true);
    check("*.com", "foo.com", false);
    check("*.foo.com", "*.com", true);
    check("*.com", "*.foo.com", false);
    check("*.com", "*", true);
    check("*", "*", true);
    check("*", "*.com", false);
    check("foo.com", "*.foo.com", false);
}

#[test]
fn an_intersection_keeps_the_narrower_of_each_pair() {
    let check = |left: &[&str], right: &[&str], expect: &[&str]| {
        assert_eq!(intersection(&hosts(left), &hosts(right)), hosts(expect), "{left:?} {right:?}");
    };
    check(&["foo.com"], &["bar.com"], &[]);
    check(&["*"], &["bar.com", "*.foo.com"], &["bar.com", "*.foo.com"]);
    check(&["*.com"], &["bar.com", "a.org"], &["bar.com"]);
    check(&["foo.com", "bar.com"], &["*.com"], &["foo.com", "bar.com"]);
    check(&["*.com", "foo.com"], &["foo.com", "*.com"], &["foo.com", "*.com"]);
    check(&["*", "*.com"], &["foo.com"], &["foo.com"]);
}

#[test]
fn short_names_are_services_of_the_objects_namespace() {
    let check = |name: &str, expect: &str| {
        assert_eq!(Host::resolve(name, "books", "cluster.local").as_str(), expect, "{name}");
    };
    check("reviews", "reviews.books.svc.cluster.local");
    check("Reviews", "reviews.books.svc.cluster.local");
    check("reviews.other", "reviews.other");
    check("reviews.other.svc.cluster.local", "reviews.other.svc.cluster.local");
    check("192.168.1.106", "192.168.1.106");
    check("2001:db8::1", "2001:db8::1");
    check("*", "*");
    check("*.com", "*.com");
    check("", "");
}

#[test]
fn specific_names_come_first() {
    let mut names = hosts(&["*", "*.com", "a.com", "*.foo.com", "b.com", "long.foo.com"]);
    names.sort_by(Host::cmp_specific_first);
    assert_eq!(names, hosts(&["long.foo.com", "a.com", "b.com", "*.foo.com", "*.com", "*"]));
}

#[test]
fn the_map_finds_the_longest_wildcard() {
    let mut map = HostMap::<u32>::default();
    for (value, name) in (1_u32..).zip(["a.foo.com", "*.foo.com", "*.com", "*", "*oo.org"]) {
        *map.entry(host(name)) = value;
    }
    let check = |needle: &str, expect: u32| {
        assert_eq!(
            map.most_specific(&host(needle)).map(|(_, value)| *value),
            Some(expect),
            "{needle}"
        );
    };
    check("a.foo.com", 1);
    check("b.foo.com", 2);
    check("foo.com", 3);
    check("bar.net", 4);
    check("*.foo.com", 2);
    check("*.b.foo.com", 2);
    check("*.net", 4);
    check("foo.org", 5);
}

fn any_host() -> impl Strategy<Value = Host> {
    ("(\\*\\.)?", prop::collection::vec("[ab]", 1..4), any::<bool>()).prop_map(
        |(star, labels, all)| {
            if all && labels.len() == 1 {
                host("*")
            } else {
                host(&format!("{star}{}", labels.join(".")))
            }
        },
    )
}

proptest! {
    #[test]
    fn the_map_agrees_with_a_search_of_all(names in prop::collection::vec(any_host(), 0..8), needle in any_host()) {
        let mut map = HostMap::<()>::default();
        for name in &names {
            map.entry(name.clone());
        }
        let naive = names.iter().filter(|it| needle.is_subset_of(it)).min_by(|a, b| a.cmp_specific_first(b));
        prop_assert_eq!(map.most_specific(&needle).map(|(host, ())| host), naive);
    }

    #[test]
    fn subsets_match(one in any_host(), other in any_host()) {
        prop_assert!(!one.is_subset_of(&other) || one.matches(&other));
        prop_assert_eq!(one.matches(&other), other.matches(&one));
        prop_assert_eq!(one.is_subset_of(&other) || other.is_subset_of(&one), one.matches(&other));
    }
}
