/** What can be stored: what JSON has, bytes, moments, and whole numbers beyond 2^53 as `bigint`. */
export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Date
  | readonly Value[]
  | { readonly [name: string]: Value | undefined };

/** Types of values, interfaces included; what only the module can tell, such as an instance of a class, it refuses. */
export type Storable = Value | object;

/** Whether two values are the same. */
export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (a instanceof Date || b instanceof Date) {
    return a instanceof Date && b instanceof Date && a.getTime() === b.getTime();
  }
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return false;
    return a.length === b.length && a.every((byte, at) => byte === b[at]);
  }
  if (a instanceof Map || b instanceof Map) {
    if (!(a instanceof Map) || !(b instanceof Map) || a.size !== b.size) return false;
    const [ours, theirs] = [[...a], [...b]];
    return ours.every((pair, at) => equal(pair, theirs[at]));
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b)) return false;
    return a.length === b.length && a.every((item, at) => equal(item, b[at]));
  }
  const [ours, theirs] = [Object.entries(a), Object.entries(b)];
  return ours.length === theirs.length && ours.every(([name, value], at) => name === theirs[at]?.[0] && equal(value, theirs[at][1]));
}
