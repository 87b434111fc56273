import { Counter, List, Log, LwwMap, OrSet, Register, type Owner } from "./handles.js";
import type * as raw from "./glue.js";
import type { Storable } from "./values.js";

/** One field of a schema: what is at a path. */
export interface Field<H> {
  /** @internal */
  readonly open: (space: raw.Space, owner: Owner, path: string) => H;
}

/** Fields by name; the name is the path. */
export type Schema = Record<string, Field<unknown>>;

/** The handles of a schema. */
export type Handles<S extends Schema> = { readonly [K in keyof S]: S[K] extends Field<infer H> ? H : never };

/** A number that all devices add to. */
export const counter = (): Field<Counter> => ({
  open: (space, owner, path) => new Counter(space.counter(path), owner, path),
});

/** Elements without an order of their own. */
export const set = <T extends Storable>(): Field<OrSet<T>> => ({
  open: (space, owner, path) => new OrSet(space.set(path), owner, path),
});

/** Values by keys. */
export const map = <T extends Storable, K extends string | number = string>(): Field<LwwMap<T, K>> => ({
  open: (space, owner, path) => new LwwMap(space.map(path), owner, path),
});

/** One value; `initial` shows until one is set. */
// Not `extends Storable`: then the type of `register("Untitled")` would be that very text.
export function register<T>(initial: T): Field<Register<T>>;
export function register<T>(): Field<Register<T | undefined>>;
export function register<T>(initial?: T): Field<Register<T | undefined>> {
  return { open: (space, owner, path) => new Register(space.register(path), owner, path, initial) };
}

/** Values in an order that people choose. */
export const list = <T extends Storable>(): Field<List<T>> => ({
  open: (space, owner, path) => new List(space.list(path), owner, path),
});

/** Entries that are added and never changed. */
export const log = <T extends Storable>(): Field<Log<T>> => ({
  open: (space, owner, path) => new Log(space.log(path), owner, path),
});
