// A client of another author in a process of its own, and what it says of its checks.
import { type ChildProcess, spawn } from 'node:child_process';

/** A client's process: what it says of its checks, one a line, `ok name` or `bad name: why`. */
export class SecondClient {
  readonly name: string;
  readonly passed: string[] = [];
  readonly failed: string[] = [];
  readonly #child: ChildProcess;
  #out = '';

  constructor(name: string, command: string, args: readonly string[], env: Readonly<Record<string, string>>) {
    this.name = name;
    this.#child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child.stdout!.on('data', (chunk: Buffer) => this.#read(String(chunk)));
  }

  #read(text: string): void {
    const lines = (this.#out + text).split('\n');
    this.#out = lines.pop() ?? '';
    for (const line of lines) {
      const [, verdict, what = ''] = /^(ok|bad) (.*)$/.exec(line) ?? [];
      if (verdict === 'ok') this.pass(what);
      else if (verdict === 'bad') this.fail(what);
    }
  }

  pass(what: string): void {
    this.passed.push(what);
    console.log(`  ok   ${this.name}: ${what}`);
  }

  fail(what: string): void {
    this.failed.push(what);
    console.log(`  BAD  ${this.name}: ${what}`);
  }

  /** Waits until the client says that a check passed; a check that never comes has failed. */
  async heard(what: string, timeoutMs = 20_000): Promise<void> {
    const over = (): boolean => this.passed.includes(what) || this.failed.some((line) => line.startsWith(what));
    for (const end = Date.now() + timeoutMs; !over(); await pause(20)) {
      if (Date.now() < end && this.#child.exitCode === null) continue;
      this.fail(`${what}: nothing was heard of it`);
      return;
    }
  }

  /** What the server saw must be so, at the latest after a while. */
  async seen(what: string, look: () => boolean, timeoutMs = 10_000): Promise<void> {
    for (const end = Date.now() + timeoutMs; ; await pause(20)) {
      if (look()) return this.pass(what);
      if (Date.now() > end) return this.fail(what);
    }
  }

  end(): void {
    this.#child.kill('SIGKILL');
  }
}

export const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
