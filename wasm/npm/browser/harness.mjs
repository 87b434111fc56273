// A headless browser, and a server for pages that use the package as it is built, under a strict policy.
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import puppeteer from "puppeteer-core";

const DIST = new URL("../dist/", import.meta.url);
const TYPES = { js: "text/javascript", wasm: "application/wasm" };
/** What a page may be allowed at most for all of this to work. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' wss:; worker-src 'self'; require-trusted-types-for 'script'";
const PLACES = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export function chromium() {
  const found = [process.env.CHROMIUM, ...PLACES].find((path) => path !== undefined && existsSync(path));
  if (found === undefined) {
    throw new Error("no Chromium is here: apt-get install chromium-headless-shell, or say where it is in CHROMIUM");
  }
  return found;
}

/** Serves the package, and a page whose only script makes it `globalThis.rejoin`. */
export async function serve() {
  const server = createServer(async (request, answer) => {
    answer.setHeader("content-security-policy", POLICY);
    const path = request.url ?? "/";
    try {
      if (path === "/") {
        answer.setHeader("content-type", "text/html");
        answer.end('<!doctype html><title>page</title><script type="module" src="/main.js"></script>');
      } else if (path === "/main.js") {
        answer.setHeader("content-type", TYPES.js);
        answer.end('import * as rejoin from "/dist/index.js"; import * as testing from "/dist/testing.js"; globalThis.rejoin = { ...rejoin, ...testing };');
      } else {
        const name = path.replace(/^\/dist\//, "");
        let body = await readFile(new URL(name, DIST));
        // What a bundler or an import map does.
        if (name.endsWith(".js")) body = body.toString().replace('"#load"', '"./load-web.js"').replace('"#storage"', '"./storage-web.js"');
        answer.setHeader("content-type", TYPES[name.split(".").at(-1)] ?? "text/plain");
        answer.end(body);
      }
    } catch {
      answer.statusCode = 404;
      answer.end("there is nothing here");
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}/`, close: () => server.close() };
}

/** A folder for what a browser keeps. */
export async function profile(t) {
  const path = await mkdtemp(join(tmpdir(), "rejoin-browser-"));
  t.after(() => rm(path, { recursive: true, force: true, maxRetries: 10 }));
  return path;
}

export function launch(t, userDataDir) {
  return started(t, { executablePath: chromium(), userDataDir });
}

/** However the test ends, no browser is left. */
async function started(t, options) {
  const browser = await puppeteer.launch({ ...options, args: ["--no-sandbox"] });
  t.after(() => browser.close().catch(() => {}));
  return browser;
}

/** The same with so little room as `size` says, "30m" for example. What it keeps is gone with it. */
export function launchOnSmallDisk(t, userDataDir, size) {
  const executablePath = new URL("small-disk.sh", import.meta.url).pathname;
  const env = { ...process.env, CHROMIUM_PROGRAM: chromium(), SMALL_DISK: userDataDir, SMALL_DISK_SIZE: size };
  return started(t, { executablePath, userDataDir, env });
}

/** A page with the package in it; what goes wrong in it fails the test. */
export async function page(t, browser, url) {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && !/favicon/.test(message.location().url ?? "") && errors.push(message.text()));
  t.after(() => {
    if (errors.length > 0) throw new Error(errors.join("\n"));
  });
  await page.goto(url);
  await page.waitForFunction("globalThis.rejoin !== undefined");
  return page;
}
