import { Commit } from "./commit.js";
import type * as raw from "./glue.js";
import { Source } from "./readable.js";

/** What a handle tells its space: that it has written. */
export interface Owner {
  touched(path: string): void;
}

abstract class Handle<R, T> extends Source<T> {
  constructor(
    protected readonly raw: R,
    protected readonly owner: Owner,
    /** Where it is in its space. */
    readonly path: string,
  ) {
    super();
  }

  protected wrote<V>(written: raw.Written, value: V): Commit<V> {
    this.owner.touched(this.path);
    return new Commit(written, value);
  }
}

/** A number that all devices add to. */
export class Counter extends Handle<raw.Counter, number> {
  /** Adds a whole number, which may be negative. */
  add(n = 1): Commit {
    return this.wrote(this.raw.add(BigInt(n)), undefined);
  }

  /** Takes back what is known here; what others add meanwhile stays. */
  reset(): Commit {
    return this.wrote(this.raw.reset(), undefined);
  }

  protected read(): number {
    // Beyond 2^53 a number would not be exact: what the module gives is then a bigint, and an error here.
    const value: unknown = this.raw.value();
    if (typeof value === "number") return value;
    throw new RangeError("this counter is beyond 2^53");
  }
}

/** For how long a value lives. */
export interface Lives {
  /** Milliseconds from now on; for ever without it. */
  ttl?: number;
}

/** Elements without an order of their own: of an insertion and a removal at the same time the insertion stays. */
export class OrSet<T> extends Handle<raw.OrSet, readonly T[]> {
  add(element: T, { ttl }: Lives = {}): Commit {
    return this.wrote(this.raw.insert(element, ttl), undefined);
  }

  delete(element: T): Commit {
    return this.wrote(this.raw.remove(element), undefined);
  }

  has(element: T): boolean {
    return this.raw.contains(element);
  }

  protected read(): readonly T[] {
    return this.raw.elements() as T[];
  }
}

/** Values by keys: of two written at the same time the later one stays. */
export class LwwMap<T, K extends string | number = string> extends Handle<raw.LwwMap, ReadonlyMap<K, T>> {
  set(key: K, value: T, { ttl }: Lives = {}): Commit {
    return this.wrote(this.raw.put(key, value, ttl), undefined);
  }

  /** Sets a key to what the function makes of its value. What others write meanwhile is not seen. */
  update(key: K, change: (value: T | undefined) => T): Commit {
    return this.set(key, change(this.get(key)));
  }

  delete(key: K): Commit {
    return this.wrote(this.raw.remove(key), undefined);
  }

  get(key: K): T | undefined {
    return this.raw.get(key) as T | undefined;
  }

  /** All values that devices gave a key at the same time, the one that shows first. */
  conflicts(key: K): readonly T[] {
    return this.raw.conflicts(key) as T[];
  }

  protected read(): ReadonlyMap<K, T> {
    return new Map(this.raw.entries() as [K, T][]);
  }
}

/** One value: of two written at the same time the later one stays. */
export class Register<T> extends Handle<raw.Register, T> {
  readonly #initial: T;

  /** @internal */
  constructor(it: raw.Register, owner: Owner, path: string, initial: T) {
    super(it, owner, path);
    this.#initial = initial;
  }

  set(value: T): Commit {
    return this.wrote(this.raw.put(value), undefined);
  }

  /** All values that devices set at the same time, the one that shows first. */
  conflicts(): readonly T[] {
    return this.raw.conflicts() as T[];
  }

  protected read(): T {
    const value: unknown = this.raw.get();
    return value === undefined ? this.#initial : (value as T);
  }
}

/** An item of a list, which keeps its name wherever it is moved to. */
export interface Item<T> {
  readonly id: string;
  readonly value: T;
}

/** Values in an order that people choose. */
export class List<T> extends Handle<raw.List, readonly Item<T>[]> {
  /** Puts an item at a place; at the end, if that is further. Gives its name. */
  insert(index: number, value: T): Commit<string> {
    return this.#inserted(this.raw.insert(index, value));
  }

  /** Puts an item at the end. Gives its name. */
  push(value: T): Commit<string> {
    return this.#inserted(this.raw.push(value));
  }

  set(id: string, value: T): Commit {
    return this.wrote(this.raw.set(id, value), undefined);
  }

  move(id: string, index: number): Commit {
    return this.wrote(this.raw.moveTo(id, index), undefined);
  }

  delete(id: string): Commit {
    return this.wrote(this.raw.remove(id), undefined);
  }

  #inserted(inserted: raw.Inserted): Commit<string> {
    return this.wrote(inserted.written() as raw.Written, inserted.item);
  }

  protected read(): readonly Item<T>[] {
    return (this.raw.items() as [string, T][]).map(([id, value]) => ({ id, value }));
  }
}

/** A line of a log. */
export interface Line<T> {
  readonly value: T;
  /** Milliseconds since 1970, by the author's clock. */
  readonly time: number;
  readonly author: string;
}

/** Entries that are added and never changed; `value` has the last hundred. */
export class Log<T> extends Handle<raw.Log, readonly Line<T>[]> {
  append(value: T): Commit {
    return this.wrote(this.raw.append(value), undefined);
  }

  /** The last entries, oldest first. */
  tail(most: number): readonly Line<T>[] {
    return this.raw.tail(most) as Line<T>[];
  }

  get length(): number {
    return this.raw.len() as number;
  }

  protected read(): readonly Line<T>[] {
    return this.tail(100);
  }
}
