"""What Helm itself does with a chart, against the server of a kubeconfig: helm.py KUBECONFIG FOLDER.

Nothing runs what is made here, so that a thread says of Deployments and Jobs what controllers would say.
"""

import pathlib
import sys
import threading

import helm_python as helm
from kubernetes import client, config
from kubernetes.client.rest import ApiException

NS = "shop"
KUBECONFIG, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])

FILES = {
    "Chart.yaml": "apiVersion: v2\nname: demo\nversion: 0.1.0\nappVersion: '1'\n",
    "values.yaml": "replicas: 2\ncolor: red\nextra: true\n",
    "crds/gadgets.yaml": """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.demo.example.com}
spec:
  group: demo.example.com
  scope: Namespaced
  names: {plural: gadgets, kind: Gadget}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties: {spec: {type: object, properties: {size: {type: integer, default: 3}}}}
""",
    "templates/NOTES.txt": "{{ .Release.Name }} has {{ .Values.replicas }} replicas.\n",
    "templates/account.yaml": "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: {{ .Release.Name }}}\n",
    "templates/rights.yaml": """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: {{ .Release.Name }}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .Release.Name }}}
subjects: [{kind: ServiceAccount, name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}]
""",
    "templates/workload.yaml": """
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, labels: {app: {{ .Release.Name }}}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      serviceAccountName: {{ .Release.Name }}
      containers:
      - {name: web, image: "web:{{ .Chart.AppVersion }}", ports: [{containerPort: 80, name: http}]}
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{name: http, port: 80, targetPort: http}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: {{ .Release.Name }}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .Release.Name }}}
  maxReplicas: 5
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: {{ .Release.Name }}}
spec:
  rules:
  - host: demo.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: {{ .Release.Name }}, port: {name: http}}}}]}
""",
    "templates/settings.yaml": """
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings}
data: {color: {{ .Values.color }}}
---
{{- if .Values.extra }}
apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-extra}
---
{{- end }}
apiVersion: v1
kind: Secret
metadata: {name: {{ .Release.Name }}-key}
stringData: {key: hidden}
---
apiVersion: demo.example.com/v1
kind: Gadget
metadata: {name: {{ .Release.Name }}}
spec: {}
""",
    "templates/hooks.yaml": """
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-migrate
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: "1"
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: m, image: migrate}]}
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-after
  annotations: {helm.sh/hook: "post-install,post-upgrade", helm.sh/hook-delete-policy: before-hook-creation}
data: {revision: "{{ .Release.Revision }}"}
""",
}


def write_chart():
    for name, text in FILES.items():
        file = FOLDER / "demo" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return FOLDER / "demo"


