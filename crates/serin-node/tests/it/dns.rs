//! Names, as programs in pods look them up.

use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, PostParams};
use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn programs_find_services_and_headless_pods_by_short_names() {
    let Some(world) = World::start().await else { return };
    let services: Api<Service> = Api::default_namespaced(world.client.clone());
    let service = json!({
        "metadata": {"name": "web"},
        "spec": {"clusterIP": "10.96.7.8", "ports": [{"port": 80}]},
    });
    let service: Service = serde_json::from_value(service).unwrap();
    services.create(&PostParams::default(), &service).await.unwrap();
    let script = "until getent ahostsv4 web | head -n1; do sleep 0.05; done; \
                  getent hosts nothing || echo none; cat /etc/resolv.conf";
    let never = json!({"spec": {"restartPolicy": "Never"}});
    let pod = world.run("asker", script, never).await;
    assert_eq!(world.over("asker").await, "Succeeded");
    let log = world.log(&pod, "main", 0);
    let lines: Vec<_> = log.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines[0].starts_with("10.96.7.8 "), "{log}");
    assert_eq!(lines[1], "none", "{log}");
    assert_eq!(lines[2], "search default.svc.cluster.local svc.cluster.local cluster.local");
    assert_eq!(lines[3], "nameserver 10.96.0.10");
}
