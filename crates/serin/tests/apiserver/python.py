"""What the Python client of Kubernetes does, against the server of a kubeconfig: python.py KUBECONFIG."""

import base64
import datetime
import sys
import threading
import uuid

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

api_client = config.new_client_from_config(sys.argv[1])
core = client.CoreV1Api(api_client)
NS = "default"


def refused(code, call, *args, **kwargs):
    """The failure of a call that has to fail with this code."""
    try:
        call(*args, **kwargs)
    except ApiException as error:
        assert error.status == code, error
        return error
    raise AssertionError(f"{call} was not refused")


def config_map(name, data=None, labels=None):
    metadata = client.V1ObjectMeta(name=name, labels=labels)
    return client.V1ConfigMap(metadata=metadata, data=data)


def typed_objects_come_back_as_they_were_made():
    made = core.create_namespaced_config_map(NS, config_map("typed", {"a": "1"}))
    assert isinstance(made.metadata.creation_timestamp, datetime.datetime)
    read = core.read_namespaced_config_map("typed", NS)
    assert read.data == {"a": "1"} and read.metadata.uid == made.metadata.uid
    read.data["b"] = "2"
    replaced = core.replace_namespaced_config_map("typed", NS, read)
    assert replaced.data == {"a": "1", "b": "2"}
    # The object that was read first is an old one by now.
    refused(409, core.replace_namespaced_config_map, "typed", NS, read)
    refused(409, core.create_namespaced_config_map, NS, config_map("typed"))
    core.delete_namespaced_config_map("typed", NS)
    refused(404, core.read_namespaced_config_map, "typed", NS)


def every_form_of_patch_is_taken():
    core.create_namespaced_config_map(NS, config_map("patched", {"a": "1", "b": "2"}))
    merged = core.patch_namespaced_config_map("patched", NS, {"data": {"b": None, "c": "3"}})
    assert merged.data == {"a": "1", "c": "3"}, merged.data
    steps = [{"op": "replace", "path": "/data/a", "value": "9"}]
    assert core.patch_namespaced_config_map("patched", NS, steps).data["a"] == "9"
    maps = dynamic.DynamicClient(api_client).resources.get(api_version="v1", kind="ConfigMap")
    for form in ["application/merge-patch+json", "application/strategic-merge-patch+json"]:
        body = {"data": {"form": form}}
        patched = maps.patch(body=body, name="patched", namespace=NS, content_type=form)
        assert patched.data["form"] == form
    core.delete_namespaced_config_map("patched", NS)


def server_side_apply_tells_conflicts():
    dynamic_client = dynamic.DynamicClient(api_client)
    maps = dynamic_client.resources.get(api_version="v1", kind="ConfigMap")
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    maps.server_side_apply(body=body, namespace=NS, field_manager="one")
    body["data"]["a"] = "2"
    conflict = None
    try:
        maps.server_side_apply(body=body, namespace=NS, field_manager="two")
    except dynamic.exceptions.ConflictError as error:
        conflict = error
    assert conflict and "FieldManagerConflict" in str(conflict.body), conflict
    forced = maps.server_side_apply(body=body, namespace=NS, field_manager="two", force_conflicts=True)
    managers = {it.manager: it.operation for it in forced.metadata.managedFields}
    assert managers == {"two": "Apply"}, managers
    maps.delete(name="applied", namespace=NS)


def lists_come_in_pages_and_by_selector():
    for number in range(7):
        core.create_namespaced_config_map(
            NS, config_map(f"page-{number}", labels={"paged": "yes", "odd": str(number % 2)})
        )
    names, token, pages = [], None, 0
    while True:
        page = core.list_namespaced_config_map(NS, label_selector="paged=yes", limit=3, _continue=token)
        names += [item.metadata.name for item in page.items]
        pages, token = pages + 1, page.metadata._continue
        if not token:
            break
    assert names == [f"page-{number}" for number in range(7)] and pages == 3
    odd = core.list_namespaced_config_map(NS, label_selector="paged,odd notin (0)")
    assert len(odd.items) == 3
    one = core.list_config_map_for_all_namespaces(field_selector="metadata.name=page-4")
    assert [item.metadata.name for item in one.items] == ["page-4"]
    core.delete_collection_namespaced_config_map(NS, label_selector="paged=yes")
    assert not core.list_namespaced_config_map(NS, label_selector="paged=yes").items


