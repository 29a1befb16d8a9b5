// What lies under Fromage: Node, its packages, the runtime on each device, the picture decoder.
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { GraphBuilder, toModelBytes } from '../../onnx/graph/index.ts';
import { type Device, float32, openSession } from '../../onnx/run/index.ts';
import { PictureWorker } from '../../vision/index.ts';
import { type Check, checked } from './check.ts';

const root = resolve(import.meta.dirname, '../../..');
/** One red pixel. */
const png = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC', 'base64');

export function checkNode(): Promise<Check> {
  return checked('node', () => {
    const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
    const enough = major > 22 || (major === 22 && minor >= 12);
    return { state: enough ? 'ok' : 'fail', found: `${process.version} on ${process.platform}-${process.arch}`, ...(enough ? {} : { todo: 'install Node 24 LTS; 22.12 is the oldest that works' }) };
  });
}

/** Every dependency is there in exactly the version that was tested. */
export function checkPackages(): Promise<Check> {
  return checked('packages', () => {
    const { dependencies = {} } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies?: Record<string, string> };
    const wrong = Object.entries(dependencies).flatMap(([name, version]) => {
      const file = join(root, 'node_modules', name, 'package.json');
      if (!existsSync(file)) return [`${name} is missing`];
      const found = (JSON.parse(readFileSync(file, 'utf8')) as { version?: string }).version;
      return found === version ? [] : [`${name} is ${found}, expected ${version}`];
    });
    return wrong.length === 0 ? { state: 'ok', found: `${Object.keys(dependencies).length} as tested` } : { state: 'fail', found: wrong.join('; '), todo: 'run "npm ci" in the folder of Fromage' };
  });
}

/** A product worked out by hand, on a device. */
export function checkDevice(device: Device): Promise<Check> {
  return checked(`onnxruntime on ${device}`, async () => {
    const graph = new GraphBuilder('doctor');
    const x = graph.input('x', 'float32', [2, 2]);
    graph.output(graph.op('MatMul', [x, x]), 'y', 'float32', [2, 2]);
    let found: number[];
    try {
      const session = await openSession(toModelBytes(graph.build()), { device, threads: 1 });
      const { y } = await session.run({ x: float32(Float32Array.of(1, 2, 3, 4), [2, 2]) });
      found = Array.from(y?.data as Float32Array);
      await session.close();
    } catch (thrown) {
      const reason = thrown instanceof Error ? thrown.message.split('\n')[0]! : String(thrown);
      return { state: 'fail', found: reason.slice(0, 300), todo: device === 'cpu' ? 'run "npm ci" again; if it stays so, this processor or system is not supported by onnxruntime-node' : `docs/models.md tells what ${device} needs; FROMAGE_DEVICE=cpu works everywhere` };
    }
    const right = [7, 10, 15, 22].every((value, i) => Math.abs((found[i] ?? Number.NaN) - value) < 0.1);
    return right ? { state: 'ok', found: 'multiplies rightly' } : { state: 'fail', found: `[1 2; 3 4]² came out as ${found.join(' ')}`, todo: 'use FROMAGE_DEVICE=cpu and report this driver' };
  });
}

/** The whole way of a picture: another process, decoder, encoder. */
export function checkPictures(): Promise<Check> {
  return checked('pictures (sharp)', async () => {
    const worker = new PictureWorker();
    try {
      const { width, height, mimeType } = await worker.sanitize(png);
      return { state: width === 1 && height === 1 ? 'ok' : 'fail', found: `decodes and encodes (${mimeType})` };
    } finally {
      await worker.close();
    }
  });
}
