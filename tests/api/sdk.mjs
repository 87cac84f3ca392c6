// The official SDK against the API: each call of issue and contract, then each class of errors.
// Environment: API_URL, ACCOUNT, NUMBER, TOKEN, READ_TOKEN, EMAIL, EMAIL_KEY, CANARY.
import assert from 'node:assert/strict';
import Cloudflare from 'cloudflare';

const env = process.env;
const account_id = env.ACCOUNT;
const GATEWAY = '198.51.100.10';
let passed = 0, failed = 0, requests = 0;

async function counted(url, init) {
	requests += 1;
	return fetch(url, init);
}

function makeClient(options) {
	return new Cloudflare({ baseURL: env.API_URL, fetch: counted, apiToken: null, apiKey: null, apiEmail: null, ...options });
}

const client = makeClient({ apiToken: env.TOKEN });
const { ipsecTunnels, routes } = client.magicTransit;

async function test(name, fn) {
	try {
		await fn();
		passed += 1;
		console.log(`ok   ${name}`);
	} catch (e) {
		failed += 1;
		console.log(`FAIL ${name}: ${e.stack}`);
	}
}

// The call must be refused with this class, status and code, in one request.
async function refused(promise, type, status, code, pointer) {
	const before = requests;
	let error;
	try {
		await promise();
	} catch (e) {
		error = e;
	}
	assert.ok(error, 'it was not refused');
	assert.ok(error instanceof type, `${error.constructor.name}: ${error.message}`);
	assert.equal(error.status, status);
	assert.equal(error.errors[0].code, code, error.message);
	if (pointer)
		assert.equal(error.errors[0].source.pointer, pointer);
	assert.equal(requests - before, 1, 'the SDK tried again');
	return error;
}

const made = {};

await test('accounts.list', async () => {
	const list = [];
	for await (const account of client.accounts.list())
		list.push(account);
	assert.equal(list.length, 1);
	assert.equal(list[0].id, account_id);
	assert.equal(list[0].onramp.number, Number(env.NUMBER));
	assert.ok(list[0].name && list[0].settings && list[0].created_on);
});

await test('accounts.list by name', async () => {
	assert.equal((await client.accounts.list({ name: 'the first account' })).result.length, 1);
	assert.equal((await client.accounts.list({ name: 'no such account' })).result.length, 0);
});

await test('accounts.get by id and by number', async () => {
	assert.equal((await client.accounts.get({ account_id })).id, account_id);
	assert.equal((await client.accounts.get({ account_id: env.NUMBER })).id, account_id);
});

await test('user.tokens.verify and accounts.tokens.verify', async () => {
	const one = await client.user.tokens.verify();
	assert.equal(one.status, 'active');
	assert.match(one.id, /^[0-9a-f]{32}$/);
	assert.deepEqual(await client.accounts.tokens.verify({ account_id }), one);
});

