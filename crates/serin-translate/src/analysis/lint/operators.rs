//! SRN0410: values of headers that ask for what nobody knows.

use serin_api::FieldPath;
use serin_api::networking::Headers;
use serin_routing::format::Format;

use super::{codes, rules, written};
use crate::analysis::{Input, Report};

/// SRN0410: an operator in a header's value that is not known. Envoy refuses the whole of a configuration that has one.
pub(in crate::analysis) fn unknown_operators(input: Input<'_>, report: &mut Report) {
    for virtual_service in written(input) {
        for (at, rule) in rules(&virtual_service.spec) {
            let of_rule = rule.headers.iter().map(|it| (at.key("headers"), it));
            let destinations = rule.route.iter().enumerate();
            let of_destinations = destinations.filter_map(|(index, it)| {
                Some((at.key("route").index(index).key("headers"), it.headers.as_ref()?))
            });
            for (at, value) in of_rule.chain(of_destinations).flat_map(values) {
                for operator in Format::parse(value).unknown() {
                    let text = format!(
                        "{operator} is no operator that Serin knows: it is written as it stands, and Envoy may refuse the whole configuration"
                    );
                    let help = "docs/gateway.md lists the operators; a percent sign that stands for itself is %%";
                    let message = codes::UNKNOWN_OPERATOR.message(text).help(help);
                    report.add(virtual_service, at.clone(), message);
                }
            }
        }
    }
}

/// The values that headers are set to, and where they stand.
fn values((at, headers): (FieldPath, &Headers)) -> Vec<(FieldPath, &String)> {
    let sides = [("request", &headers.request), ("response", &headers.response)];
    let sides = sides.into_iter().filter_map(|(name, side)| Some((at.key(name), side.as_ref()?)));
    let operations =
        sides.flat_map(|(at, side)| [(at.key("set"), &side.set), (at.key("add"), &side.add)]);
    let values = operations.flat_map(|(at, values)| {
        values.iter().map(move |(name, value)| (at.key(name), value)).collect::<Vec<_>>()
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use crate::analysis::{Input, analyze};
    use crate::testing::manifests;

    #[test]
    fn operators_that_nobody_knows_are_told_with_their_place() {
        let snapshot = manifests(
            "
kind: VirtualService
metadata: {name: web}
spec:
  hosts: [web.example]
  http:
  - headers: {response: {set: {x-up: '%UPSTREAM_HOST% %UPSTREAM_HOTS%'}, add: {x-rate: '100%%'}}}
    route:
    - destination: {host: a.example}
      headers: {request: {add: {x-from: '%REQ(X-FROM)%%DOWNSTREAM%'}}}
",
        );
        let findings = analyze(Input::new(&snapshot));
        let findings = findings.iter().filter(|it| it.code.0 == "SRN0410");
        let told: Vec<String> = findings
            .map(|it| format!("{} {}", it.field, it.message.split(' ').next().unwrap_or_default()))
            .collect();
        assert_eq!(
            told,
            [
                "spec.http[0].headers.response.set.x-up %UPSTREAM_HOTS%",
                "spec.http[0].route[0].headers.request.add.x-from %DOWNSTREAM%",
            ]
        );
    }
}
