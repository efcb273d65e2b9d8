// The sparklines' history: at most 120 samples. When they are used up every other one goes and the interval doubles, so that
// the line always reaches back to the first sample, first by the second, after a day by the quarter of an hour.

export const SAMPLES_MAX = 120;
const INTERVAL_MS_MIN = 1000;

/** @typedef {{atMs: number, values: number[]}} Sample  values in the order of FIGURES */
/** @typedef {{name: string, intervalMs: number, list: Sample[]}} Samples  name: of the feed and scope they belong to */

/** @param {string} name @returns {Samples} */
export function noSamples(name) {
  return { name, intervalMs: INTERVAL_MS_MIN, list: [] };
}

/** @param {Samples} samples @param {number} nowMs @param {number[]} values @returns {Samples} */
export function addSample(samples, nowMs, values) {
  const { list, intervalMs } = samples;
  const last = list[list.length - 1];
  if (last && nowMs - last.atMs < intervalMs) return samples;
  const longer = [...list, { atMs: nowMs, values }];
  if (longer.length <= SAMPLES_MAX) return { ...samples, list: longer };
  return { ...samples, intervalMs: 2 * intervalMs, list: longer.filter((_, index) => index % 2 === 0) };
}

const PREFIX = 'fire22.samples.';

/** @param {Storage} storage @param {Samples} samples */
export function saveSamples(storage, samples) {
  try {
    for (const key of Object.keys(storage)) if (key.startsWith(PREFIX) && key !== PREFIX + samples.name) storage.removeItem(key);
    storage.setItem(PREFIX + samples.name, JSON.stringify(samples));
  } catch {
    // Storage is full or forbidden: the line then starts anew after a reload.
  }
}

/** @param {Storage} storage @param {string} name @returns {Samples} */
export function loadSamples(storage, name) {
  try {
    const samples = JSON.parse(storage.getItem(PREFIX + name) ?? 'null');
    if (samples?.name === name && samples.intervalMs > 0 && Array.isArray(samples.list)) return samples;
  } catch {
    // What cannot be read is not worth keeping.
  }
  return noSamples(name);
}
