import init, * as raw from "./glue.js";
import { bytes } from "#load";

let loading: Promise<typeof raw> | undefined;

/** The module, loaded once. */
export function load(): Promise<typeof raw> {
  loading ??= bytes().then(async (it) => {
    await init({ module_or_path: it });
    return raw;
  });
  // What failed once, offline perhaps, may be tried again.
  loading.catch(() => {
    loading = undefined;
  });
  return loading;
}
