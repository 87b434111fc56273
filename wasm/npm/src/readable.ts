import { equal } from "./values.js";

/** A value that changes: read it, subscribe to it, or iterate over it. */
export interface Readable<T> extends AsyncIterable<T> {
  /** The value now. The same reference until it changes. */
  readonly value: T;
  /** Calls back with the value whenever it has changed, at most once a microtask. Returns what ends it. */
  readonly subscribe: (told: (value: T) => void) => () => void;
}

/** A value that is read anew when it may have changed. */
export abstract class Source<T> implements Readable<T> {
  #cached: { value: T } | undefined;
  #fresh = false;
  #told = new Set<(value: T) => void>();
  #waiting = false;
  #ended = false;
  #enders = new Set<() => void>();

  /** Reads the value. */
  protected abstract read(): T;

  get value(): T {
    if (!this.#fresh && !this.#ended) {
      const value = this.read();
      if (this.#cached === undefined || !equal(this.#cached.value, value)) this.#cached = { value };
      this.#fresh = true;
    }
    if (this.#cached === undefined) return this.read();
    return this.#cached.value;
  }

  readonly subscribe = (told: (value: T) => void): (() => void) => {
    // Each call is its own, even with one function.
    const own = (value: T): void => told(value);
    this.#told.add(own);
    // Whoever subscribes hears of changes from this value on.
    if (this.#told.size === 1 && !this.#ended) void this.value;
    return () => void this.#told.delete(own);
  };

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    let wake: () => void = () => {};
    const stop = this.subscribe(() => wake());
    const end = (): void => wake();
    this.#enders.add(end);
    try {
      let last = this.value;
      yield last;
      while (!this.#ended) {
        if (Object.is(this.value, last)) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        last = this.value;
        yield last;
      }
    } finally {
      stop();
      this.#enders.delete(end);
    }
  }

  /** It may have changed. */
  changed(): void {
    this.#fresh = false;
    if (this.#waiting || this.#told.size === 0) return;
    this.#waiting = true;
    queueMicrotask(() => {
      this.#waiting = false;
      if (this.#ended) return;
      const before = this.#cached;
      const value = this.value;
      if (before === this.#cached) return;
      for (const told of [...this.#told]) {
        try {
          told(value);
        } catch (error) {
          // One listener that fails keeps nobody else from hearing; the page hears of it as of any other error.
          queueMicrotask(() => {
            throw error;
          });
        }
      }
    });
  }

  /** It changes no more: what was read last stays, and whoever iterates is done. */
  end(): void {
    this.#ended = true;
    for (const ender of this.#enders) ender();
  }
}
