import { Commit } from "./commit.js";
import { RejoinError } from "./errors.js";
import type * as raw from "./glue.js";
import { Source, type Readable } from "./readable.js";
import type { Handles, Schema } from "./schema.js";

/** Another device, or tab, that holds the space too. */
export interface Peer {
  readonly id: string;
  readonly online: boolean;
  /** Both named the same root after the last change. */
  readonly inSync: boolean;
  /** When they last did, in milliseconds since 1970. */
  readonly provenAt: number | null;
  /** Changes known here that it has not said to hold. */
  readonly behind: number;
}

/** How far the space has come, in words and in figures. */
export interface Status {
  /** `alone`: nobody is connected; `syncing`: somebody is, and not all is proven equal; `in-sync`: it is. */
  readonly state: "alone" | "syncing" | "in-sync";
  /** The same for people. */
  readonly text: string;
  /** Own changes that no other device is known to keep. */
  readonly unsynced: number;
  readonly peers: readonly Peer[];
}

class StatusSource extends Source<Status> {
  constructor(private readonly raw: raw.Space) {
    super();
  }

  protected read(): Status {
    const { unsynced, peers } = this.raw.status() as { unsynced: number; peers: Peer[] };
    const online = peers.filter((peer) => peer.online);
    const same = online.filter((peer) => peer.inSync);
    const changes = `${unsynced} ${unsynced === 1 ? "change" : "changes"}`;
    const others = (count: number): string => `${count} ${count === 1 ? "other" : "others"}`;
    if (online.length === 0) {
      return { state: "alone", text: unsynced > 0 ? `${changes} only on this device` : "nobody is connected", unsynced, peers };
    }
    if (same.length === online.length) {
      return { state: "in-sync", text: `in sync with ${others(same.length)}`, unsynced, peers };
    }
    return { state: "syncing", text: `in sync with ${same.length} of ${others(online.length)}`, unsynced, peers };
  }
}

/** Something that somebody may want to know. */
export interface Incident {
  readonly code: string;
  /** The same for people. */
  readonly text: string;
}

class Incidents extends Source<readonly Incident[]> {
  constructor(private readonly raw: raw.Space) {
    super();
  }

  protected read(): readonly Incident[] {
    return this.raw.incidents().map(([code, text]) => ({ code, text }));
  }
}

/** What is shared, and with whom. */
export class Space {
  readonly #raw: raw.Space;
  readonly #sources = new Map<string, Source<unknown>[]>();
  readonly #status: StatusSource;
  readonly #incidents: Incidents;

  /** @internal */
  constructor(it: raw.Space) {
    this.#raw = it;
    this.#status = new StatusSource(it);
    this.#incidents = new Incidents(it);
    it.watch((what: unknown) => this.#told(what));
  }

  /** Its id, the same everywhere. */
  get id(): string {
    return this.#raw.id();
  }

  /** What it is called here. */
  get name(): string {
    return this.#raw.name();
  }

  /** The hash that names what is kept here: equal roots are equal data. */
  get root(): string {
    return this.#raw.root();
  }

  get status(): Readable<Status> {
    return this.#status;
  }

  /**
   * What happened since the space was opened that somebody may want to know, the newest 256: changes that were lost because they
   * could not be kept (`LOST`), above all, also those that nobody awaited.
   */
  get incidents(): Readable<readonly Incident[]> {
    return this.#incidents;
  }

  /**
   * Runs a function whose writes are one transaction: all of it is seen, here and everywhere, or nothing. Its reads see its
   * writes. What it throws is thrown, and nothing was written.
   */
  batch(run: () => void): Commit {
    try {
      const within = (): unknown => {
        const result: unknown = run();
        // An async function is refused, and nobody waits for what becomes of it.
        if (result instanceof Promise) result.catch(() => {});
        return result;
      };
      return new Commit(this.#raw.batch(within), undefined);
    } finally {
      // What was read within shows what may have been taken back.
      this.#changed(null);
    }
  }

  /** Waits until everything that was written here so far is kept. */
  async saved(): Promise<void> {
    await this.#raw.saved();
  }

  /** An invitation to this space. Whoever has it can join: it is a secret. */
  ticket(): Promise<string> {
    return this.#raw.ticket() as Promise<string>;
  }

  /** Keeps the newest own transactions, so that they can be taken back. */
  async keepUndo(limit: number): Promise<void> {
    await this.#raw.keepUndo(limit);
  }

  /** Takes back the newest own transaction that is kept; says whether there was one. */
  undo(): boolean {
    return this.#after(this.#raw.undo());
  }

  /** Does again what was taken back last; says whether there was anything. */
  redo(): boolean {
    return this.#after(this.#raw.redo());
  }

  /** @internal */
  open<S extends Schema>(schema: S): Handles<S> & { readonly $: Space } {
    const handles: Record<string, unknown> = {};
    const owner = { touched: (path: string): void => this.#changed([path]) };
    for (const [path, field] of Object.entries(schema)) {
      if (path === "$") throw new RejoinError("NAME", "a field cannot be called $: the space itself is there");
      const handle = field.open(this.#raw, owner, path) as Source<unknown>;
      this.#sources.set(path, [...(this.#sources.get(path) ?? []), handle]);
      handles[path] = handle;
    }
    return Object.freeze({ ...handles, $: this }) as Handles<S> & { readonly $: Space };
  }

  #after<T>(done: T): T {
    this.#changed(null);
    return done;
  }

  #told(what: unknown): void {
    if (what === "closed") {
      for (const source of this.#all()) source.end();
      return;
    }
    if (what === "incident") {
      this.#incidents.changed();
      // What was lost shows no longer.
      this.#changed(null);
    } else if (what === null || Array.isArray(what)) this.#changed(what);
    else this.#status.changed();
  }

  #changed(paths: readonly string[] | null): void {
    const sources = paths === null ? this.#all() : paths.flatMap((path) => this.#sources.get(path) ?? []);
    for (const source of sources) source.changed();
    this.#status.changed();
  }

  #all(): Source<unknown>[] {
    return [...this.#sources.values(), [this.#status, this.#incidents] as Source<unknown>[]].flat();
  }
}
