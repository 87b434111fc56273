/**
 * A database of the browser (IndexedDB), always with strict durability: with less, a browser that is killed loses everything now
 * and then. Each change counts up a number in it, and looks first whether it is what it was: of two pages that both believe that they
 * have it, whatever locks said, only one goes on. Opening changes nothing, so a page without room can still be read.
 */
import { RejoinError } from "./errors.js";
import type { KeptSpace } from "./glue.js";
import type { Storage } from "./storage.js";

interface Device {
  readonly seed: Uint8Array;
  readonly place: Uint8Array;
  /** How many changes there were. */
  readonly changes: number;
}

const DEVICE = "device";
const STORES = ["meta", "records", "facts"] as const;

/** All keys that begin with a space: numbers sort before text, and text before arrays. */
const all = (space: string): IDBKeyRange => IDBKeyRange.bound([space], [space, []]);

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(failed(request.error));
  });
}

function failed(error: DOMException | null): RejoinError {
  if (error?.name === "QuotaExceededError") {
    return new RejoinError("QUOTA", "there is no room for this page: free some; everything kept so far is safe, and reading goes on");
  }
  return new RejoinError("STORAGE", `the database of the browser failed: ${error?.message ?? "it did not say why"}`);
}

class Database implements Storage {
  readonly kept: KeptSpace[] = [];
  readonly #next = new Map<string, number>();
  readonly #pending = new Set<Promise<void>>();
  #closed: RejoinError | undefined;

  private constructor(
    private readonly db: IDBDatabase,
    private device: Device,
    private readonly release: () => void,
  ) {
    db.onversionchange = () => this.#end("the database of this page was deleted, or is of a newer version now: reload the page");
    db.onclose = () => this.#end("the browser closed the database of this page: reload the page");
  }

  get seed(): Uint8Array {
    return this.device.seed;
  }

  get place(): Uint8Array {
    return this.device.place;
  }

  static async open(db: IDBDatabase, release: () => void): Promise<Database> {
    const device = await Database.#device(db);
    const storage = new Database(db, device, release);
    const tx = db.transaction(STORES, "readonly");
    const done = ended(tx);
    const spaces = new Map<string, { records: Uint8Array[]; facts: [string, Uint8Array][] }>();
    const of = (id: string): { records: Uint8Array[]; facts: [string, Uint8Array][] } => {
      const space = spaces.get(id) ?? { records: [], facts: [] };
      spaces.set(id, space);
      return space;
    };
    const [recordKeys, records, factKeys, facts] = await Promise.all([
      result(tx.objectStore("records").getAllKeys()) as Promise<[string, number][]>,
      result(tx.objectStore("records").getAll()) as Promise<Uint8Array[]>,
      result(tx.objectStore("facts").getAllKeys()) as Promise<[string, string][]>,
      result(tx.objectStore("facts").getAll()) as Promise<Uint8Array[]>,
    ]);
    recordKeys.forEach(([id, number], at) => {
      of(id).records.push(records[at] as Uint8Array);
      storage.#next.set(id, number + 1);
    });
    factKeys.forEach(([id, name], at) => of(id).facts.push([name, facts[at] as Uint8Array]));
    for (const [id, space] of spaces) storage.kept.push([id, space.records, space.facts]);
    await done;
    return storage;
  }

