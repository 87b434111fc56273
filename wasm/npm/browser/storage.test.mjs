import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";

import { launch, launchOnSmallDisk, page, profile, serve } from "./harness.mjs";

/** In a page: opens the database, and gives the board. */
const BOARD = `async () => {
  const { counter, map, open } = rejoin;
  const schema = { likes: counter(), tasks: map() };
  globalThis.db = await open({ name: "test" });
  globalThis.board = db.spaces.length > 0 ? db.space("board", schema) : await db.create(schema, { name: "board" });
  return board.likes.value;
}`;
const OPEN = `(${BOARD})()`;
/** The same, with what is thrown as a value. */
const code = (work) => `(async () => { try { await (${work})(); return "fine"; } catch (error) { return error.code ?? String(error); } })()`;

async function set(t) {
  const server = await serve();
  t.after(() => server.close());
  return { server, folder: await profile(t) };
}

test("what was awaited is there in the next page and the next browser; one tab at a time has it open", async (t) => {
  const { server, folder } = await set(t);
  let browser = await launch(t, folder);
  const first = await page(t, browser, server.url);
  assert.equal(await first.evaluate(OPEN), 0);
  const root = await first.evaluate(`(async () => { await board.likes.add(2); await board.tasks.set("a", { bytes: new Uint8Array([7]) }); return board.$.root; })()`);
  const second = await page(t, browser, server.url);
  assert.equal(await second.evaluate(code(BOARD)), "STORAGE");
  await first.close();
  assert.equal(await second.evaluate(OPEN), 2);
  await browser.close();
  browser = await launch(t, folder);
  const third = await page(t, browser, server.url);
  assert.equal(await third.evaluate(OPEN), 2);
  assert.deepEqual(await third.evaluate("[board.$.root, db.isDurable, [...board.tasks.get('a').bytes]]"), [root, true, [7]]);
});

test("a browser that is killed while it writes loses nothing that was awaited", async (t) => {
  const { server, folder } = await set(t);
  let awaited = 0;
  for (let time = 0; time < 20; time += 1) {
    const browser = await launch(t, folder);
    const writer = await page(t, browser, server.url);
    const value = await writer.evaluate(OPEN);
    // The one that was being awaited may be there.
    assert.ok(value === awaited || value === awaited + 1, `${value} are there, ${awaited} were awaited`);
    const keys = await writer.evaluate("[...board.tasks.value.keys()]");
    assert.deepEqual(keys, Array.from({ length: value }, (_, n) => String(n + 1).padStart(6, "0")));
    awaited = value;
    await writer.exposeFunction("kept", (n) => {
      awaited = n;
    });
    writer
      .evaluate(`(async () => {
        for (let n = board.likes.value + 1; ; n += 1) {
          await board.$.batch(() => { board.likes.add(1); board.tasks.set(String(n).padStart(6, "0"), { n }); });
          await kept(n);
        }
      })()`)
      .catch(() => {});
    const wanted = awaited + 3 + (time % 7);
    while (awaited < wanted) await new Promise((resolve) => setTimeout(resolve, 1));
    const child = browser.process();
    const gone = once(child, "close");
    // The whole group, as a system that has no memory left would.
    process.kill(-child.pid, "SIGKILL");
    await gone;
  }
  assert.ok(awaited >= 60, `${awaited}`);
});

test("a page without room says so and reads on, and what was awaited stays", async (t) => {
  const { server, folder } = await set(t);
  const browser = await launchOnSmallDisk(t, folder, "30m");
  const it = await page(t, browser, server.url);
  await it.evaluate(OPEN);
  const [kept, said, why] = await it.evaluate(`(async () => {
    for (let n = 0; n < 1000; n += 1) {
      try {
        await board.$.batch(() => {
          board.likes.add(1);
          board.tasks.set("same", crypto.getRandomValues(new Uint8Array(60_000)));
        });
      } catch (error) {
        return [n, error.code, error.message];
      }
    }
    return [1000, "fine", ""];
  })()`);
  assert.equal(said, "LOST", `${kept} were kept`);
  assert.match(why, /free some/);
  assert.ok(kept > 20);
  const [value, root] = await it.evaluate("[board.likes.value, board.$.root]");
  assert.equal(value, kept);
  const incidents = await it.evaluate("board.$.incidents.value");
  assert.deepEqual(incidents.map(({ code }) => code), ["LOST"]);
  await it.evaluate("db.close().then(() => 0)");
  await it.reload();
  await it.waitForFunction("globalThis.rejoin !== undefined");
  assert.equal(await it.evaluate(OPEN), value, "what is full can still be read");
  assert.equal(await it.evaluate("board.$.root"), root);
});

test("whoever lost the database to another tab, or to somebody who deleted it, writes nothing more", async (t) => {
  const { server, folder } = await set(t);
  const browser = await launch(t, folder);
  const [first, second] = [await page(t, browser, server.url), await page(t, browser, server.url)];
  await first.evaluate(OPEN);
  await first.evaluate("board.likes.add(1).then(() => 0)");
  // Somebody takes the lock away, as a page may that has no manners; the second tab gets it next.
  await second.evaluate(`(async () => { await navigator.locks.request("rejoin test", { steal: true }, () => {}); })()`);
  assert.equal(await second.evaluate(OPEN), 1);
  await second.evaluate("board.likes.add(10).then(() => 0)");
  assert.equal(await first.evaluate(code("async () => { await board.likes.add(100); }")), "LOST");
  assert.equal(await second.evaluate("board.likes.value"), 11);
  await second.evaluate("db.close().then(() => 0)");
  assert.equal(await second.evaluate(OPEN), 11);
  await first.evaluate(`new Promise((resolve) => { indexedDB.deleteDatabase("rejoin test").onsuccess = () => resolve(0); })`);
  assert.equal(await second.evaluate(code("async () => { await board.likes.add(1); }")), "LOST");
});

test("three databases of one page become equal under a strict policy", async (t) => {
  const { server, folder } = await set(t);
  const browser = await launch(t, folder);
  const it = await page(t, browser, server.url);
  const values = await it.evaluate(`(async () => {
    const { counter, network } = rejoin;
    const net = await network(3);
    const first = await net.dbs[0].create({ likes: counter() });
    const ticket = await first.$.ticket();
    const boards = [first, await net.dbs[1].join(ticket, { likes: counter() }), await net.dbs[2].join(ticket, { likes: counter() })];
    net.isolate(0);
    boards.forEach((board, at) => board.likes.add(10 ** at));
    net.healAll();
    await net.settle(boards);
    return boards.map((board) => board.likes.value);
  })()`);
  assert.deepEqual(values, [111, 111, 111]);
});
