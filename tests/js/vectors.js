import { readFileSync } from 'node:fs';

/** @param {string} name @returns {any[]} the cases of tests/vectors/<name>.json */
export function vectors(name) {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'));
}
