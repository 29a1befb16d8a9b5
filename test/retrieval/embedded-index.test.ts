import { EmbeddedIndex } from '../../src/retrieval/index.ts';
import { imageIndexContract } from '../contracts/image-index.ts';

imageIndexContract('the embedded index', async (dim) => new EmbeddedIndex(dim, { threads: 1 }));
