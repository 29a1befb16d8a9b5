// Jest's transform: strips the types the way Node itself does at run time, so that tests and product
// run the same JavaScript.
import { stripTypeScriptTypes } from 'node:module';

export default {
  process(source, filename) {
    return { code: filename.endsWith('.ts') ? stripTypeScriptTypes(source) : source };
  },
  getCacheKey(source, filename) {
    return `${process.version}:${filename}:${source.length}:${hash(source)}`;
  },
};

function hash(text) {
  let value = 0;
  for (let i = 0; i < text.length; i++) value = (Math.imul(value, 31) + text.charCodeAt(i)) | 0;
  return value;
}
