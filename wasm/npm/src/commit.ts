import type { Written } from "./glue.js";

/** A change that shows already. Await it to know that it is kept on this device, or ask for more. */
export class Commit<T = void> implements PromiseLike<T> {
  readonly #written: Written;
  readonly #value: T;
  #saved: Promise<T> | undefined;

  /** @internal */
  constructor(written: Written, value: T) {
    this.#written = written;
    this.#value = value;
  }

  then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#saved ??= this.#written.saved().then(() => this.#value);
    return this.#saved.then(done, failed);
  }

  /**
   * Waits until the change is kept here and `others` more devices have said that they keep it too. When that takes longer than
   * `timeout` milliseconds, an error with the code `NOT_CONFIRMED` says how many do; the change goes on syncing.
   */
  async confirmed(others: number, { timeout = 10_000 }: { timeout?: number } = {}): Promise<T> {
    await this.#written.confirmed(others, timeout);
    return this.#value;
  }
}