await test('ipsecTunnels.create', async () => {
	const t = await ipsecTunnels.create({
		account_id, name: 'BRANCH_1', cloudflare_endpoint: GATEWAY, interface_address: '10.252.2.26/31',
		customer_endpoint: '203.0.113.254', description: 'ISP A', replay_protection: false, psk: env.CANARY,
		health_check: { type: 'request', direction: 'bidirectional', target: { saved: '' } }, 'x-magic-new-hc-target': true,
	});
	made.one = t;
	assert.match(t.id, /^[0-9a-f]{32}$/);
	assert.equal(t.name, 'BRANCH_1');
	assert.equal(t.interface_address, '10.252.2.26/31');
	assert.equal(t.customer_endpoint, '203.0.113.254');
	assert.equal(t.description, 'ISP A');
	assert.equal(t.replay_protection, false);
	assert.equal(t.automatic_return_routing, false);
	assert.equal(t.allow_null_cipher, false);
	assert.deepEqual(t.health_check, { enabled: true, rate: 'mid', type: 'request', direction: 'bidirectional',
		target: { saved: '', effective: '10.252.2.27' } });
	assert.equal(t.remote_identities.fqdn_id, `${t.id}.${env.NUMBER}.ipsec.cloudflare.com`);
	assert.equal(t.remote_identities.user_id, `ipsec@${t.id}.${env.NUMBER}.ipsec.cloudflare.com`);
	assert.equal(Buffer.from(t.remote_identities.hex_id, 'hex').toString(), `${env.NUMBER}_${t.id}`);
	assert.match(t.created_on, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
	assert.equal(t.psk_metadata.last_generated_on, t.created_on);
	assert.equal(t.psk, undefined);
});

await test('ipsecTunnels.create with the least', async () => {
	made.two = await ipsecTunnels.create({ account_id, name: 'BRANCH 2', cloudflare_endpoint: GATEWAY, interface_address: '10.252.2.29/30' });
	assert.deepEqual(made.two.psk_metadata, {});
	assert.equal(made.two.description, undefined);
	assert.equal(made.two.customer_endpoint, undefined);
	assert.equal(made.two.health_check.target, '');
	assert.equal(made.two.health_check.direction, 'bidirectional');
});

await test('ipsecTunnels.list', async () => {
	const { ipsec_tunnels } = await ipsecTunnels.list({ account_id });
	assert.equal(ipsec_tunnels.length, 2);
	assert.ok(ipsec_tunnels.every(t => t.health_check.target === ''));
	const other = await ipsecTunnels.list({ account_id, 'x-magic-new-hc-target': true });
	assert.ok(other.ipsec_tunnels.every(t => t.health_check.target.effective));
});

await test('ipsecTunnels.get', async () => {
	const { ipsec_tunnel } = await ipsecTunnels.get(made.one.id, { account_id, 'x-magic-new-hc-target': true });
	const { ipsec_tunnels, ...rest } = made.one;
	assert.deepEqual(ipsec_tunnel, rest);
});

await test('ipsecTunnels.update merges', async () => {
	const before = (await ipsecTunnels.get(made.one.id, { account_id })).ipsec_tunnel;
	const answer = await ipsecTunnels.update(made.one.id, { account_id, health_check: { rate: 'low' } });
	assert.equal(answer.modified, true);
	const after = answer.modified_ipsec_tunnel;
	assert.notEqual(after.modified_on, before.modified_on);
	assert.deepEqual({ ...after, modified_on: 0 }, { ...before, modified_on: 0, health_check: { ...before.health_check, rate: 'low' } });
	const named = await ipsecTunnels.update(made.one.id, { account_id, name: 'BRANCH_ONE', cloudflare_endpoint: GATEWAY, interface_address: '10.252.2.26/31' });
	assert.equal(named.modified_ipsec_tunnel.name, 'BRANCH_ONE');
	assert.equal(named.modified_ipsec_tunnel.description, 'ISP A');
});

await test('ipsecTunnels.bulkUpdate', async () => {
	const answer = await ipsecTunnels.bulkUpdate({ account_id, body: { ipsec_tunnels: [
		{ id: made.one.id, description: 'one' }, { id: made.two.id, description: 'two' }] } });
	assert.equal(answer.modified, true);
	assert.deepEqual(answer.modified_ipsec_tunnels.map(t => t.description), ['one', 'two']);
});

await test('ipsecTunnels.bulkUpdate swaps names and addresses', async () => {
	const swap = (a, b) => ipsecTunnels.bulkUpdate({ account_id, body: { ipsec_tunnels: [
		{ id: made.one.id, name: a, interface_address: '10.252.2.29/30' }, { id: made.two.id, name: b, interface_address: '10.252.2.26/31' }] } });
	await swap('BRANCH 2', 'BRANCH_ONE');
	const answer = await ipsecTunnels.bulkUpdate({ account_id, body: { ipsec_tunnels: [
		{ id: made.one.id, name: 'BRANCH_ONE', interface_address: '10.252.2.26/31' }, { id: made.two.id, name: 'BRANCH 2', interface_address: '10.252.2.29/30' }] } });
	assert.equal(answer.modified_ipsec_tunnels[1].interface_address, '10.252.2.29/30');
});

await test('ipsecTunnels.pskGenerate', async () => {
	const p = await ipsecTunnels.pskGenerate(made.one.id, { account_id });
	assert.match(p.psk, /^[A-Za-z0-9_-]{43}$/);
	assert.equal(p.ipsec_tunnel_id, made.one.id);
	assert.equal(p.ipsec_id, `${env.NUMBER}_${made.one.id}`);
	const { ipsec_tunnel } = await ipsecTunnels.get(made.one.id, { account_id });
	assert.deepEqual(ipsec_tunnel.psk_metadata, p.psk_metadata);
	const again = await ipsecTunnels.pskGenerate(made.one.id, { account_id, body: {} });
	assert.notEqual(again.psk, p.psk);
});

await test('ipsecTunnels.pskSet', async () => {
	const unknown = '0'.repeat(32), psk = 'a key that the caller chose';
	const p = await ipsecTunnels.pskSet({ account_id, psks: [{ id: made.two.id, psk }, { id: unknown, psk }] });
	assert.equal(p.successfully_applied_psks[made.two.id].psk, psk);
	assert.equal(p.successfully_applied_psks[made.two.id].ipsec_id, `${env.NUMBER}_${made.two.id}`);
	assert.deepEqual(p.unapplied_psks, { [unknown]: 'IPsec tunnel not found' });
});

await test('routes.create', async () => {
	made.route = await routes.create({ account_id, prefix: '10.1.100.0/24', nexthop: '10.252.2.27', priority: 100, weight: 64,
		scope: { colo_regions: ['WEUR'], colo_names: ['den01'] }, description: 'branch 1' });
	const { id, created_on, modified_on, routes: extra, ...rest } = made.route;
	assert.match(id, /^[0-9a-f]{32}$/);
	assert.deepEqual(rest, { prefix: '10.1.100.0/24', nexthop: '10.252.2.27', priority: 100, weight: 64,
		scope: { colo_regions: ['WEUR'], colo_names: ['den01'] }, description: 'branch 1' });
	made.route2 = await routes.create({ account_id, prefix: '10.10.10.100/24', nexthop: '10.252.2.30', priority: 0 });
	assert.equal(made.route2.prefix, '10.10.10.100/24');
	assert.equal(made.route2.weight, undefined);
});

await test('routes.list and routes.get', async () => {
	assert.equal((await routes.list({ account_id })).routes.length, 2);
	const { route } = await routes.get(made.route.id, { account_id });
	const { routes: extra, ...rest } = made.route;
	assert.deepEqual(route, rest);
});

await test('routes.update merges', async () => {
	const answer = await routes.update(made.route.id, { account_id, priority: 200 });
	assert.equal(answer.modified, true);
	assert.equal(answer.modified_route.priority, 200);
	assert.equal(answer.modified_route.weight, 64);
	assert.equal(answer.modified_route.description, 'branch 1');
	const reset = await routes.update(made.route.id, { account_id, weight: null });
	assert.equal(reset.modified_route.weight, undefined);
});

await test('a list of the scope comes back in the order in which it was sent', async () => {
	const scope = { colo_regions: ['WEUR', 'EEUR', 'AFR'], colo_names: ['fra02', 'ams01'] };
	assert.deepEqual((await routes.update(made.route.id, { account_id, scope })).modified_route.scope, scope);
	assert.deepEqual((await routes.get(made.route.id, { account_id })).route.scope, scope);
	await routes.update(made.route.id, { account_id, scope: { colo_regions: ['WEUR'], colo_names: ['den01'] } });
});

await test('routes.bulkUpdate', async () => {
	const answer = await routes.bulkUpdate({ account_id, routes: [{ id: made.route.id, priority: 1 }, { id: made.route2.id, priority: 2 }] });
	assert.equal(answer.modified, true);
	assert.deepEqual(answer.modified_routes.map(r => r.priority), [1, 2]);
});

await test('validate_only changes nothing', async () => {
	const query = { validate_only: true }, before = JSON.stringify([await ipsecTunnels.list({ account_id }), await routes.list({ account_id })]);
	const t = await ipsecTunnels.create({ account_id, name: 'X', cloudflare_endpoint: GATEWAY, interface_address: '10.9.0.0/31' }, { query });
	assert.equal(t.name, 'X');
	await ipsecTunnels.update(made.one.id, { account_id, name: 'Y', psk: 'something else entirely' }, { query });
	await ipsecTunnels.bulkUpdate({ account_id, body: { ipsec_tunnels: [{ id: made.one.id, name: 'Z' }] } }, { query });
	assert.equal((await ipsecTunnels.pskGenerate(made.one.id, { account_id }, { query })).psk, '');
	await ipsecTunnels.pskSet({ account_id, validate_only: true, psks: [{ id: made.one.id, psk: 'something else entirely' }] });
	await routes.create({ account_id, prefix: '10.77.0.0/16', nexthop: '10.252.2.27', priority: 5 }, { query });
	await routes.update(made.route.id, { account_id, priority: 77 }, { query });
	await routes.delete(made.route.id, { account_id }, { query });
	await refused(() => ipsecTunnels.create({ account_id, name: 'BRANCH_ONE', cloudflare_endpoint: GATEWAY, interface_address: '10.9.0.0/31' }, { query }),
		Cloudflare.BadRequestError, 400, 1101, '/name');
	assert.equal(JSON.stringify([await ipsecTunnels.list({ account_id }), await routes.list({ account_id })]), before);
});

await test('unknown parameters are ignored', async () => {
	const answer = await ipsecTunnels.update(made.one.id, { account_id, colour: 'blue', health_check: { colour: 'blue' } });
	assert.equal(answer.modified_ipsec_tunnel.colour, undefined);
});

await test('what this version cannot do is refused, its absence is not', async () => {
	const update = body => ipsecTunnels.update(made.one.id, { account_id, ...body });
	await update({ replay_protection: false, automatic_return_routing: false, bgp: null, custom_remote_identities: {} });
	assert.equal((await update({ replay_protection: true, onramp: { esn: true } })).modified_ipsec_tunnel.onramp.esn, true);
	await refused(() => update({ replay_protection: false }), Cloudflare.BadRequestError, 400, 1120, '/onramp/esn');
	await update({ replay_protection: false, onramp: { esn: false } });
	await update({ replay_protection: null, custom_remote_identities: { fqdn_id: '' } });
	for (const [body, pointer] of [
		[{ automatic_return_routing: true }, '/automatic_return_routing'],
		[{ bgp: { customer_asn: 65000 } }, '/bgp'],
		[{ custom_remote_identities: { fqdn_id: 'a.1.custom.ipsec.cloudflare.com' } }, '/custom_remote_identities/fqdn_id'],
		[{ onramp: { start_action: 'start' } }, '/onramp/start_action'],
	])
		await refused(() => update(body), Cloudflare.BadRequestError, 400, 1107, pointer);
});

await test('the object onramp', async () => {
	const answer = await ipsecTunnels.update(made.one.id, { account_id, onramp: { ike_lifetime: 3600, mss_clamp: 'off' } });
	assert.deepEqual(answer.modified_ipsec_tunnel.onramp, { ike_lifetime: 3600, child_lifetime: 28800, dpd_delay: 30,
		replay_window: 0, mss_clamp: 'off', outer_mtu: 1500, start_action: 'respond', profile: 'magic',
		esn: false, child_rekey_bytes: 0, child_rekey_packets: 0 });
	const again = await ipsecTunnels.update(made.one.id, { account_id, onramp: { mss_clamp: 1300 } });
	assert.equal(again.modified_ipsec_tunnel.onramp.ike_lifetime, 3600);
	assert.equal(again.modified_ipsec_tunnel.onramp.mss_clamp, 1300);
	const e = await refused(() => ipsecTunnels.update(made.one.id, { account_id, onramp: { ike_lifetme: 1 } }),
		Cloudflare.BadRequestError, 400, 1124, '/onramp/ike_lifetme');
	assert.match(e.errors[0].message, /ike_lifetime/);
});

await test('a name clash is one request', async () => {
	await refused(() => ipsecTunnels.create({ account_id, name: 'BRANCH_ONE', cloudflare_endpoint: GATEWAY, interface_address: '10.8.0.0/31' }),
		Cloudflare.BadRequestError, 400, 1101, '/name');
});

await test('400: null, wrong type, clashing address, foreign endpoint, bad values', async () => {
	const create = body => ipsecTunnels.create({ account_id, name: 'new', cloudflare_endpoint: GATEWAY, interface_address: '10.8.0.0/31', ...body });
	const bad = (body, code, pointer) => refused(() => create(body), Cloudflare.BadRequestError, 400, code, pointer);
	await bad({ description: null }, 1022, '/description');
	await bad({ name: 5 }, 1022, '/name');
	await bad({ interface_address: '10.252.2.27/31' }, 1104, '/interface_address');
	await bad({ cloudflare_endpoint: '192.0.2.99' }, 1102, '/cloudflare_endpoint');
	await bad({ interface_address: '192.0.2.0/31' }, 1103, '/interface_address');
	await bad({ psk: '' }, 1105, '/psk');
	await bad({ health_check: { rate: 'fast' } }, 1106, '/health_check/rate');
	await refused(() => routes.create({ account_id, prefix: '10.5.0.0/16', nexthop: '10.252.2.26', priority: 1 }), Cloudflare.BadRequestError, 400, 1111, '/nexthop');
	await refused(() => routes.create({ account_id, prefix: '10.1.100.0/24', nexthop: '10.252.2.27', priority: 1,
		scope: { colo_regions: ['WEUR'], colo_names: ['den01'] } }), Cloudflare.BadRequestError, 400, 1115, '/prefix');
	await refused(() => routes.empty({ account_id }), Cloudflare.BadRequestError, 400, 1022, '/routes');
	await refused(() => ipsecTunnels.delete(made.one.id, { account_id }), Cloudflare.BadRequestError, 400, 1123);
});

await test('400: no credentials, half of a pair, a pair that is wrong', async () => {
	await refused(() => makeClient({}).accounts.list(), Cloudflare.BadRequestError, 400, 9106);
	await refused(() => makeClient({ apiEmail: env.EMAIL }).accounts.list(), Cloudflare.BadRequestError, 400, 9106);
	await refused(() => makeClient({ apiEmail: 'other@example.net', apiKey: env.EMAIL_KEY }).accounts.list(), Cloudflare.BadRequestError, 400, 9103);
	await refused(() => makeClient({ apiEmail: env.EMAIL, apiKey: env.TOKEN }).accounts.list(), Cloudflare.BadRequestError, 400, 9103);
});

await test('401: a token that is unknown', async () => {
	await refused(() => makeClient({ apiToken: 'onr_' + 'A'.repeat(43) }).user.tokens.verify(), Cloudflare.AuthenticationError, 401, 10000);
});

await test('X-Auth-Email with X-Auth-Key, alone and with a foreign bearer token', async () => {
	assert.equal((await makeClient({ apiEmail: env.EMAIL.toUpperCase(), apiKey: env.EMAIL_KEY }).accounts.get({ account_id })).id, account_id);
	assert.equal((await makeClient({ apiToken: 'foreign', apiEmail: env.EMAIL, apiKey: env.EMAIL_KEY }).accounts.get({ account_id })).id, account_id);
});

await test('403: another account, writing with a token that may read', async () => {
	const reader = makeClient({ apiToken: env.READ_TOKEN });
	assert.equal((await reader.magicTransit.ipsecTunnels.list({ account_id })).ipsec_tunnels.length, 2);
	await refused(() => reader.magicTransit.ipsecTunnels.delete(made.one.id, { account_id }), Cloudflare.PermissionDeniedError, 403, 10001);
	await refused(() => reader.magicTransit.ipsecTunnels.pskGenerate(made.one.id, { account_id }), Cloudflare.PermissionDeniedError, 403, 10001);
	for (const other of [env.OTHER_ACCOUNT, env.OTHER_NUMBER, 'f'.repeat(32), '99999'])
		await refused(() => ipsecTunnels.list({ account_id: other }), Cloudflare.PermissionDeniedError, 403, 9109);
});

await test('404: ids of nothing', async () => {
	for (const id of ['0'.repeat(32), 'a/b', '0'.repeat(33), 'x']) {
		const gone = await refused(() => ipsecTunnels.get(id, { account_id }), Cloudflare.NotFoundError, 404, 1032);
		assert.match(gone.errors[0].message, /IPsec tunnel not found/);
		await refused(() => ipsecTunnels.update(id, { account_id, name: 'q' }), Cloudflare.NotFoundError, 404, 1032);
		await refused(() => ipsecTunnels.delete(id, { account_id }), Cloudflare.NotFoundError, 404, 1032);
		await refused(() => ipsecTunnels.pskGenerate(id, { account_id }), Cloudflare.NotFoundError, 404, 1032);
		const e = await refused(() => routes.get(id, { account_id }), Cloudflare.NotFoundError, 404, 1020);
		assert.match(e.errors[0].message, /Route not found/); // by which version 4 of the Terraform provider sees that one is gone
		await refused(() => routes.update(id, { account_id, priority: 1 }), Cloudflare.NotFoundError, 404, 1020);
		await refused(() => routes.delete(id, { account_id }), Cloudflare.NotFoundError, 404, 1020);
	}
	await refused(() => client.accounts.get({ account_id: 'no-account' }), Cloudflare.NotFoundError, 404, 7003);
	await refused(() => client.magicTransit.greTunnels.list({ account_id }), Cloudflare.NotFoundError, 404, 7003);
});

await test('many at once', async () => {
	const all = await Promise.all([...Array(24).keys()].map(i =>
		ipsecTunnels.create({ account_id, name: `many-${i}`, cloudflare_endpoint: GATEWAY, interface_address: `10.200.0.${2 * i}/31` })));
	assert.equal(new Set(all.map(t => t.id)).size, 24);
	await Promise.all(all.map((t, i) => routes.create({ account_id, prefix: `10.201.${i}.0/24`, nexthop: `10.200.0.${2 * i + 1}`, priority: 1 })));
	const list = (await routes.list({ account_id })).routes.filter(r => r.prefix.startsWith('10.201.'));
	assert.equal(list.length, 24);
	await Promise.all(list.map(r => routes.delete(r.id, { account_id })));
	await Promise.all(all.map(t => ipsecTunnels.delete(t.id, { account_id })));
});

await test('a run as Terraform makes it needs no second plan', async () => {
	const body = { account_id, name: 'tf', cloudflare_endpoint: GATEWAY, interface_address: '10.202.0.0/31', 'x-magic-new-hc-target': true,
		health_check: { enabled: true, rate: 'mid', type: 'reply', direction: 'unidirectional', target: { saved: '' } } };
	const t = await ipsecTunnels.create(body);
	const { ipsec_tunnel } = await ipsecTunnels.get(t.id, { account_id, 'x-magic-new-hc-target': true });
	for (const key of ['name', 'cloudflare_endpoint', 'interface_address'])
		assert.equal(ipsec_tunnel[key], body[key]);
	for (const key of ['replay_protection', 'automatic_return_routing', 'allow_null_cipher'])
		assert.equal(ipsec_tunnel[key], false);
	const { effective, ...target } = ipsec_tunnel.health_check.target;
	assert.deepEqual({ ...ipsec_tunnel.health_check, target }, body.health_check);
	assert.equal(ipsec_tunnel.created_on, t.created_on);
	await ipsecTunnels.delete(t.id, { account_id });
});

await test('routes.delete and ipsecTunnels.delete', async () => {
	for (const r of [made.route, made.route2]) {
		const answer = await routes.delete(r.id, { account_id });
		assert.equal(answer.deleted, true);
		assert.equal(answer.deleted_route.id, r.id);
	}
	for (const t of [made.one, made.two]) {
		const answer = await ipsecTunnels.delete(t.id, { account_id });
		assert.equal(answer.deleted, true);
		assert.equal(answer.deleted_ipsec_tunnel.id, t.id);
		await refused(() => ipsecTunnels.get(t.id, { account_id }), Cloudflare.NotFoundError, 404, 1032);
	}
	assert.deepEqual(await ipsecTunnels.list({ account_id }), { ipsec_tunnels: [] });
	assert.deepEqual(await routes.list({ account_id }), { routes: [] });
});

console.log(`sdk: ${passed} ${failed}`);
process.exit(failed ? 1 : 0);
