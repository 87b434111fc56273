/**
 * A folder: `device.key`, the secret of the device; `lock`, held while a process has it open; and a file for each space, to which
 * entries are appended and synced. An entry is its length (4 bytes, little endian), the same with every bit turned, eight bytes of
 * SHA-256 over the rest, a byte that says what it is, and its content.
 */
import { createHash, randomBytes } from "node:crypto";
import { constants, type FileHandle, mkdir, open, readFile, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";

import { RejoinError } from "./errors.js";
import type { KeptSpace } from "./glue.js";
import type { Storage } from "./storage.js";

const HEAD = 16;
const SECTOR = 512;
const RECORD = 0;
const FACT = 1;
const FORGOTTEN = 2;
const ENDING = ".journal";

function entry(kind: number, content: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.of(kind), content]);
  const head = Buffer.alloc(HEAD);
  head.writeUInt32LE(body.length, 0);
  head.writeUInt32LE(~body.length >>> 0, 4);
  createHash("sha256").update(body).digest().copy(head, 8, 0, 8);
  return Buffer.concat([head, body]);
}

function fact(name: string, value: Uint8Array | undefined): Buffer {
  const text = Buffer.from(name, "utf8");
  return value === undefined
    ? entry(FORGOTTEN, text)
    : entry(FACT, Buffer.concat([Buffer.of(text.length), text, value]));
}

/** The entries of a file, and where the last whole one ends. What was being appended when the power went is no entry. */
function entries(bytes: Buffer, path: string): { found: Buffer[]; end: number } {
  const found: Buffer[] = [];
  let at = 0;
  const damaged = (): RejoinError =>
    new RejoinError("DAMAGED", `${path} is not what was written, from byte ${at} on: restore it from a copy, or move it away and join again`);
  while (at + HEAD <= bytes.length) {
    const length = bytes.readUInt32LE(at);
    const rest = bytes.length - at - HEAD;
    if (bytes.readUInt32LE(at + 4) !== ~length >>> 0) {
      // A file that grew and whose bytes did not arrive ends in zeros.
      if (bytes.subarray(at).every((byte) => byte === 0)) break;
      throw damaged();
    }
    if (length > rest) break;
    const body = bytes.subarray(at + HEAD, at + HEAD + length);
    if (!createHash("sha256").update(body).digest().subarray(0, 8).equals(bytes.subarray(at + 8, at + HEAD))) {
      // The last one may have been on its way when the power went: then a sector of it did not arrive. Else a bit has changed.
      if (length === rest && lacksSector(bytes, at)) break;
      throw damaged();
    }
    found.push(body);
    at += HEAD + length;
  }
  return { found, end: at };
}

/** Whether a sector of the file from a place on holds nothing but zeros. */
function lacksSector(bytes: Buffer, from: number): boolean {
  for (let start = from; start < bytes.length; ) {
    const end = Math.min(bytes.length, (Math.floor(start / SECTOR) + 1) * SECTOR);
    if (bytes.subarray(start, end).every((byte) => byte === 0)) return true;
    start = end;
  }
  return false;
}

function read(found: Buffer[]): { records: Uint8Array[]; facts: Map<string, Uint8Array> } {
  const records: Uint8Array[] = [];
  const facts = new Map<string, Uint8Array>();
  for (const body of found) {
    const content = body.subarray(1);
    if (body[0] === RECORD) records.push(content);
    else if (body[0] === FORGOTTEN) facts.delete(content.toString("utf8"));
    else {
      const length = content[0] ?? 0;
      facts.set(content.toString("utf8", 1, 1 + length), content.subarray(1 + length));
    }
  }
  return { records, facts };
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Writes a file beside its place first: after a power cut it is there whole, or as it was before. */
async function writeWhole(folder: string, name: string, bytes: Uint8Array, mode?: number): Promise<void> {
  const beside = join(folder, `${name}.new`);
  await rm(beside, { force: true });
  const file = await open(beside, "wx", mode);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(beside, join(folder, name));
  await syncFolder(folder);
}

/** Takes the lock of a folder, also from a process that is gone. */
async function lock(folder: string): Promise<void> {
  const path = join(folder, "lock");
  for (let tries = 0; tries < 3; tries += 1) {
    try {
      const file = await open(path, "wx");
      await file.writeFile(String(process.pid));
      await file.close();
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== "EEXIST") throw error;
    }
    const pid = Number(await readFile(path, "utf8").catch(() => ""));
    if (pid > 0 && isAlive(pid)) {
      throw new RejoinError("STORAGE", `${folder} is open in process ${pid}: close it there, or use another folder`);
    }
    await rm(path, { force: true });
  }
  throw new RejoinError("STORAGE", `${folder} cannot be locked: somebody else opens it again and again`);
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code === "EPERM";
  }
}

