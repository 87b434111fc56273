import assert from "node:assert/strict";
import { test } from "node:test";

import { RejoinError, counter, list, log, map, open, register, set } from "rejoin";
import { network } from "rejoin/testing";

const schema = {
  title: register("Untitled"),
  likes: counter(),
  tags: set(),
  tasks: map(),
  steps: list(),
  history: log(),
};

/** Boards of one space on so many databases. */
async function boards(count, t) {
  const net = await network(count);
  t.after(() => net.close());
  const first = await net.dbs[0].create(schema, { name: "board" });
  const ticket = await first.$.ticket();
  const others = await Promise.all(net.dbs.slice(1).map((db) => db.join(ticket, schema)));
  return { net, boards: [first, ...others] };
}

test("what is written apart is the same after the network heals", async (t) => {
  const { net, boards: all } = await boards(3, t);
  const [a, b, c] = all;
  await a.likes.add();
  await net.settle(all);
  assert.deepEqual(all.map((board) => board.likes.value), [1, 1, 1]);
  net.isolate(0);
  net.cut(1, 2);
  a.likes.add(2);
  b.likes.add(3);
  b.likes.add(-1);
  a.tags.add("red");
  b.tags.add("blue");
  c.tags.delete("red");
  a.tasks.set("one", { title: "Ship", done: false });
  c.tasks.set("two", { title: "Rest", done: true, note: undefined });
  c.title.set("Board");
  a.steps.push("first");
  await b.steps.push("also first");
  c.history.append({ who: "c" });
  assert.deepEqual(all.map((board) => board.likes.value), [3, 3, 1], "everybody sees their own");
  assert.notEqual(a.$.root, b.$.root);
  net.healAll();
  const root = await net.settle(all);
  assert.match(root, /^[0-9a-f]{64}$/);
  for (const board of all) {
    assert.equal(board.likes.value, 5);
    assert.deepEqual(board.tags.value, ["blue", "red"]);
    assert.deepEqual([...board.tasks.value], [
      ["one", { title: "Ship", done: false }],
      ["two", { title: "Rest", done: true }],
    ]);
    assert.equal(board.title.value, "Board");
    assert.deepEqual(new Set(board.steps.value.map((item) => item.value)), new Set(["first", "also first"]));
    assert.deepEqual(board.steps.value, a.steps.value);
    assert.deepEqual(board.history.value.map((line) => line.value), [{ who: "c" }]);
  }
});

test("a value keeps its reference until it changes, and is told once a microtask", async (t) => {
  const { boards: all } = await boards(1, t);
  const [a] = all;
  const before = a.tasks.value;
  assert.equal(a.tasks.value, before);
  const told = [];
  const stop = a.likes.subscribe((value) => told.push(value));
  a.likes.add(1);
  a.likes.add(1);
  assert.deepEqual(told, []);
  await a.likes.add(1);
  assert.deepEqual(told, [3]);
  assert.equal(a.tasks.value, before, "another object was written");
  stop();
  await a.likes.add(1);
  assert.deepEqual(told, [3]);
  const seen = [];
  const reader = (async () => {
    for await (const value of a.likes) {
      seen.push(value);
      if (value === 6) break;
    }
  })();
  await a.likes.add(1);
  await a.likes.add(1);
  await reader;
  assert.deepEqual([seen[0], seen.at(-1)], [4, 6]);
});

test("a batch is all or nothing, and reads what it wrote", async (t) => {
  const { net, boards: all } = await boards(2, t);
  const [a, b] = all;
  await a.tasks.set("n", { count: 1 });
  let part;
  await a.$.batch(() => {
    part = a.tags.add("within");
    for (let n = 0; n < 100; n += 1) a.tasks.update("n", (task) => ({ count: task.count + 1 }));
    a.likes.add(7);
    assert.equal(a.likes.value, 7);
    for (const within of [() => a.$.batch(() => {}), () => a.$.root, () => a.$.status.value, () => a.$.undo(), () => a.$.incidents.value]) {
      assert.throws(within, { code: "BATCH" });
    }
  });
  await assert.rejects(part.then(), { code: "BATCH" }, "kept as a whole, and not before");
  assert.deepEqual([a.tasks.get("n"), a.likes.value], [{ count: 101 }, 7]);
  const oops = new Error("mine");
  assert.throws(
    () =>
      a.$.batch(() => {
        a.likes.add(100);
        assert.equal(a.likes.value, 107);
        throw oops;
      }),
    (error) => error === oops,
  );
  assert.equal(a.likes.value, 7, "nothing of it stays");
  assert.throws(() => a.$.batch(async () => a.likes.add(1)), { code: "BATCH" });
  assert.equal(a.likes.value, 7);
  await net.settle(all);
  assert.deepEqual([b.tasks.get("n"), b.likes.value], [{ count: 101 }, 7]);
});

