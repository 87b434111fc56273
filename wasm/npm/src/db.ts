import { RejoinError } from "./errors.js";
import type * as raw from "./glue.js";
import { load } from "./load.js";
import type { Handles, Schema } from "./schema.js";
import { Space } from "./space.js";
import type { Storage } from "./storage.js";
import { openFolder, openNamed } from "#storage";

/** The handles of a schema, and the space itself under `$`. */
export type Board<S extends Schema> = Handles<S> & { readonly $: Space };

/** How a database is opened. */
export type OpenOptions =
  | {
      /** A folder, in Node: what is awaited is in its files, and synced. */
      readonly path: string;
    }
  | {
      /** In a page: the name of a database of the browser. One tab at a time has it open. */
      readonly name: string;
    }
  | {
      /** Keeps nothing: what is written is gone when the process is, unless others have it. */
      readonly volatile: true;
    };

/** What moves messages to peers. @internal */
export type Carry = (to: string, message: Uint8Array) => void;

/** Journals shorter than this are left as they are. */
const SHORT = 1024 * 1024;

/** The spaces of this device. */
export class Db {
  readonly #node: raw.Node;
  readonly #storage: Storage | undefined;
  readonly #spaces = new Map<string, Space>();

  /** @internal */
  constructor(node: raw.Node, storage?: Storage) {
    this.#node = node;
    this.#storage = storage;
    for (const space of node.spaces()) this.#space(space);
  }

  /** The id under which others meet it. */
  get id(): string {
    return this.#node.id();
  }

  /** Whether what is awaited outlives this process. */
  get isDurable(): boolean {
    return this.#storage !== undefined;
  }

  /** The spaces that are here, by name. */
  get spaces(): readonly Space[] {
    return [...this.#spaces.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** The spaces that were kept and cannot be used, and why. Nothing of them was changed. */
  get unusable(): readonly { readonly id: string; readonly why: string }[] {
    return this.#node.unusable().map(([id, why]) => ({ id, why }));
  }

  /** A space that is here, by its name or its id. */
  space<S extends Schema>(name: string, schema: S): Board<S> {
    const space = this.spaces.find((here) => here.name === name || here.id === name);
    if (space === undefined) {
      const names = this.spaces.map((here) => here.name).join(", ") || "none yet";
      throw new RejoinError("UNKNOWN_SPACE", `there is no space ${name} here; there is ${names}`);
    }
    return space.open(schema);
  }

  /** Begins a new space. */
  async create<S extends Schema>(schema: S, { name }: { name?: string } = {}): Promise<Board<S>> {
    const names = new Set(this.spaces.map((space) => space.name));
    let free = name ?? "space";
    for (let number = 2; name === undefined && names.has(free); number += 1) free = `space-${number}`;
    return this.#space(await this.#node.create(free)).open(schema);
  }

  /** Joins the space of a ticket. Works offline too: what is there to get comes when somebody is met. */
  async join<S extends Schema>(ticket: string, schema: S): Promise<Board<S>> {
    return this.#space(await this.#node.join(ticket)).open(schema);
  }

  /** Keeps what waits to be kept, and lets go of everything. Handles show what they last did, and take no more writes. */
  async close(): Promise<void> {
    await this.#node.close();
    await this.#storage?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** @internal */
  async compact(): Promise<void> {
    if (this.#storage === undefined) return;
    const size = (records: Uint8Array[]): number => records.reduce((sum, record) => sum + record.length, 0);
    const kept = this.#storage.kept.splice(0);
    for (const space of this.#node.spaces()) {
      const id = space.id();
      const before = size(kept.find(([here]) => here === id)?.[1] ?? []);
      if (before < SHORT) continue;
      const image = space.image();
      // One that cannot be shortened, for want of room perhaps, stays as it is until the next time.
      if (before > 2 * size(image)) await this.#storage.replace(id, image).catch(() => {});
    }
  }

  #space(it: raw.Space): Space {
    const id = it.id();
    const space = this.#spaces.get(id) ?? new Space(it);
    this.#spaces.set(id, space);
    return space;
  }
}

/** @internal */
export async function openNode(carry?: Carry, storage?: Storage): Promise<raw.Node> {
  const { Node } = await load();
  const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));
  return Node.open(storage?.seed ?? random(32), storage?.place ?? random(16), carry, storage, storage?.kept);
}

/** Opens the database of this device. Loads the module the first time. */
export async function open(options: OpenOptions): Promise<Db> {
  const { path, name, volatile } = (options ?? {}) as { path?: unknown; name?: unknown; volatile?: unknown };
  if (typeof path === "string" || typeof name === "string") {
    const storage = await (typeof path === "string" ? openFolder(path) : openNamed(name as string));
    try {
      const db = new Db(await openNode(undefined, storage), storage);
      await db.compact();
      return db;
    } catch (error) {
      await storage.close();
      throw error;
    }
  }
  if (volatile !== true) {
    throw new RejoinError(
      "STORAGE",
      "say where: open({ name: NAME }) in a page, open({ path: FOLDER }) in Node, or open({ volatile: true }) to keep nothing",
    );
  }
  return new Db(await openNode());
}
