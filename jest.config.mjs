const long = process.env.FROMAGE_TEST_LONG === '1';

export default {
  testEnvironment: './test/setup/environment.mjs',
  extensionsToTreatAsEsm: ['.ts'],
  moduleFileExtensions: ['ts', 'mjs', 'js', 'json', 'node'],
  transform: { '\\.ts$': './test/setup/transform.mjs' },
  testMatch: long ? ['<rootDir>/test/**/*.{test,long}.ts'] : ['<rootDir>/test/**/*.test.ts'],
  modulePathIgnorePatterns: ['<rootDir>/prisma/tools', '<rootDir>/bench/.*/node_modules'],
  setupFilesAfterEnv: ['./test/setup/retry.mjs'],
  testTimeout: long ? 3_600_000 : 120_000,
  maxWorkers: 2,
};
