// The page itself: one HTML file, one style sheet and the browser's TypeScript, whose types are stripped
// once when the server starts. Nothing comes from outside.
import { readdirSync, readFileSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';

const folder = fileURLToPath(new URL('./page/', import.meta.url));
const types: Record<string, string> = { html: 'text/html', css: 'text/css', js: 'text/javascript', svg: 'image/svg+xml' };

const pageHeaders = {
  'content-security-policy': "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cache-control': 'no-cache',
};

export function registerPage(app: FastifyInstance): void {
  const files = new Map<string, { type: string; body: string }>();
  for (const name of readdirSync(folder)) {
    const source = readFileSync(folder + name, 'utf8');
    const extension = name.split('.').at(-1) ?? '';
    if (extension === 'ts') files.set(name.replace(/\.ts$/, '.js'), { type: 'text/javascript', body: stripTypeScriptTypes(source).replaceAll(/(from '\.\/[\w-]+)\.ts'/g, "$1.js'") });
    else if (types[extension]) files.set(name, { type: types[extension], body: source });
  }
  app.get('/', async (_request, reply) => send(reply, 'index.html'));
  app.get<{ Params: { name: string } }>('/page/:name', async ({ params }, reply) => send(reply, params.name));

  function send(reply: { code(status: number): typeof reply; headers(values: object): typeof reply; send(body: string): unknown }, name: string) {
    const file = files.get(name);
    if (!file) return reply.code(404).send('not found');
    return reply.headers({ ...pageHeaders, 'content-type': `${file.type}; charset=utf-8` }).send(file.body);
  }
}
