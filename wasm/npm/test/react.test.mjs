import assert from "node:assert/strict";
import { test } from "node:test";

import { createElement } from "react";
import { renderToString } from "react-dom/server";
import { counter, map, open } from "rejoin";
import { useStatus, useValue } from "rejoin/react";

test("a component shows what is there, on a server too", async (t) => {
  const db = await open({ volatile: true });
  t.after(() => db.close());
  const board = await db.create({ likes: counter(), tasks: map() });
  await board.likes.add(3);
  await board.tasks.set("a", { done: false });
  const Shown = () => {
    const likes = useValue(board.likes);
    const left = useValue(board.tasks, (tasks) => [...tasks.values()].filter((task) => !task.done));
    return `${likes} likes, ${left.length} left, ${useStatus(board).text}`;
  };
  assert.equal(renderToString(createElement(Shown)), "3 likes, 1 left, 2 changes only on this device");
});
