import { readFile } from "node:fs/promises";

/** The module, from its file. */
export async function bytes(): Promise<BufferSource> {
  return readFile(new URL("./rejoin_bg.wasm", import.meta.url));
}
