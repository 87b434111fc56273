// Counts up in a folder, one durable step after the other, and says each when it is kept.
import { counter, map, open } from "rejoin";

const schema = { likes: counter(), tasks: map() };
const db = await open({ path: process.argv[2] });
const board = db.spaces.length > 0 ? db.space("board", schema) : await db.create(schema, { name: "board" });
for (let n = board.likes.value + 1; ; n += 1) {
  await board.$.batch(() => {
    board.likes.add(1);
    board.tasks.set(String(n).padStart(6, "0"), { n });
  });
  console.log(n);
}
