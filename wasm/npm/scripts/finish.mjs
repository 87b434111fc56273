// The module as text beside the module, for bundlers that copy no files; and how large everything is.
import { readFile, readdir, writeFile } from "node:fs/promises";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url);
const module = await readFile(new URL("rejoin_bg.wasm", dist));
await writeFile(new URL("wasm-inline.js", dist), `export const text = "${module.toString("base64")}";\n`);

const budget = JSON.parse(await readFile(new URL("../budget.json", import.meta.url), "utf8"));
const kilo = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(12);
const pressed = (bytes) => [
  bytes.length,
  gzipSync(bytes, { level: 9 }).length,
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }).length,
];
const code = (await readdir(dist)).filter((name) => name.endsWith(".js") && !/^(wasm-inline|react|testing|load-node|storage-node)\.js$/.test(name));
const script = Buffer.concat(await Promise.all(code.map((name) => readFile(new URL(name, dist)))));
console.log(`${"".padEnd(24)}${["raw", "gzip", "brotli"].map((head) => head.padStart(12)).join("")}`);
let gzip = 0;
for (const [name, bytes] of [["rejoin_bg.wasm", module], ["scripts of the entry", script]]) {
  const sizes = pressed(bytes);
  gzip += sizes[1];
  console.log(`${name.padEnd(24)}${sizes.map(kilo).join("")}`);
}
if (gzip > budget.entryGzip) {
  console.error(`the entry has ${gzip} bytes in gzip, and budget.json allows ${budget.entryGzip}: find out what made it grow`);
  process.exit(1);
}
