import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { test } from "node:test";
import { promisify } from "node:util";

import webpack from "webpack";

import { launch, profile } from "../browser/harness.mjs";

const run = promisify(execFile);
const folder = new URL("./", import.meta.url);
const TYPES = { js: "text/javascript", wasm: "application/wasm", html: "text/html" };
const tool = (name, ...words) => run(new URL(`node_modules/.bin/${name}`, folder).pathname, words, { cwd: folder });
const shell = (type) => `<!doctype html><title>wait</title><script${type} src="main.js"></script>`;

/** What the page of a folder says in the end, and which modules it loaded. */
async function shown(t, out) {
  const loaded = [];
  const server = createServer(async (request, answer) => {
    const path = request.url === "/" ? "/index.html" : request.url;
    try {
      const body = await readFile(new URL(`out/${out}${path}`, folder));
      loaded.push(path);
      answer.setHeader("content-type", TYPES[path.split(".").at(-1)] ?? "text/plain");
      answer.end(body);
    } catch {
      answer.statusCode = 404;
      answer.end("there is nothing here");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  const browser = await launch(t, await profile(t));
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  await page.waitForFunction("document.title !== 'wait'");
  return { title: await page.title(), loaded };
}

test("vite, without any configuration", async (t) => {
  await tool("vite", "build", "--outDir", "out/vite", "--emptyOutDir");
  const { title, loaded } = await shown(t, "vite");
  assert.equal(title, "fine: 3 3 5");
  assert.ok(loaded.some((path) => path.endsWith(".wasm")), "the file, not the text");
});

test("webpack, without any configuration", async (t) => {
  const made = await promisify(webpack)({
    context: folder.pathname,
    mode: "production",
    entry: "./src/main.js",
    output: { path: new URL("out/webpack", folder).pathname },
  });
  assert.ok(!made.hasErrors(), made.toString());
  await writeFile(new URL("out/webpack/index.html", folder), shell(""));
  const { title, loaded } = await shown(t, "webpack");
  assert.equal(title, "fine: 3 3 5");
  assert.ok(loaded.some((path) => path.endsWith(".wasm")), "the file, not the text");
});

test("esbuild, which copies no files", async (t) => {
  await tool("esbuild", "src/main.js", "--bundle", "--format=esm", "--outfile=out/esbuild/main.js", "--log-level=error");
  await writeFile(new URL("out/esbuild/index.html", folder), shell(' type="module"'));
  const { title } = await shown(t, "esbuild");
  assert.equal(title, "fine: 3 3 5");
  assert.deepEqual((await readdir(new URL("out/esbuild", folder))).sort(), ["index.html", "main.js"]);
});

test("Node, as a module and by require", async () => {
  const { stdout } = await run(process.execPath, ["src/main.js"], { cwd: folder });
  assert.equal(stdout, "3 3 5\n");
  const required = await run(process.execPath, ["-p", "typeof require('rejoin').open"], { cwd: folder });
  assert.equal(required.stdout, "function\n");
});
