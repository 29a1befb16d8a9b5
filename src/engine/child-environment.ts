// The environment of a process that runs models: no secrets, and on Linux huge pages for what malloc
// hands out, since a decode step reads all weights once and is bound by memory (EXPERIMENTS.md).

const secret = /TOKEN|SECRET|PASSWORD|API_KEY|DATABASE_URL/i;

export function modelProcessEnvironment(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(Object.entries(environment).filter(([name]) => !secret.test(name)));
  return process.platform === 'linux' && kept.GLIBC_TUNABLES === undefined ? { ...kept, GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1' } : kept;
}
