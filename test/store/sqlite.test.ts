import { storeContract } from '../contracts/store.ts';

storeContract('the store on SQLite', () => undefined);
