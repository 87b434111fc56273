/** What can go wrong, as programs tell it apart. */
export type Code =
  | "AWAITED"
  | "BATCH"
  | "CLOSED"
  | "DAMAGED"
  | "DATA"
  | "FAILED"
  | "ITEM"
  | "LEFT"
  | "LOST"
  | "NAME"
  | "NETWORK"
  | "NOT_CONFIRMED"
  | "NOT_SEEN"
  | "ONLY_HERE"
  | "OTHER_SPACE"
  | "PEER"
  | "PRESENCE_TOO_LONG"
  | "QUOTA"
  | "STORAGE"
  | "STORE"
  | "TICKET"
  | "TOO_LARGE"
  | "UNDO_OFF"
  | "UNKNOWN_SPACE"
  | "VALUE"
  | "WRONG_KIND";

/**
 * A call that did not do what it was asked; its message says what to do. Nothing was changed, unless the code is `NOT_CONFIRMED`
 * (the change is kept and goes on syncing) or `LOST`.
 */
export class RejoinError extends Error {
  override readonly name = "RejoinError";

  constructor(
    readonly code: Code,
    message: string,
  ) {
    super(message);
  }

  /** Those that come from the module are no instances of this class, and are known by what they have. */
  static override [Symbol.hasInstance](error: unknown): boolean {
    const it = error as { name?: unknown; code?: unknown } | null;
    return typeof it === "object" && it?.name === "RejoinError" && typeof it.code === "string";
  }
}
