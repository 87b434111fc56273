/** Offline-first sync: the same data on every device. See the README. */
export { Commit } from "./commit.js";
export { RejoinError, type Code } from "./errors.js";
export { Counter, List, Log, LwwMap, OrSet, Register, type Item, type Line, type Lives } from "./handles.js";
export { type Readable } from "./readable.js";
export { counter, list, log, map, register, set, type Field, type Handles, type Schema } from "./schema.js";
export { Space, type Incident, type Peer, type Status } from "./space.js";
export { type Value } from "./values.js";
export { Db, open, type Board, type OpenOptions } from "./db.js";
