/** Databases in one process, on a network that a test cuts and heals. */
import { Db, openNode } from "./db.js";
import type { Bridge } from "./glue.js";
import type { Space } from "./space.js";

interface Member {
  readonly db: Db;
  readonly bridge: Bridge;
  readonly id: string;
}

/** A network of databases; everybody is connected to everybody at first. */
export class Network {
  readonly #members: Member[] = [];
  /** Links that are up, and a number for each time that they came up: what was on its way before is gone. */
  readonly #links = new Map<string, number>();
  #times = 0;

  /** @internal */
  static async of(count: number): Promise<Network> {
    const network = new Network();
    for (let at = 0; at < count; at += 1) await network.#add(at);
    for (let a = 0; a < count; a += 1) for (let b = a + 1; b < count; b += 1) network.heal(a, b);
    return network;
  }

  /** The databases. */
  get dbs(): readonly Db[] {
    return this.#members.map((member) => member.db);
  }

  /** Cuts the link between two; what is on its way is lost. */
  cut(a: number, b: number): void {
    if (!this.#links.delete(key(a, b))) return;
    this.#member(a).bridge.gone(this.#member(b).id);
    this.#member(b).bridge.gone(this.#member(a).id);
  }

  /** Connects two again. */
  heal(a: number, b: number): void {
    if (a === b || this.#links.has(key(a, b))) return;
    this.#times += 1;
    this.#links.set(key(a, b), this.#times);
    const [asks, other] = a < b ? [a, b] : [b, a];
    this.#member(other).bridge.here(this.#member(asks).id, false);
    this.#member(asks).bridge.here(this.#member(other).id, true);
  }

  /** Cuts one off from everybody. */
  isolate(at: number): void {
    this.#members.forEach((_, other) => this.cut(at, other));
  }

  /** Connects everybody to everybody. */
  healAll(): void {
    this.#members.forEach((_, a) => this.#members.forEach((_, b) => this.heal(a, b)));
  }

  /** Waits until all that are given show the same: boards of one space, on databases that can reach each other. */
  async settle(boards: readonly { readonly $: Space }[], { timeout = 10_000 } = {}): Promise<string> {
    // Roots are of what is kept: equal ones say nothing of what was written just now.
    await Promise.all(boards.map((board) => board.$.saved()));
    const end = Date.now() + timeout;
    for (;;) {
      const roots = boards.map((board) => board.$.root);
      const [first] = roots;
      if (first !== undefined && roots.every((root) => root === first)) return first;
      if (Date.now() > end) throw new Error(`not the same after ${timeout} ms: ${roots.join(", ")}; is a link cut?`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Closes all of them. */
  async close(): Promise<void> {
    for (const member of this.#members) await member.db.close();
  }

  async #add(at: number): Promise<void> {
    const node = await openNode((to, message) => {
      const other = this.#members.findIndex((member) => member.id === to);
      const link = this.#links.get(key(at, other));
      if (link === undefined) return;
      const copy = message.slice();
      // Later: a module is not called from within its own call.
      queueMicrotask(() => {
        if (this.#links.get(key(at, other)) === link) this.#member(other).bridge.arrived(this.#member(at).id, copy);
      });
    });
    this.#members.push({ db: new Db(node), bridge: node.bridge() as Bridge, id: node.id() });
  }

  #member(at: number): Member {
    const member = this.#members[at];
    if (member === undefined) throw new RangeError(`there is no database ${at}: there are ${this.#members.length}`);
    return member;
  }
}

function key(a: number, b: number): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}

/** Databases in memory, all connected. */
export function network(count: number): Promise<Network> {
  return Network.of(count);
}