  /** What is known of this device; made the first time. */
  static async #device(db: IDBDatabase): Promise<Device> {
    const there = (await result(db.transaction("meta").objectStore("meta").get(DEVICE))) as Device | undefined;
    if (there !== undefined) return there;
    const random = (bytes: number): Uint8Array => crypto.getRandomValues(new Uint8Array(bytes));
    const device = { seed: random(32), place: random(16), changes: 0 };
    const tx = db.transaction("meta", "readwrite", { durability: "strict" });
    // Two pages at one time: the second fails, and finds it the next time.
    tx.objectStore("meta").add(device, DEVICE);
    await ended(tx);
    return device;
  }

  append(space: string, record: Uint8Array): Promise<void> {
    const copy = record.slice();
    const number = this.#next.get(space) ?? 0;
    this.#next.set(space, number + 1);
    return this.#change((tx) => void tx.objectStore("records").add(copy, [space, number]));
  }

  keep(space: string, name: string, value: Uint8Array | undefined): void {
    const copy = value?.slice();
    this.#change((tx) => {
      if (copy === undefined) tx.objectStore("facts").delete([space, name]);
      else tx.objectStore("facts").put(copy, [space, name]);
    }).catch(() => {});
  }

  forget(space: string): void {
    this.#change((tx) => {
      tx.objectStore("records").delete(all(space));
      tx.objectStore("facts").delete(all(space));
    }).catch(() => {});
  }

  replace(space: string, records: Uint8Array[]): Promise<void> {
    const first = this.#next.get(space) ?? 0;
    this.#next.set(space, first + records.length);
    return this.#change((tx) => {
      tx.objectStore("records").delete(all(space));
      records.forEach((record, at) => tx.objectStore("records").add(record, [space, first + at]));
    });
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#pending);
    this.#end("the database is closed");
  }

  #end(why: string): void {
    this.#closed ??= new RejoinError("STORAGE", why);
    this.db.close();
    this.release();
  }

  /** Changes follow each other in the order in which they were begun. */
  #change(act: (tx: IDBTransaction) => void): Promise<void> {
    const done = this.#changed(act);
    this.#pending.add(done);
    const over = (): void => void this.#pending.delete(done);
    done.then(over, over);
    return done;
  }

  async #changed(act: (tx: IDBTransaction) => void): Promise<void> {
    if (this.#closed !== undefined) throw this.#closed;
    let tx: IDBTransaction;
    try {
      tx = this.db.transaction(STORES, "readwrite", { durability: "strict" });
    } catch (error) {
      throw failed(error as DOMException);
    }
    const done = ended(tx);
    let stolen = false;
    const look = tx.objectStore("meta").get(DEVICE) as IDBRequest<Device | undefined>;
    look.onsuccess = () => {
      stolen = look.result?.changes !== this.device.changes;
      if (stolen) return tx.abort();
      tx.objectStore("meta").put({ ...this.device, changes: this.device.changes + 1 }, DEVICE);
      act(tx);
    };
    // Before the next change is let in.
    tx.addEventListener("complete", () => {
      this.device = { ...this.device, changes: this.device.changes + 1 };
    });
    try {
      await done;
    } catch (error) {
      if (!stolen) throw error;
      this.#end("another tab has opened this database meanwhile: reload the page");
      throw this.#closed;
    }
  }
}

function ended(tx: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    tx.oncomplete = () => resolve();
    tx.onabort = () => reject(failed(tx.error));
  });
}

/** How long a page that was just closed, or is being loaded again, may take to let go. */
const PATIENCE = 2000;

/** Holds the lock of a name; `undefined` when another tab does. */
async function lock(name: string): Promise<(() => void) | undefined> {
  // Pages that came over plain http have no locks; the number in the database is enough for safety.
  if (navigator.locks === undefined) return () => {};
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE);
    navigator.locks
      .request(`rejoin ${name}`, { signal }, () => new Promise<void>((release) => resolve(release)))
      // One that somebody steals later rejects too, and is found out by the number in the database.
      .catch((error: unknown) => (signal.aborted ? resolve(undefined) : reject(error)));
  });
}

function connect(name: string): Promise<IDBDatabase> {
  const nothing = "this browser keeps nothing for this page (a private window?): open({ volatile: true }) works without";
  if (globalThis.indexedDB === undefined) throw new RejoinError("STORAGE", nothing);
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(`rejoin ${name}`, 1);
    request.onupgradeneeded = () => STORES.forEach((store) => request.result.createObjectStore(store));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new RejoinError("STORAGE", `${nothing} (${request.error?.message ?? "no reason given"})`));
    request.onblocked = () => reject(new RejoinError("STORAGE", "another tab holds an older version of this database: close it"));
  });
}

/** Opens a database of the browser, or makes one. */
export async function openNamed(name: string): Promise<Storage> {
  const release = await lock(name);
  if (release === undefined) {
    throw new RejoinError("STORAGE", "another tab of this browser has this database open: close it there");
  }
  try {
    const db = await connect(name);
    // The browser may refuse, and then may throw it all away when its disk is full; asking costs nothing.
    void navigator.storage?.persist?.().catch(() => false);
    return await Database.open(db, release);
  } catch (error) {
    release();
    throw error;
  }
}

/** A page has no folders. */
export function openFolder(_path: string): Promise<Storage> {
  throw new RejoinError("STORAGE", "a page has no folders: say open({ name: NAME })");
}
