// What Kubernetes' JavaScript client does, against the server of a kubeconfig: node node.mjs KUBECONFIG.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

// The package lies in a folder of tools, not beside this file.
const require = createRequire(path.join(process.env.TOOLS, 'package.json'));
const k8s = await import(pathToFileURL(require.resolve('@kubernetes/client-node')).href);

const config = new k8s.KubeConfig();
config.loadFromFile(process.argv[2]);
const core = config.makeApiClient(k8s.CoreV1Api);
const objects = k8s.KubernetesObjectApi.makeApiClient(config);
const namespace = 'default';

const map = (name, data, labels) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, labels }, data });

async function refused(code, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.code, code, String(error));
    return JSON.parse(error.body);
  }
  assert.fail('the call was not refused');
}

/// Resolves when `holds` does; asked again at each event of `emitter`.
function until(listen, holds) {
  return new Promise((resolve) => {
    const look = () => holds() && resolve();
    listen(look);
    look();
  });
}

const checks = {
  async 'typed objects come back as they were made'() {
    const made = await core.createNamespacedConfigMap({ namespace, body: map('typed', { a: '1' }) });
    assert.ok(made.metadata.creationTimestamp instanceof Date);
    const read = await core.readNamespacedConfigMap({ name: 'typed', namespace });
    read.data.b = '2';
    const replaced = await core.replaceNamespacedConfigMap({ name: 'typed', namespace, body: read });
    assert.deepEqual(replaced.data, { a: '1', b: '2' });
    const status = await refused(409, () => core.replaceNamespacedConfigMap({ name: 'typed', namespace, body: read }));
    assert.equal(status.reason, 'Conflict');
    await core.deleteNamespacedConfigMap({ name: 'typed', namespace });
    assert.equal((await refused(404, () => core.readNamespacedConfigMap({ name: 'typed', namespace }))).reason, 'NotFound');
  },

  async 'every form of patch is taken'() {
    await core.createNamespacedConfigMap({ namespace, body: map('patched', { a: '1' }) });
    const patch = (body, form) =>
      core.patchNamespacedConfigMap({ name: 'patched', namespace, body }, k8s.setHeaderOptions('Content-Type', form));
    const steps = [{ op: 'add', path: '/data/b', value: '2' }];
    assert.equal((await patch(steps, k8s.PatchStrategy.JsonPatch)).data.b, '2');
    assert.equal((await patch({ data: { a: null } }, k8s.PatchStrategy.MergePatch)).data.a, undefined);
    assert.equal((await patch({ data: { c: '3' } }, k8s.PatchStrategy.StrategicMergePatch)).data.c, '3');
    await core.deleteNamespacedConfigMap({ name: 'patched', namespace });
  },

  async 'objects of any kind are created, read, patched, listed and deleted'() {
    const spec = { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 'http' }] };
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace }, spec };
    const made = await objects.create(service);
    assert.match(made.spec.clusterIP, /^10\.96\./);
    const patched = await objects.patch(
      { ...service, metadata: { name: 'web', namespace, labels: { x: 'y' } } },
      undefined, undefined, 'node', undefined, k8s.PatchStrategy.MergePatch,
    );
    assert.equal(patched.metadata.labels.x, 'y');
    const applied = await objects.patch(
      { ...service, metadata: { name: 'web', namespace, annotations: { by: 'apply' } } },
      undefined, undefined, 'node-apply', true, k8s.PatchStrategy.ServerSideApply,
    );
    assert.equal(applied.metadata.annotations.by, 'apply');
    assert.ok((await objects.list('v1', 'Service', namespace)).items.some((item) => item.metadata.name === 'web'));
    await objects.delete(service);
    const gateway = {
      apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: { name: 'front', namespace },
      spec: { selector: { istio: 'ingressgateway' }, servers: [{ port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }] },
    };
    assert.equal((await objects.create(gateway)).spec.servers[0].port.number, 80);
    await objects.delete(gateway);
  },

  async 'a watch tells what happens'() {
    const listed = await core.listNamespacedConfigMap({ namespace });
    const seen = [];
    let wake = () => {};
    const query = { labelSelector: 'watched=node', resourceVersion: listed.metadata.resourceVersion, allowWatchBookmarks: true };
    const abort = await new k8s.Watch(config).watch(
      `/api/v1/namespaces/${namespace}/configmaps`, query,
      (type, object) => { seen.push([type, object.metadata.name]); wake(); },
      () => {},
    );
    await core.createNamespacedConfigMap({ namespace, body: map('watched', {}, { watched: 'node' }) });
    await core.createNamespacedConfigMap({ namespace, body: map('unwatched', {}) });
    await core.deleteNamespacedConfigMap({ name: 'watched', namespace });
    await core.deleteNamespacedConfigMap({ name: 'unwatched', namespace });
    await until((look) => { wake = look; }, () => seen.length >= 2);
    assert.deepEqual(seen, [['ADDED', 'watched'], ['DELETED', 'watched']]);
    abort.abort();
  },

  async 'an informer holds what is there'() {
    const informer = k8s.makeInformer(
      config, `/api/v1/namespaces/${namespace}/configmaps`,
      () => core.listNamespacedConfigMap({ namespace, labelSelector: 'informed=yes' }), 'informed=yes',
    );
    await core.createNamespacedConfigMap({ namespace, body: map('before', {}, { informed: 'yes' }) });
    const events = [];
    let wake = () => {};
    for (const kind of ['add', 'update', 'delete']) {
      informer.on(kind, (object) => { events.push(`${kind} ${object.metadata.name}`); wake(); });
    }
    // To stop is to abort a request, which the client tells as an error.
    let stops = false;
    informer.on('error', (error) => stops || assert.fail(String(error)));
    await informer.start();
    await core.createNamespacedConfigMap({ namespace, body: map('after', {}, { informed: 'yes' }) });
    await until((look) => { wake = look; }, () => events.includes('add after'));
    await core.deleteNamespacedConfigMap({ name: 'before', namespace });
    await until((look) => { wake = look; }, () => events.includes('delete before'));
    assert.deepEqual(informer.list(namespace).map((object) => object.metadata.name), ['after']);
    stops = true;
    await informer.stop();
    await core.deleteNamespacedConfigMap({ name: 'after', namespace });
  },

  async 'leases are held by one'() {
    const leases = config.makeApiClient(k8s.CoordinationV1Api);
    const now = new k8s.V1MicroTime();
    const body = { metadata: { name: 'node-leader' }, spec: { holderIdentity: 'a', leaseDurationSeconds: 15, renewTime: now } };
    const made = await leases.createNamespacedLease({ namespace, body });
    made.spec.holderIdentity = 'b';
    await leases.replaceNamespacedLease({ name: 'node-leader', namespace, body: made });
    made.spec.holderIdentity = 'c';
    await refused(409, () => leases.replaceNamespacedLease({ name: 'node-leader', namespace, body: made }));
    await leases.deleteNamespacedLease({ name: 'node-leader', namespace });
  },

  async 'an account has a token that says who it is'() {
    const body = { spec: { audiences: [] } };
    const made = await core.createNamespacedServiceAccountToken({ name: 'default', namespace, body });
    const as = new k8s.KubeConfig();
    as.loadFromClusterAndUser(config.getCurrentCluster(), { name: 'default', token: made.status.token });
    const authentication = as.makeApiClient(k8s.AuthenticationV1Api);
    const review = await authentication.createSelfSubjectReview({ body: {} });
    assert.equal(review.status.userInfo.username, 'system:serviceaccount:default:default');
    await refused(403, () => as.makeApiClient(k8s.CoreV1Api).listNamespacedSecret({ namespace }));
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log('ok', name);
}
process.exit(0);