class Controllers(threading.Thread):
    """Says that every Deployment is available and every Job done, as long as it runs."""

    def __init__(self, api_client):
        super().__init__(daemon=True)
        self.api_client, self.over, self.jobs = api_client, threading.Event(), set()

    def run(self):
        apps, batch = client.AppsV1Api(self.api_client), client.BatchV1Api(self.api_client)
        while not self.over.wait(0.1):
            for it in apps.list_namespaced_deployment(NS).items:
                count, now = it.spec.replicas, "2024-01-01T00:00:00Z"
                if it.status.observed_generation == it.metadata.generation:
                    continue
                conditions = [
                    {"type": name, "status": "True", "reason": reason, "lastTransitionTime": now, "lastUpdateTime": now}
                    for name, reason in [("Available", "MinimumReplicasAvailable"), ("Progressing", "NewReplicaSetAvailable")]
                ]
                status = {"observedGeneration": it.metadata.generation, "conditions": conditions}
                status |= {name: count for name in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"]}
                apps.patch_namespaced_deployment_status(it.metadata.name, NS, {"status": status})
            for it in batch.list_namespaced_job(NS).items:
                self.jobs.add((it.metadata.name, it.metadata.uid))
                now = "2024-01-01T00:00:00Z"
                conditions = [
                    {"type": name, "status": "True", "lastTransitionTime": now}
                    for name in ["SuccessCriteriaMet", "Complete"]
                ]
                status = {"succeeded": 1, "startTime": now, "completionTime": now, "conditions": conditions}
                try:
                    batch.patch_namespaced_job_status(it.metadata.name, NS, {"status": status})
                except ApiException as error:
                    assert error.status == 404, error


def main():
    api_client = config.new_client_from_config(KUBECONFIG)
    core, apps = client.CoreV1Api(api_client), client.AppsV1Api(api_client)
    objects = client.CustomObjectsApi(api_client)
    core.create_namespace({"metadata": {"name": NS}})
    controllers = Controllers(api_client)
    controllers.start()

    def color():
        return core.read_namespaced_config_map("demo-settings", NS).data["color"]

    def maps():
        return {it.metadata.name for it in core.list_namespaced_config_map(NS).items} - {"kube-root-ca.crt"}

    chart = write_chart()
    with helm.Config(kubeconfig_path=KUBECONFIG, namespace=NS) as cluster:
        cluster.install(chart, "demo", namespace=NS, wait="watcher", timeout=60)
        assert maps() == {"demo-settings", "demo-extra", "demo-after"}, maps()
        assert apps.read_namespaced_deployment("demo", NS).spec.replicas == 2
        gadget = objects.get_namespaced_custom_object("demo.example.com", "v1", NS, "gadgets", "demo")
        assert gadget["spec"] == {"size": 3}, gadget
        assert gadget["metadata"]["annotations"]["meta.helm.sh/release-name"] == "demo"
        assert [name for name, _ in controllers.jobs] == ["demo-migrate"], controllers.jobs
        assert client.BatchV1Api(api_client).list_namespaced_job(NS).items == []

        kept = core.list_namespaced_secret(NS, field_selector="type=helm.sh/release.v1").items
        assert [it.metadata.name for it in kept] == ["sh.helm.release.v1.demo.v1"]
        assert kept[0].metadata.labels["status"] == "deployed", kept[0].metadata.labels

        # What someone else changed meanwhile, and the chart does not say, stays.
        core.patch_namespaced_config_map("demo-settings", NS, {"metadata": {"labels": {"mine": "1"}}})
        values = {"replicas": 3, "color": "blue", "extra": False}
        dry = cluster.upgrade(chart, "demo", values, namespace=NS, dry_run="server", timeout=60)
        assert "replicas: 3" in dry["manifest"] and color() == "red", dry
        cluster.upgrade(chart, "demo", values, namespace=NS, wait="watcher", timeout=60)
        assert (color(), apps.read_namespaced_deployment("demo", NS).spec.replicas) == ("blue", 3)
        assert maps() == {"demo-settings", "demo-after"}, maps()
        after = core.read_namespaced_config_map("demo-after", NS)
        assert after.data["revision"] == "2", after.data
        assert core.read_namespaced_config_map("demo-settings", NS).metadata.labels["mine"] == "1"

        cluster.rollback("demo", version=1, wait="watcher", timeout=60)
        assert color() == "red" and "demo-extra" in maps()
        states = [(it["revision"], it["status"]) for it in cluster.history("demo")]
        assert states == [(1, "superseded"), (2, "superseded"), (3, "deployed")], states

        try:
            cluster.upgrade(chart, "demo", {"replicas": -1}, namespace=NS, timeout=60)
            raise AssertionError("a negative number of replicas was not refused")
        except helm.HelmError as error:
            assert "must be greater than or equal to 0" in str(error), error
        assert apps.read_namespaced_deployment("demo", NS).spec.replicas == 2

        cluster.uninstall("demo", wait="watcher", timeout=60)
        # Hooks are not part of a release.
        assert maps() == {"demo-after"}, maps()
        assert cluster.list() == []
        assert apps.list_namespaced_deployment(NS).items == []
    controllers.over.set()


main()
