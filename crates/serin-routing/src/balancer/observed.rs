//! What all cores share of a cluster's endpoints.

use std::sync::Arc;

use super::EndpointSet;
use crate::outlier::Detector;

/// The endpoints of a cluster, and who of them is ejected. Copies are views of the same.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    set: Arc<EndpointSet>,
    detector: Option<Arc<Detector>>,
}

impl Observed {
    /// The endpoints of a cluster that has had no request.
    pub fn new(set: Arc<EndpointSet>) -> Self {
        let detector = set.outlier.clone().map(|config| Detector::new(config, set.len()));
        Self { set, detector: detector.map(Arc::new) }
    }

    /// The same cluster with other endpoints. Those of the same address keep their ejection, unless the rule is another.
    pub fn next(&self, set: Arc<EndpointSet>) -> Self {
        if Arc::ptr_eq(&self.set, &set) {
            return self.clone();
        }
        let Some(detector) = self.detector.as_ref().filter(|_| self.set.outlier == set.outlier)
        else {
            return Self::new(set);
        };
        let detector = detector.next(&set.numbers_in(&self.set));
        Self { set, detector: Some(Arc::new(detector)) }
    }

    /// The endpoints.
    pub const fn set(&self) -> &Arc<EndpointSet> {
        &self.set
    }

    pub(super) fn detector(&self) -> Option<&Detector> {
        self.detector.as_deref()
    }

    pub(super) fn is_ejected(&self, number: usize) -> bool {
        self.detector().is_some_and(|detector| detector.is_ejected(number))
    }

    /// Another number whenever somebody else is ejected.
    pub(super) fn version(&self) -> u32 {
        self.detector().map_or(0, Detector::version)
    }
}
