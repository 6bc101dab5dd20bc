use proptest::prelude::*;
use serin_api::Meta;
use serin_api::core::Namespace;

use super::*;

/// An object by time, name and namespace.
fn object(time: u8, name: u8, namespace: u8) -> Arc<Object<Namespace>> {
    let times = ["", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"];
    let meta = Meta {
        name: name.to_string(),
        namespace: namespace.to_string(),
        creation_timestamp: Some(times[usize::from(time)].into()),
        ..Meta::default()
    };
    Arc::new(Object { meta, ..Object::default() })
}

fn objects() -> impl Strategy<Value = Vec<Arc<Object<Namespace>>>> {
    prop::collection::vec((0_u8..3, 0_u8..4, 0_u8..3).prop_map(|(a, b, c)| object(a, b, c)), 0..20)
}

fn sorted(mut objects: Vec<Arc<Object<Namespace>>>) -> List<Namespace> {
    let called = |it: &Arc<Object<Namespace>>| (it.meta.name.clone(), it.meta.namespace.clone());
    objects.sort_by_key(called);
    objects.dedup_by_key(|it| called(it));
    let mut list: List<_> = objects.into_iter().collect();
    list.sort();
    list
}

fn is_in_order(list: &List<Namespace>) -> bool {
    list.is_sorted_by(|one, other| order(one, other).is_lt())
}

proptest! {
    #[test]
    fn what_is_exchanged_is_there_and_the_order_holds(start in objects(), more in objects()) {
        let mut list = sorted(start);
        let shared = list.clone();
        for new in more {
            // The one of the same name, whenever it was made.
            let is_same = |it: &&Arc<Object<Namespace>>| {
                (&it.meta.name, &it.meta.namespace) == (&new.meta.name, &new.meta.namespace)
            };
            let old = list.iter().find(is_same).cloned();
            let count = list.len();
            list.exchange(old.as_deref(), Some(Arc::clone(&new)));
            prop_assert!(is_in_order(&list));
            prop_assert_eq!(list.len(), count + usize::from(old.is_none()));
            prop_assert!(list.iter().any(|it| Arc::ptr_eq(it, &new)));
        }
        prop_assert!(is_in_order(&shared));
    }

    #[test]
    fn changes_lead_from_one_list_to_the_other(
        all in objects(),
        replaced in prop::collection::vec(0_u8..4, 20),
    ) {
        let before = sorted(all);
        // Some are gone, some are others of the same name, some are new.
        let after = before.iter().zip(&replaced).filter_map(|(it, how)| match how {
            0 => None,
            1 => Some(Arc::new((**it).clone())),
            _ => Some(Arc::clone(it)),
        });
        let after = sorted(after.chain([object(1, 9, 0)]).collect());
        let mut list = before.clone();
        for (old, new) in before.changes(&after) {
            prop_assert!(old.is_some() || new.is_some());
            list.exchange(old.map(|it| &**it), new.cloned());
        }
        let addresses = |list: &List<_>| list.iter().map(Arc::as_ptr).collect::<Vec<_>>();
        prop_assert_eq!(addresses(&list), addresses(&after));
        prop_assert!(after.changes(&after.clone()).is_empty());
    }
}

#[test]
fn an_object_that_is_called_the_same_goes_if_the_very_one_is_not_there() {
    let mut list = sorted(vec![object(0, 1, 0), object(0, 2, 0)]);
    list.exchange(Some(&object(0, 2, 0)), None);
    assert_eq!(list.len(), 1);
    list.exchange(Some(&object(0, 2, 0)), None);
    assert_eq!(list.len(), 1);
}
