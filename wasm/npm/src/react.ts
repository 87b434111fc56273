/** React: a component that shows a handle is rendered again when it changes. */
import { useMemo, useSyncExternalStore } from "react";

import type { Readable } from "./readable.js";
import type { Space, Status } from "./space.js";
import { equal } from "./values.js";

/** The value of a handle, or what `select` makes of it. */
export function useValue<T>(of: Readable<T>): T;
export function useValue<T, S>(of: Readable<T>, select: (value: T) => S): S;
export function useValue<T>(of: Readable<T>, select?: (value: T) => unknown): unknown {
  // React compares what it is given by reference: what is equal stays the same.
  const last = useMemo(() => ({ value: undefined as unknown }), [of]);
  const get = (): unknown => {
    const value = select === undefined ? of.value : select(of.value);
    if (!equal(last.value, value)) last.value = value;
    return last.value;
  };
  return useSyncExternalStore(of.subscribe, get, get);
}

/** How far a space has come. */
export function useStatus(board: { readonly $: Space }): Status {
  return useValue(board.$.status);
}