test("values come back as they were, or are refused", async (t) => {
  const { net, boards: all } = await boards(2, t);
  const [a, b] = all;
  const value = {
    text: "👩‍🚀 é",
    bytes: new Uint8Array([0, 255]),
    when: new Date(1_700_000_000_123),
    large: 2n ** 60n,
    small: -0.5,
    list: [null, true, [1, 2.5, { deep: "er" }]],
    ["__proto__"]: { polluted: true },
  };
  Object.defineProperty(value, "__proto__", { value: { polluted: true }, enumerable: true });
  await a.tasks.set("v", value);
  await net.settle(all);
  const back = b.tasks.get("v");
  assert.deepEqual(Object.entries(back).sort(), Object.entries(value).sort());
  assert.equal(back.polluted, undefined);
  assert.equal(Object.getPrototypeOf(back), Object.prototype);
  const circle = {};
  circle.circle = circle;
  class Task {}
  for (const bad of [NaN, Infinity, undefined, () => {}, new Map(), new Task(), circle, "\ud800", 2n ** 64n, Symbol("s"), new Date(NaN)]) {
    assert.throws(() => a.tasks.set("bad", bad), (error) => error instanceof RejoinError && error.code === "VALUE");
  }
  assert.throws(() => a.tasks.set("bad", "x".repeat(2 ** 21)), { code: "DATA" });
  assert.equal(a.tasks.get("bad"), undefined);
  assert.equal(await a.tasks.set("fine", { gone: undefined }), undefined);
  assert.deepEqual(a.tasks.get("fine"), {});
});

test("changes are confirmed by those who keep them, status says how far they are", async (t) => {
  const { net, boards: all } = await boards(2, t);
  const [a, b] = all;
  await net.settle(all);
  net.cut(0, 1);
  const change = a.likes.add(1);
  await assert.rejects(change.confirmed(1, { timeout: 50 }), { code: "NOT_CONFIRMED" });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual([a.$.status.value.state, a.$.status.value.text], ["alone", "1 change only on this device"]);
  net.heal(0, 1);
  await net.settle(all);
  for await (const status of a.$.status) if (status.state === "in-sync") break;
  assert.equal(a.$.status.value.text, "in sync with 1 other");
  assert.equal(b.likes.value, 1);
});

test("what was written is taken back and done again", async (t) => {
  const { boards: all } = await boards(1, t);
  const [a] = all;
  assert.throws(() => a.$.undo(), { code: "UNDO_OFF" });
  await a.$.keepUndo(10);
  await a.title.set("One");
  await a.title.set("Two");
  assert.equal(a.$.undo(), true);
  assert.equal(a.title.value, "One");
  assert.equal(a.$.redo(), true);
  assert.equal(a.title.value, "Two");
  assert.equal(a.$.redo(), false);
});

test("errors say what to do", async (t) => {
  await assert.rejects(open({}), { code: "STORAGE" });
  const db = await open({ volatile: true });
  t.after(() => db.close());
  await assert.rejects(db.join("rejoin:nonsense", schema), { code: "TICKET" });
  await assert.rejects(db.create(schema, { name: "no spaces" }), { code: "NAME" });
  const one = await db.create({ likes: counter() });
  await one.likes.add();
  const other = await db.join(await one.$.ticket(), { likes: set() });
  assert.throws(() => other.likes.add("x"), { code: "WRONG_KIND" });
  assert.equal(one.likes.value, 1);
  await db.close();
  assert.equal(one.likes.value, 1, "what was read stays");
  assert.throws(() => one.likes.add(), { code: "STORE" });
});
