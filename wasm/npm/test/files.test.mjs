import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { counter, map, open } from "rejoin";

const schema = { likes: counter(), tasks: map() };

async function folder(t) {
  const path = await mkdtemp(join(tmpdir(), "rejoin-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return join(path, "data");
}

const journal = async (path) => join(path, (await readdir(path)).find((name) => name.endsWith(".journal")));

test("what was awaited is there the next time, under the same name", async (t) => {
  const path = await folder(t);
  let db = await open({ path });
  assert.equal(db.isDurable, true);
  const board = await db.create(schema, { name: "board" });
  await board.likes.add(2);
  await board.tasks.set("a", { bytes: new Uint8Array([1, 2]) });
  const { id } = db;
  const { root } = board.$;
  assert.equal((await stat(join(path, "device.key"))).mode & 0o777, 0o600);
  await assert.rejects(open({ path }), { code: "STORAGE" });
  await db.close();
  for (let time = 0; time < 2; time += 1) {
    db = await open({ path });
    const back = db.space("board", schema);
    assert.deepEqual([db.id, back.$.root, back.likes.value], [id, root, 2]);
    assert.deepEqual(back.tasks.get("a"), { bytes: new Uint8Array([1, 2]) });
    assert.throws(() => db.space("other", schema), { code: "UNKNOWN_SPACE" });
    await db.close();
  }
});

test("a long journal becomes a short one", async (t) => {
  const path = await folder(t);
  let db = await open({ path });
  let board = await db.create(schema, { name: "board" });
  // More than what is kept of recent changes for others, which is 8 MiB.
  for (let n = 0; n < 100; n += 1) await board.tasks.set("same", { text: "x".repeat(150_000), n });
  const { root } = board.$;
  await db.close();
  const file = await journal(path);
  const before = (await stat(file)).size;
  await (await open({ path })).close();
  const after = (await stat(file)).size;
  assert.ok(before > 20_000_000 && after < 10_000_000, `${before} bytes became ${after}`);
  db = await open({ path });
  board = db.space("board", schema);
  assert.deepEqual([board.$.root, board.tasks.get("same").n], [root, 99]);
  await board.likes.add(1);
  await db.close();
  db = await open({ path });
  assert.equal(db.space("board", schema).likes.value, 1);
  await db.close();
});

test("an entry that was being written is no entry; anything else that is wrong is said", async (t) => {
  const path = await folder(t);
  const db = await open({ path });
  const board = await db.create(schema, { name: "board" });
  await board.likes.add(1);
  const file = await journal(path);
  const before = (await stat(file)).size;
  await board.likes.add(1);
  await db.close();
  const whole = await readFile(file);
  assert.ok(whole.length > before + 100);
  const look = async () => {
    const again = await open({ path });
    try {
      return again.space("board", schema).likes.value;
    } finally {
      await again.close();
    }
  };
  for (const end of [before + 1, before + 15, before + 17, whole.length - 1]) {
    await writeFile(file, whole);
    await truncate(file, end);
    assert.equal(await look(), 1, `cut at ${end} of ${whole.length}`);
  }
  await writeFile(file, Buffer.concat([whole, Buffer.alloc(4096)]));
  assert.equal(await look(), 2);
  // A sector of the last entry that never arrived.
  const lacking = Buffer.from(whole);
  lacking.fill(0, Math.ceil((before + 16) / 512) * 512);
  await writeFile(file, lacking);
  assert.equal(await look(), 1);
  for (let at = 0; at < whole.length; at += at < before ? 37 : 5) {
    const damaged = Buffer.from(whole);
    damaged[at] ^= 4;
    await writeFile(file, damaged);
    await assert.rejects(look(), { code: "DAMAGED" }, `byte ${at}`);
    assert.deepEqual(await readFile(file), damaged, "it is left as it was found");
  }
  await writeFile(file, whole);
  assert.equal(await look(), 2);
});

test("a copy of a folder is another device with the same data", async (t) => {
  const [path, copy] = [await folder(t), await folder(t)];
  let db = await open({ path });
  const board = await db.create(schema, { name: "board" });
  await board.likes.add(1);
  await db.close();
  await cp(path, copy, { recursive: true });
  db = await open({ path });
  const other = await open({ path: copy });
  t.after(() => Promise.all([db.close(), other.close()]));
  assert.notEqual(db.id, other.id);
  assert.equal(db.space("board", schema).$.root, other.space("board", schema).$.root);
});

test("a process that is killed while it writes loses nothing that was awaited", async (t) => {
  const path = await folder(t);
  const child = fileURLToPath(new URL("../scripts/writer.mjs", import.meta.url));
  let awaited = 0;
  for (let time = 0; time < 20; time += 1) {
    const writer = spawn(process.execPath, [child, path], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    writer.stdout.on("data", (data) => {
      text += data;
    });
    while (text.split("\n").length < 3 + (time % 7)) await new Promise((resolve) => setTimeout(resolve, 1));
    writer.kill("SIGKILL");
    await once(writer, "close");
    awaited = Number(text.split("\n").at(-2));
    const db = await open({ path });
    const [value, tasks] = [db.space("board", schema).likes.value, db.space("board", schema).tasks.value];
    // The one that was being awaited may be there.
    assert.ok(value === awaited || value === awaited + 1, `${value} are there, ${awaited} were awaited`);
    assert.deepEqual([...tasks.keys()], Array.from({ length: value }, (_, n) => String(n + 1).padStart(6, "0")));
    await db.close();
    awaited = value;
  }
  assert.ok(awaited >= 20);
});
