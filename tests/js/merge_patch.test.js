import assert from 'node:assert/strict';
import { test } from 'node:test';

import { mergePatch } from '../../clients/js/src/merge_patch.js';
import { vectors } from './vectors.js';

for (const { name, target, patch, result } of vectors('merge_patch')) {
  test(`merge patch: ${name}`, () => {
    const before = JSON.stringify(target);
    assert.deepEqual(mergePatch(target, patch), result);
    assert.equal(JSON.stringify(target), before, 'the target itself was changed');
  });
}

test('a patch cannot reach the prototype of all objects', () => {
  mergePatch({}, JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}'));
  assert.equal(/** @type {any} */ ({}).polluted, undefined);
});
