// Reads a Dockerfile: as much of the language as ours use, an error for anything else.

export interface Instruction {
  readonly name: string;
  /** The words after it, options (`--from=…`) apart. */
  readonly words: readonly string[];
  readonly options: Readonly<Record<string, string>>;
  readonly text: string;
}

export interface Stage {
  readonly image: string;
  readonly alias: string | null;
  readonly instructions: readonly Instruction[];
}

const known = new Set(['FROM', 'WORKDIR', 'COPY', 'RUN', 'ENV', 'USER', 'VOLUME', 'EXPOSE', 'STOPSIGNAL', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD']);

export function parseDockerfile(text: string): readonly Stage[] {
  const lines = text.split('\n').filter((line) => !/^\s*(#|$)/.test(line)).join('\n').replaceAll(/\\\n\s*/g, ' ').split('\n');
  const stages: { image: string; alias: string | null; instructions: Instruction[] }[] = [];
  for (const line of lines) {
    const [, name = '', rest = ''] = /^([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    if (!known.has(name)) throw new Error(`not an instruction that is read here: ${line}`);
    if (name === 'FROM') {
      const [, image = '', alias = null] = /^(\S+)(?: AS (\S+))?$/.exec(rest) ?? [];
      stages.push({ image, alias, instructions: [] });
      continue;
    }
    const options: Record<string, string> = {};
    const words = rest.split(/\s+/).filter((word) => {
      const option = name === 'COPY' || name === 'HEALTHCHECK' ? /^--([a-z-]+)=(.*)$/.exec(word) : null;
      if (option) options[option[1] ?? ''] = option[2] ?? '';
      return !option;
    });
    const stage = stages.at(-1);
    if (!stage) throw new Error('an instruction before FROM');
    stage.instructions.push({ name, words, options, text: words.join(' ') });
  }
  return stages;
}

export function environmentOf(stage: Stage): Record<string, string> {
  return Object.fromEntries(stage.instructions.filter((one) => one.name === 'ENV').flatMap((one) => one.words.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)])));
}

/** The last instruction of a kind, its JSON form read. */
export function commandOf(stage: Stage, name: string): readonly string[] {
  const text = stage.instructions.findLast((one) => one.name === name)?.text ?? '[]';
  return JSON.parse(text.replace(/^CMD /, '')) as string[];
}

/** Whether a `.dockerignore` in allow-list form (`*`, then `!path`) lets a path through. */
export function isSentToBuilder(ignore: string, path: string): boolean {
  const lines = ignore.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  if (lines[0] !== '*' || lines.slice(1).some((line) => !line.startsWith('!'))) throw new Error('.dockerignore is not a list of what is allowed');
  return lines.slice(1).some((line) => {
    const allowed = new RegExp(`^${line.slice(1).replaceAll('.', '\\.').replaceAll('*', '[^/]*')}(/|$)`);
    return allowed.test(path);
  });
}
