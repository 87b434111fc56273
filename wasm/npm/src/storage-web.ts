import { RejoinError } from "./errors.js";
import type { Storage } from "./storage.js";

/** A page has no folders. */
export function openFolder(_path: string): Promise<Storage> {
  throw new RejoinError("STORAGE", "a page has no folders: say open({ volatile: true })");
}
