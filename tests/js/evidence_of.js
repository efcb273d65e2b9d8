// Reads alerts as JSON from standard input, and prints what the page shows of the evidence of each.

import { readFileSync } from 'node:fs';

import { entriesOf, isKnown } from '../../src/fire22/dashboard/evidence.js';

const alerts = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(alerts.map((/** @type {any} */ { rule, evidence }) => ({
  entries: entriesOf(rule, evidence), unknown: Object.keys(evidence).filter((name) => !isKnown(rule, name)),
}))));
