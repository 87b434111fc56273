import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const folder = new URL("../same/", import.meta.url);

test("schedules of the simulator run here as they run natively, to the last byte", async () => {
  const { default: init, trace } = await import(new URL("glue.js", folder));
  await init({ module_or_path: await readFile(new URL("rejoin_bg.wasm", folder)) });
  const lines = (await readFile(new URL("traces.txt", folder), "utf8")).trim().split("\n");
  assert.ok(lines.length >= 200);
  for (const line of lines) {
    const [seed, hash] = line.split(" ");
    assert.match(hash, /^[0-9]+$/);
    assert.equal(trace(BigInt(seed)), hash, `seed ${seed}`);
  }
});
