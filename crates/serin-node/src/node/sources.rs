//! The objects that a pod's environment and volumes are made of, read when they are needed.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, Secret, Service};
use kube::Resource;
use kube::api::{Api, ListParams};
use serde::de::DeserializeOwned;

use super::Shared;
use crate::pod::env::Sources;
use crate::pod::identity;
use crate::sandbox::Sandbox;

/// The names of what a pod uses.
#[derive(Default)]
struct Names {
    config_maps: BTreeSet<String>,
    secrets: BTreeSet<String>,
}

impl Shared {
    /// What the environment of a container is made of, or, without one, what the volumes are made of.
    pub(crate) async fn sources(
        &self,
        pod: &Pod,
        container: Option<&Container>,
        sandbox: &Sandbox,
    ) -> Result<Sources, String> {
        let (namespace, ..) = identity(pod);
        let names = match container {
            Some(container) => of_environment(container),
            None => of_volumes(pod),
        };
        let client = &self.settings.client;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let host_ip = self.settings.address.to_string();
        let mut services = Vec::new();
        if container.is_some() {
            let all: Api<Service> = Api::namespaced(client.clone(), namespace);
            let listed = all.list(&ListParams::default()).await;
            services = listed.map_err(|error| format!("cannot list services: {error}"))?.items;
            if namespace != "default" {
                let api: Api<Service> = Api::namespaced(client.clone(), "default");
                // A cluster without it tells no address of the API.
                services.extend(api.get_opt("kubernetes").await.ok().flatten());
            }
        }
        Ok(Sources {
            config_maps: fetch(&maps, names.config_maps).await?,
            secrets: fetch(&secrets, names.secrets).await?,
            services,
            pod_ip: sandbox.address().map_or_else(|| host_ip.clone(), |ip| ip.to_string()),
            host_ip,
            machine: super::heartbeat::machine(),
        })
    }
}

async fn fetch<K>(api: &Api<K>, names: BTreeSet<String>) -> Result<BTreeMap<String, K>, String>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug,
{
    let mut found = BTreeMap::new();
    for name in names {
        let object = api.get_opt(&name).await;
        if let Some(object) = object.map_err(|error| format!("cannot read {name}: {error}"))? {
            found.insert(name, object);
        }
    }
    Ok(found)
}

fn of_environment(container: &Container) -> Names {
    let mut names = Names::default();
    for source in container.env_from.iter().flatten() {
        names.config_maps.extend(source.config_map_ref.iter().map(|one| one.name.clone()));
        names.secrets.extend(source.secret_ref.iter().map(|one| one.name.clone()));
    }
    for from in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        names.config_maps.extend(from.config_map_key_ref.iter().map(|one| one.name.clone()));
        names.secrets.extend(from.secret_key_ref.iter().map(|one| one.name.clone()));
    }
    names
}

fn of_volumes(pod: &Pod) -> Names {
    let mut names = Names::default();
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_ref());
    for volume in volumes.into_iter().flatten() {
        names.config_maps.extend(volume.config_map.iter().map(|one| one.name.clone()));
        names.secrets.extend(volume.secret.iter().filter_map(|one| one.secret_name.clone()));
        let projected = volume.projected.as_ref().and_then(|one| one.sources.as_ref());
        for source in projected.into_iter().flatten() {
            names.config_maps.extend(source.config_map.iter().map(|one| one.name.clone()));
            names.secrets.extend(source.secret.iter().map(|one| one.name.clone()));
        }
    }
    names
}
