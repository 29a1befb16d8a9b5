// Jest runs each file in a context with typed arrays of its own, which native addons (onnxruntime) do
// not recognise. This environment hands the outer ones in.
import { TestEnvironment } from 'jest-environment-node';

export default class NativeArraysEnvironment extends TestEnvironment {
  async setup() {
    await super.setup();
    Object.assign(this.global, {
      ArrayBuffer, SharedArrayBuffer, DataView,
      Uint8Array, Int8Array, Uint8ClampedArray, Uint16Array, Int16Array, Uint32Array, Int32Array,
      BigInt64Array, BigUint64Array, Float32Array, Float64Array,
    });
    if (typeof Float16Array !== 'undefined') this.global.Float16Array = Float16Array;
  }
}