class Folder implements Storage {
  readonly #files = new Map<string, FileHandle>();
  /** The end of what was asked of each file last: one thing at a time, in order. */
  readonly #queues = new Map<string, Promise<void>>();
  /** Files of which nobody knows what their last entry is. */
  readonly #broken = new Map<string, unknown>();

  constructor(
    private readonly path: string,
    readonly seed: Uint8Array,
    readonly place: Uint8Array,
    readonly kept: KeptSpace[],
  ) {}

  append(space: string, record: Uint8Array): Promise<void> {
    return this.#queue(space, () => this.#write(space, entry(RECORD, record)));
  }

  keep(space: string, name: string, value: Uint8Array | undefined): void {
    const bytes = fact(name, value);
    // A fact that is lost is found out when the space is opened next; what matters is told by the appends behind it.
    this.#queue(space, () => this.#write(space, bytes)).catch(() => {});
  }

  forget(space: string): void {
    void this.#queue(space, async () => {
      await this.#files.get(space)?.close();
      this.#files.delete(space);
      await rm(join(this.path, space + ENDING), { force: true });
      await syncFolder(this.path);
    }).catch(() => {});
  }

  replace(space: string, records: Uint8Array[]): Promise<void> {
    return this.#queue(space, async () => {
      const name = space + ENDING;
      const { found } = entries(await readFile(join(this.path, name)), name);
      const facts = [...read(found).facts].map(([fact_, value]) => fact(fact_, value));
      const bytes = Buffer.concat([...records.map((record) => entry(RECORD, record)), ...facts]);
      await this.#files.get(space)?.close();
      this.#files.delete(space);
      await writeWhole(this.path, name, bytes);
    });
  }

  async close(): Promise<void> {
    await Promise.allSettled(this.#queues.values());
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
    await rm(join(this.path, "lock"), { force: true });
  }

  #queue(space: string, work: () => Promise<void>): Promise<void> {
    const done = (this.#queues.get(space) ?? Promise.resolve()).then(work, work);
    this.#queues.set(space, done.catch(() => {}));
    return done;
  }

  async #write(space: string, bytes: Buffer): Promise<void> {
    if (this.#broken.has(space)) throw this.#broken.get(space);
    let file = this.#files.get(space);
    const isNew = file === undefined;
    if (file === undefined) {
      file = await open(join(this.path, space + ENDING), "a");
      this.#files.set(space, file);
    }
    const { size } = await file.stat();
    try {
      await file.appendFile(bytes);
      await file.datasync();
      if (isNew && size === 0) await syncFolder(this.path);
    } catch (error) {
      // Half an entry before the next one would be damage. A sync that failed may have dropped what was written before it, so
      // after that nothing is appended until the file was read again.
      const isFull = ["ENOSPC", "EDQUOT"].includes((error as { code?: string }).code ?? "");
      try {
        await file.truncate(size);
        await file.datasync();
      } catch {
        this.#broken.set(space, error);
      }
      if (!isFull) this.#broken.set(space, error);
      throw error;
    }
  }
}

async function secret(folder: string): Promise<Uint8Array> {
  const path = join(folder, "device.key");
  const there = await readFile(path).catch((error: { code?: string }) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (there !== undefined) {
    if (there.length === 32) return there;
    throw new RejoinError("STORAGE", `${path} is no device key: it has to hold 32 bytes, and holds ${there.length}; restore it from a copy`);
  }
  const seed = randomBytes(32);
  await writeWhole(folder, "device.key", seed, 0o600);
  return seed;
}

/** Node has no database of a browser. */
export function openNamed(_name: string): Promise<Storage> {
  throw new RejoinError("STORAGE", "Node keeps things in folders: say open({ path: FOLDER })");
}

/** Opens a folder, or makes one. */
export async function openFolder(path: string): Promise<Storage> {
  await mkdir(path, { recursive: true });
  await lock(path);
  try {
    const seed = await secret(path);
    // A copy has another inode or another time of birth.
    const { dev, ino, birthtimeNs } = await stat(join(path, "device.key"), { bigint: true });
    const place = createHash("sha256").update(`${dev} ${ino} ${birthtimeNs}`).digest().subarray(0, 16);
    const kept: KeptSpace[] = [];
    for (const name of (await readdir(path)).sort()) {
      const id = name.slice(0, -ENDING.length);
      if (!name.endsWith(ENDING) || !/^[0-9a-f]{64}$/.test(id)) continue;
      const bytes = await readFile(join(path, name));
      const { found, end } = entries(bytes, join(path, name));
      if (end < bytes.length) {
        const file = await open(join(path, name), "r+");
        await file.truncate(end);
        await file.sync();
        await file.close();
      }
      const { records, facts } = read(found);
      kept.push([id, records, [...facts]]);
    }
    return new Folder(path, seed, place, kept);
  } catch (error) {
    await rm(join(path, "lock"), { force: true });
    throw error;
  }
}
