// A process that ingests a tar until somebody kills it, and says on standard output what it has acknowledged.
//   node ingest.ts DATA_DIR TAR
import { openStoredGallery, EmbeddedIndex, ingest, openSource } from '../../../src/retrieval/index.ts';
import { openStore } from '../../../src/store/index.ts';
import { PictureWorker } from '../../../src/vision/index.ts';
import { encodeColours, shifted } from '../colours.ts';

const [dataDir = '', tar = ''] = process.argv.slice(2);
const store = await openStore({ dataDir });
const worker = new PictureWorker({ processes: 1 });
const gallery = await openStoredGallery({ pictures: store.pictures, files: store.files, encoder: 'colours', encode: encodeColours, decoder: worker, createIndex: (dim) => new EmbeddedIndex(dim, { threads: 1 }), refreshMs: 0 }, shifted(0));
const say = (line: string) => process.stdout.write(`${line}\n`);
say('started');
// Each picture counts as acknowledged when its batch was reported.
await ingest(await openSource(tar), { gallery, pictures: store.pictures, tenant: 'all', addedBy: null, batch: 2, onProgress: ({ seen }) => say(`acknowledged ${seen}`) });
say('done');
await gallery.close();
await worker.close();
await store.close();
process.exit(0);
