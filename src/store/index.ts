// The door of the store: the contracts of chat, retrieval and learning on Prisma, over SQLite or PostgreSQL.
export { openStore } from './open.ts';
export type { Store, StoreOptions } from './open.ts';
export { hammingDistance } from './pictures.ts';
export { hashOfRows } from './train-sets.ts';
