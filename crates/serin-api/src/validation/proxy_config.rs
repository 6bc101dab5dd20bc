//! Rules for ProxyConfigs.

use super::place::Place;
use super::{Rules, numbers, selectors};
use crate::Meta;
use crate::networking::ProxyConfig;

impl Rules for ProxyConfig {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        selectors::policy_selector(self.selector.as_ref(), &spec.key("selector"));
        numbers::not_negative(self.concurrency.unwrap_or(0), &spec.key("concurrency"));
    }
}
