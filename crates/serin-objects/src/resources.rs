//! Amounts of processor, memory and other resources that containers and pods ask for.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::quantity::Quantity;

/// Amounts by resource.
pub(crate) type Amounts = BTreeMap<String, Quantity>;

/// The amounts of a list of resources.
pub(crate) fn amounts(list: &Value) -> Amounts {
    let all = list.as_object().into_iter().flatten();
    all.filter_map(|(name, it)| Some((name.clone(), Quantity::parse(it.as_str()?)?))).collect()
}

/// What a pod as a whole asks for: `requests` or `limits`. Containers run side by side, those that initialise one after the
/// other, beside those of them that stay.
pub(crate) fn pod_amounts(pod: &Value, part: &str) -> Amounts {
    let spec = &pod["spec"];
    let of = |container: &Value| amounts(&container["resources"][part]);
    let list = |name: &str| spec[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut total = Amounts::new();
    for container in list("containers") {
        plus(&mut total, &of(container));
    }
    let (mut staying, mut peak) = (Amounts::new(), Amounts::new());
    for container in list("initContainers") {
        let own = of(container);
        let mut now = staying.clone();
        plus(&mut now, &own);
        if container["restartPolicy"] == "Always" {
            plus(&mut total, &own);
            staying.clone_from(&now);
        }
        at_least(&mut peak, &now);
    }
    at_least(&mut total, &peak);
    // What all containers together are given stands above what each asks for.
    total.extend(amounts(&spec["resources"][part]));
    let overhead = amounts(&spec["overhead"]);
    if part == "requests" {
        plus(&mut total, &overhead);
    } else {
        for (name, amount) in overhead {
            if let Some(limit) = total.get_mut(&name).filter(|it| !it.is_zero()) {
                *limit = limit.plus(amount);
            }
        }
    }
    total
}

fn plus(all: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = all.get(name).copied().unwrap_or(Quantity::ZERO).plus(*amount);
        all.insert(name.clone(), sum);
    }
}

fn at_least(all: &mut Amounts, least: &Amounts) {
    for (name, amount) in least {
        if all.get(name).is_none_or(|it| it < amount) {
            all.insert(name.clone(), *amount);
        }
    }
}
