// Two databases that meet, and one that keeps what is written: everything that a bundler has to carry over.
import { counter, open } from "rejoin";
import { network } from "rejoin/testing";

async function app() {
  const net = await network(2);
  const ours = await net.dbs[0].create({ likes: counter() });
  const theirs = await net.dbs[1].join(await ours.$.ticket(), { likes: counter() });
  ours.likes.add(1);
  theirs.likes.add(2);
  await net.settle([ours, theirs]);
  const db = await open(globalThis.indexedDB === undefined ? { volatile: true } : { name: "app" });
  const kept = await db.create({ likes: counter() });
  await kept.likes.add(5);
  const values = [ours.likes.value, theirs.likes.value, kept.likes.value].join(" ");
  await Promise.all([net.close(), db.close()]);
  return values;
}

app().then(
  (values) => {
    if (globalThis.document === undefined) console.log(values);
    else document.title = `fine: ${values}`;
  },
  (error) => {
    if (globalThis.document === undefined) throw error;
    document.title = `failed: ${error.stack}`;
  },
);
