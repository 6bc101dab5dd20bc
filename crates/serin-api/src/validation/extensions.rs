//! Rules for WasmPlugins and TrafficExtensions.

use std::collections::BTreeSet;

use super::place::Place;
use super::{Rules, numbers, selectors, url};
use crate::Meta;
use crate::extensions::{
    EnvValueSource, TrafficExtension, TrafficSelector, VmConfig, WasmConfig, WasmPlugin,
};

const SCHEMES: [&str; 5] = ["", "file", "http", "https", "oci"];
const LARGEST_PROGRAM: usize = 64 * 1024;

/// What a module is and how it is loaded, in both kinds.
struct Module<'a> {
    url: &'a str,
    sha256: &'a str,
    image_pull_secret: &'a str,
    plugin_name: &'a str,
    vm_config: Option<&'a VmConfig>,
}

impl Rules for WasmPlugin {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        let target = self.target_ref.as_ref();
        selectors::policy_scope(self.selector.as_ref(), target, &self.target_refs, spec);
        let parts = Module {
            url: &self.url,
            sha256: &self.sha256,
            image_pull_secret: &self.image_pull_secret,
            plugin_name: &self.plugin_name,
            vm_config: self.vm_config.as_ref(),
        };
        module(&parts, spec);
        spec.key("match").each(&self.conditions, traffic_selector);
    }
}

impl Rules for TrafficExtension {
    fn check(&self, _: &Meta, spec: &Place<'_>) {
        selectors::policy_scope(self.selector.as_ref(), None, &self.target_refs, spec);
        if self.wasm.is_some() == self.lua.is_some() {
            spec.error("exactly one of wasm and lua must be set");
        }
        if let Some(wasm) = &self.wasm {
            module(&wasm_module(wasm), &spec.key("wasm"));
        }
        if let Some(lua) = &self.lua {
            let at = spec.key("lua");
            let at = at.key("inlineCode");
            if lua.inline_code.is_empty() {
                at.error("inlineCode cannot be empty");
            } else if lua.inline_code.len() > LARGEST_PROGRAM {
                at.error("inlineCode is longer than 64 KiB");
            }
        }
        spec.key("match").each(&self.conditions, traffic_selector);
    }
}

fn wasm_module(wasm: &WasmConfig) -> Module<'_> {
    Module {
        url: &wasm.url,
        sha256: &wasm.sha256,
        image_pull_secret: &wasm.image_pull_secret,
        plugin_name: &wasm.plugin_name,
        vm_config: wasm.vm_config.as_ref(),
    }
}

fn module(module: &Module<'_>, at: &Place<'_>) {
    if module.url.is_empty() {
        at.key("url").error("the url of the module needs to be set");
    } else {
        match url::module_scheme(module.url) {
            Ok(scheme) if SCHEMES.contains(&scheme.as_str()) => {}
            Ok(scheme) => at.key("url").error(format!(
                "the scheme {scheme} is not supported: use file, http, https or oci"
            )),
            Err(message) => at.key("url").error(message),
        }
    }
    let sha256 = module.sha256;
    if !sha256.is_empty() && sha256.len() != 64 {
        at.key("sha256").error("sha256 must be 64 characters long");
    } else if !sha256.bytes().all(|byte| matches!(byte, b'a'..=b'f' | b'0'..=b'9')) {
        at.key("sha256").error("sha256 must be lower-case hexadecimal");
    }
    if module.image_pull_secret.len() > 253 {
        at.key("imagePullSecret").error("imagePullSecret must be 253 characters long at most");
    }
    if module.plugin_name.len() > 256 {
        at.key("pluginName").error("pluginName must be 256 characters long at most");
    }
    if let Some(config) = module.vm_config {
        environment(config, &at.key("vmConfig").key("env"));
    }
}

fn environment(config: &VmConfig, at: &Place<'_>) {
    let mut names = BTreeSet::new();
    at.each(&config.env, |variable, at| {
        let name = at.key("name");
        if variable.name.is_empty() {
            name.error("an environment variable needs a name");
        } else if variable.name.len() > 256 {
            name.error("the name of an environment variable must be 256 characters long at most");
        } else if !names.insert(&variable.name) {
            name.error(format!("the environment variable {} is a duplicate", variable.name));
        }
        if variable.value_from != EnvValueSource::Inline && !variable.value.is_empty() {
            at.key("value").error("a value may only be set when valueFrom is INLINE");
        }
    });
}

fn traffic_selector(selector: &TrafficSelector, at: &Place<'_>) {
    at.key("ports").each(&selector.ports, |port, at| {
        at.key("number").expect(numbers::port(port.number));
    });
}
