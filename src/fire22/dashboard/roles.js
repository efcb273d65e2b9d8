// A role as a form holds it, and what a change of it gives and takes.

import { formatMinor, minorOf } from './format.js';

/** @typedef {{flagged?: boolean, withinOwn?: boolean, aloneMaxMinor?: number | null, aloneDayMinor?: number | null, approve?: boolean}} Grant */
/**
 * @typedef {object} Role
 * @property {string[] | null} topics  null: all
 * @property {boolean} publish
 * @property {boolean} address
 * @property {boolean} operate
 * @property {boolean} administer
 * @property {string} kind
 * @property {Record<string, Grant>} commands
 * @property {Record<string, string[]>} masks
 */

/** @type {['publish' | 'address' | 'operate' | 'administer', string][]} */
export const RIGHTS = [
  ['publish', 'Publish events'], ['address', 'Address single users, clients or everyone'], ['operate', 'Deal with dead letters'],
  ['administer', 'Administer users, tokens and roles'],
];

/**
 * The role that a form describes.
 *
 * @param {FormData} form
 * @param {Role} before
 * @param {string[]} commands  that there are
 * @returns {Role}
 */
export function roleIn(form, before, commands) {
  const isOn = (/** @type {string} */ name) => form.get(name) !== null;
  const granted = commands.filter((name) => isOn(`command ${name}`)).map((name) => {
    const alone = String(form.get(`alone ${name}`) ?? '').trim();
    /** @type {Grant} */ const grant = {};
    if (isOn(`flagged ${name}`)) grant.flagged = true;
    if (isOn(`own ${name}`)) grant.withinOwn = true;
    if (isOn(`approve ${name}`)) grant.approve = true;
    if (alone) grant.aloneMaxMinor = minorOf(alone);
    const day = String(form.get(`day ${name}`) ?? '').trim();
    if (day) grant.aloneDayMinor = minorOf(day);
    return [name, grant];
  });
  const masks = form.getAll('mask').map(String).map((line) => line.split(':')).filter(([, fields]) => fields?.trim());
  return {
    ...before,
    topics: isOn('all topics') ? null : form.getAll('topic').map(String).sort(),
    ...Object.fromEntries(RIGHTS.map(([right]) => [right, isOn(right)])),
    commands: Object.fromEntries(granted),
    masks: Object.fromEntries(masks.map(([topic, fields]) => [topic.trim(), fields.split(/[\s,]+/).filter(Boolean).sort()])),
  };
}

/** What a change gives and takes, a sentence each. @param {Role} before @param {Role} after @returns {string[]} */
export function changesOf(before, after) {
  const lines = [];
  for (const [right, title] of RIGHTS) {
    if (before[right] !== after[right]) lines.push(`${after[right] ? 'Gives' : 'Takes'}: ${title.toLowerCase()}`);
  }
  lines.push(...listed('topic', before.topics, after.topics));
  for (const name of new Set([...Object.keys(before.commands), ...Object.keys(after.commands)])) {
    const was = before.commands[name];
    const now = after.commands[name];
    if (!now) lines.push(`Takes the command ${name}`);
    else if (!was) lines.push(`Gives the command ${name}${limitsOf(now)}`);
    else if (limitsOf(was) !== limitsOf(now)) lines.push(`${name}: ${limitsOf(now).slice(2) || 'without limits'}`);
  }
  for (const topic of new Set([...Object.keys(before.masks), ...Object.keys(after.masks)])) {
    const [was, now] = [before.masks[topic] ?? [], after.masks[topic] ?? []].map((fields) => [...fields].sort().join(', '));
    if (was !== now) lines.push(now ? `Hides in ${topic}: ${now}` : `Hides nothing in ${topic} any more`);
  }
  return lines;
}

/** @param {string} what @param {string[] | null} before @param {string[] | null} after */
function listed(what, before, after) {
  if (before === null && after === null) return [];
  if (after === null) return [`Gives every ${what}`];
  if (before === null) return [`Takes every ${what} but: ${after.join(', ') || 'none'}`];
  const given = after.filter((each) => !before.includes(each));
  const taken = before.filter((each) => !after.includes(each));
  return [...given.map((each) => `Gives the ${what} ${each}`), ...taken.map((each) => `Takes the ${what} ${each}`)];
}

/** @param {Grant} grant */
export function limitsOf({ flagged, withinOwn, aloneMaxMinor, aloneDayMinor, approve }) {
  const alone = aloneMaxMinor === undefined || aloneMaxMinor === null ? '' : `, alone up to ${formatMinor(aloneMaxMinor)}`;
  const day = aloneDayMinor === undefined || aloneDayMinor === null ? '' : `, in 24 hours up to ${formatMinor(aloneDayMinor)}`;
  return `${flagged ? ', for flagged users' : ''}${withinOwn ? ', within the own limits' : ''}${alone}${day}${approve ? ', approves for others' : ''}`;
}