def a_watch_goes_on_from_where_a_list_ended():
    listed = core.list_namespaced_config_map(NS, label_selector="watched=yes")
    for name in ["first", "second"]:
        core.create_namespaced_config_map(NS, config_map(name, labels={"watched": "yes"}))
    core.patch_namespaced_config_map("first", NS, {"data": {"x": "1"}})
    core.delete_namespaced_config_map("second", NS)
    seen = []
    stream = watch.Watch()
    for event in stream.stream(
        core.list_namespaced_config_map, NS, label_selector="watched=yes",
        resource_version=listed.metadata.resource_version, timeout_seconds=30,
    ):
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            stream.stop()
    assert seen == [("ADDED", "first"), ("ADDED", "second"), ("MODIFIED", "first"), ("DELETED", "second")], seen
    core.delete_namespaced_config_map("first", NS)


def files_of_many_kinds_are_created():
    documents = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "made-of-dicts"}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "made-of-dicts"},
         "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "made-of-dicts"},
         "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
             "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}}},
        {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick", "namespace": "made-of-dicts"},
         "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": {
             "restartPolicy": "Never", "containers": [{"name": "tick", "image": "tick:1"}]}}}}}},
        {"apiVersion": "v1", "kind": "List", "items": [
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
             "metadata": {"name": "reader", "namespace": "made-of-dicts"},
             "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}]},
    ]
    for document in documents:
        utils.create_from_dict(api_client, document)
    deployment = client.AppsV1Api(api_client).read_namespaced_deployment("web", "made-of-dicts")
    container = deployment.spec.template.spec.containers[0]
    assert deployment.spec.strategy.rolling_update.max_surge == "25%"
    assert container.image_pull_policy == "IfNotPresent" and container.termination_message_policy == "File"
    scale = client.AppsV1Api(api_client).patch_namespaced_deployment_scale("web", "made-of-dicts", {"spec": {"replicas": 4}})
    assert scale.spec.replicas == 4 and scale.status.selector == "app=web"
    try:
        utils.create_from_dict(api_client, documents[1])
    except utils.FailToCreateError as error:
        assert error.api_exceptions[0].status == 409
    else:
        raise AssertionError("an object was made twice")
    core.delete_namespace("made-of-dicts")


def custom_resources_are_reached_dynamically():
    crds = client.ApiextensionsV1Api(api_client)
    schema = {"type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1}, "color": {"type": "string", "default": "red"}}}}}
    crds.create_custom_resource_definition({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gears.python.example"},
        "spec": {"group": "python.example", "scope": "Namespaced", "names": {"plural": "gears", "kind": "Gear"},
                 "versions": [{"name": "v1", "served": True, "storage": True,
                               "schema": {"openAPIV3Schema": schema}}]}})
    gears = dynamic.DynamicClient(api_client).resources.get(api_version="python.example/v1", kind="Gear")
    body = {"apiVersion": "python.example/v1", "kind": "Gear", "metadata": {"name": "g"}, "spec": {"size": 2}}
    assert gears.create(body=body, namespace=NS).spec.color == "red"
    try:
        gears.patch(body={"spec": {"size": 0}}, name="g", namespace=NS, content_type="application/merge-patch+json")
    except dynamic.exceptions.UnprocessibleEntityError as error:
        assert "should be greater than or equal to 1" in str(error.body), error.body
    else:
        raise AssertionError("a size of 0 was taken")
    custom = client.CustomObjectsApi(api_client)
    listed = custom.list_namespaced_custom_object("python.example", "v1", NS, "gears")
    assert [item["metadata"]["name"] for item in listed["items"]] == ["g"]
    crds.delete_custom_resource_definition("gears.python.example")


def leaders_are_elected_with_leases():
    leases, name = client.CoordinationV1Api(api_client), "leader"
    now = datetime.datetime.now(datetime.timezone.utc)
    spec = client.V1LeaseSpec(holder_identity="a", lease_duration_seconds=15, acquire_time=now, renew_time=now)
    lease = client.V1Lease(metadata=client.V1ObjectMeta(name=name), spec=spec)
    held = leases.create_namespaced_lease(NS, lease)
    assert held.spec.renew_time.microsecond == now.microsecond
    results = []

    def take(identity):
        mine = leases.read_namespaced_lease(name, NS)
        barrier.wait()
        mine.spec.holder_identity = identity
        try:
            leases.replace_namespaced_lease(name, NS, mine)
            results.append(identity)
        except ApiException as error:
            assert error.status == 409, error

    barrier = threading.Barrier(4)
    threads = [threading.Thread(target=take, args=(f"candidate-{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 1, results
    assert leases.read_namespaced_lease(name, NS).spec.holder_identity == results[0]
    leases.delete_namespaced_lease(name, NS)


def the_clients_own_election_leads():
    config.load_kube_config(sys.argv[1])
    led = threading.Event()
    lock = ConfigMapLock("election", NS, str(uuid.uuid4()))
    settings = electionconfig.Config(
        lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=led.set, onstopped_leading=None
    )
    threading.Thread(target=leaderelection.LeaderElection(settings).run, daemon=True).start()
    assert led.wait(30), "nobody leads"


def reviews_and_tokens_are_answered():
    auth = client.AuthorizationV1Api(api_client)
    attributes = client.V1ResourceAttributes(namespace=NS, verb="create", group="apps", resource="deployments")
    review = client.V1SelfSubjectAccessReview(spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=attributes))
    assert auth.create_self_subject_access_review(review).status.allowed
    request = client.AuthenticationV1TokenRequest(spec=client.V1TokenRequestSpec(audiences=[]))
    token = core.create_namespaced_service_account_token("default", NS, request).status.token
    judged = client.AuthenticationV1Api(api_client).create_token_review(
        client.V1TokenReview(spec=client.V1TokenReviewSpec(token=token)))
    assert judged.status.user.username == "system:serviceaccount:default:default"


def secrets_keep_bytes():
    raw = bytes(range(256))
    secret = client.V1Secret(metadata=client.V1ObjectMeta(name="bytes"), string_data={"text": "hi"},
                             data={"raw": base64.b64encode(raw).decode()})
    made = core.create_namespaced_secret(NS, secret)
    assert base64.b64decode(made.data["raw"]) == raw and base64.b64decode(made.data["text"]) == b"hi"
    assert made.type == "Opaque"
    core.delete_namespaced_secret("bytes", NS)


def releases_of_helm_are_kept_in_secrets():
    """Helm's driver: one Secret a revision, found by label, replaced when its state changes."""
    for version in [1, 2]:
        labels = {"owner": "helm", "name": "shop", "status": "deployed", "version": str(version)}
        metadata = client.V1ObjectMeta(name=f"sh.helm.release.v1.shop.v{version}", labels=labels)
        secret = client.V1Secret(metadata=metadata, type="helm.sh/release.v1", string_data={"release": "H4sI" * 9000})
        assert core.create_namespaced_secret(NS, secret).type == "helm.sh/release.v1"
        if version == 2:
            old = core.read_namespaced_secret("sh.helm.release.v1.shop.v1", NS)
            old.metadata.labels["status"] = "superseded"
            core.replace_namespaced_secret(old.metadata.name, NS, old)
    found = core.list_namespaced_secret(NS, label_selector="owner=helm,name=shop,status=deployed").items
    assert [item.metadata.labels["version"] for item in found] == ["2"]
    refused(409, core.create_namespaced_secret, NS, secret)
    core.delete_collection_namespaced_secret(NS, label_selector="owner=helm,name=shop")
    assert not core.list_namespaced_secret(NS, label_selector="owner=helm").items


def discovery_names_everything():
    groups = {group.name for group in client.ApisApi(api_client).get_api_versions().groups}
    assert {"apps", "batch", "networking.istio.io", "gateway.networking.k8s.io"} <= groups, groups
    resources = client.CoreV1Api(api_client).get_api_resources().resources
    assert "pods/log" in {resource.name for resource in resources}
    assert client.VersionApi(api_client).get_code().minor == "33"


for check in [
    typed_objects_come_back_as_they_were_made,
    every_form_of_patch_is_taken,
    server_side_apply_tells_conflicts,
    lists_come_in_pages_and_by_selector,
    a_watch_goes_on_from_where_a_list_ended,
    files_of_many_kinds_are_created,
    custom_resources_are_reached_dynamically,
    leaders_are_elected_with_leases,
    the_clients_own_election_leads,
    reviews_and_tokens_are_answered,
    secrets_keep_bytes,
    releases_of_helm_are_kept_in_secrets,
    discovery_names_everything,
]:
    check()
    print("ok", check.__name__, flush=True)
