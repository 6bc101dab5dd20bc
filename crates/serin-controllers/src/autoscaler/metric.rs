//! The metrics that an autoscaler names: which of them are understood, and how their state is shown.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus,
    ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;
use serin_objects::quantity::Quantity;

use super::usage::{Subject, Target, Wanted};

/// A metric that is understood.
pub(super) struct Metric<'m> {
    pub(super) subject: Subject<'m>,
    pub(super) target: Target,
}

impl<'m> Metric<'m> {
    pub(super) fn read(spec: &'m MetricSpec) -> Result<Self, String> {
        let (resource, container, target) = match (&spec.resource, &spec.container_resource) {
            (Some(resource), _) => (&resource.name, None, &resource.target),
            (None, Some(of)) => (&of.name, Some(of.container.as_str()), &of.target),
            (None, None) => {
                let kind = &spec.type_;
                return Err(format!(
                    "metrics of type {kind} need a metrics adapter, and there is none: use Resource or ContainerResource"
                ));
            }
        };
        let subject = Subject { resource, container };
        let target = read_target(target).ok_or("invalid resource metric source: neither an average utilization target nor an average value (or absolute value) target was set")?;
        Ok(Self { subject, target })
    }

    /// As the conditions and events call it.
    pub(super) fn name(&self) -> String {
        let Subject { resource, container } = self.subject;
        let prefix = if container.is_some() { "container " } else { "" };
        match self.target {
            Target::Utilization(_) => {
                format!("{resource} {prefix}resource utilization (percentage of request)")
            }
            Target::Average(_) => format!("{resource} {prefix}resource"),
        }
    }

    pub(super) fn status(&self, wanted: Wanted) -> MetricStatus {
        let current = MetricValueStatus {
            average_utilization: wanted.utilization,
            average_value: Some(Text(Quantity::from_milli(wanted.average).to_string())),
            value: None,
        };
        let name = self.subject.resource.to_owned();
        match self.subject.container {
            None => MetricStatus {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricStatus { current, name }),
                ..MetricStatus::default()
            },
            Some(container) => MetricStatus {
                type_: "ContainerResource".to_owned(),
                container_resource: Some(ContainerResourceMetricStatus {
                    container: container.to_owned(),
                    current,
                    name,
                }),
                ..MetricStatus::default()
            },
        }
    }
}

fn read_target(target: &MetricTarget) -> Option<Target> {
    if let Some(percent) = target.average_utilization {
        return Some(Target::Utilization(percent));
    }
    let value = target.average_value.as_ref()?;
    Quantity::parse(&value.0).map(|value| Target::Average(value.milli()))
}
