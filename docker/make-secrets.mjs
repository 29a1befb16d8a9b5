// Writes the secrets that compose.yml mounts: `node docker/make-secrets.mjs`. Passwords and the API key are
// random; what is there already is kept. The bots' tokens are left empty: put them into their files, an
// empty one means that the platform is not connected.
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2] ?? join(import.meta.dirname, 'secrets');
// The folder is closed to others on the host; the files are open to the container's user, who is nobody here.
mkdirSync(folder, { recursive: true });
chmodSync(folder, 0o700);

function keep(name, make) {
  const path = join(folder, name);
  if (!existsSync(path)) {
    writeFileSync(path, make());
    chmodSync(path, 0o644);
    console.log(`wrote ${name}`);
  }
  return readFileSync(path, 'utf8').trim();
}

const random = () => randomBytes(24).toString('base64url');
const password = keep('postgres_password.txt', random);
keep('database_url.txt', () => `postgresql://fromage:${password}@postgres:5432/fromage`);
keep('fromage_api_key.txt', random);
keep('grafana_password.txt', random);
keep('discord_token.txt', () => '');
keep('telegram_token.txt', () => '');
console.log(`The page asks for the key in ${join(folder, 'fromage_api_key.txt')}.`);
