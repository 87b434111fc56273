import { RejoinError } from "./errors.js";
import type * as raw from "./glue.js";
import { load } from "./load.js";
import type { Handles, Schema } from "./schema.js";
import { Space } from "./space.js";

/** The handles of a schema, and the space itself under `$`. */
export type Board<S extends Schema> = Handles<S> & { readonly $: Space };

/** How a database is opened. */
export interface OpenOptions {
  /**
   * Keeps nothing: what is written is gone when the page is, unless others have it. The only kind of storage so far, so it has to
   * be said.
   */
  readonly volatile: true;
}

/** What moves messages to peers. @internal */
export type Carry = (to: string, message: Uint8Array) => void;

/** The spaces of this device. */
export class Db {
  readonly #node: raw.Node;
  readonly #spaces = new Map<string, Space>();

  /** @internal */
  constructor(node: raw.Node) {
    this.#node = node;
  }

  /** The id under which others meet it. */
  get id(): string {
    return this.#node.id();
  }

  /** Begins a new space. */
  async create<S extends Schema>(schema: S, { name }: { name?: string } = {}): Promise<Board<S>> {
    const names = new Set([...this.#spaces.values()].map((space) => space.name));
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
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #space(it: raw.Space): Space {
    const id = it.id();
    const space = this.#spaces.get(id) ?? new Space(it);
    this.#spaces.set(id, space);
    return space;
  }
}

/** @internal */
export async function openNode(carry?: Carry): Promise<raw.Node> {
  const { Node } = await load();
  const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));
  return Node.open(random(32), random(16), carry);
}

/** Opens the database of this device. Loads the module the first time. */
export async function open(options: OpenOptions): Promise<Db> {
  if ((options as Partial<OpenOptions> | undefined)?.volatile !== true) {
    throw new RejoinError("STORAGE", "say open({ volatile: true }): this version keeps nothing on the device yet");
  }
  return new Db(await openNode());
}
