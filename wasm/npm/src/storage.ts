import type { Keeper, KeptSpace } from "./glue.js";

/** Where the spaces of a device are kept. */
export interface Storage extends Keeper {
  /** The secret of the device, 32 bytes. */
  readonly seed: Uint8Array;
  /** What tells this place from a copy of it, 16 bytes. */
  readonly place: Uint8Array;
  /** What was kept when it was opened. */
  readonly kept: KeptSpace[];
  /** Puts records in the place of all that were appended to a space. */
  replace(space: string, records: Uint8Array[]): Promise<void>;
  /** Waits until everything that was asked is kept, and lets others open it. */
  close(): Promise<void>;
}
