import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);

test("what the README shows works, word for word", async (t) => {
  const readme = await readFile(new URL("../README.md", import.meta.url), "utf8");
  const blocks = [...readme.matchAll(/```js\n([\s\S]*?)```/g)].map((found) => found[1]);
  const printed = [`3 [ [ 't1', { title: 'Ship' } ] ]\n`, `3 3 true\n`];
  assert.equal(blocks.length, printed.length);
  // In this package, so that it is found by its own name.
  const folder = await mkdtemp(new URL("../same/readme-", import.meta.url).pathname);
  t.after(() => rm(folder, { recursive: true }));
  for (const [at, block] of blocks.entries()) {
    await writeFile(`${folder}/${at}.mjs`, block);
    const { stdout } = await run(process.execPath, [`${folder}/${at}.mjs`]);
    assert.equal(stdout, printed[at]);
  }
});
