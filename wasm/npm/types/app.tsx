// An app as people write one, checked by the strictest compiler settings: what is wrong in it has to be refused.
import { type Board, type Commit, type RejoinError, counter, list, log, map, open, register, set } from "rejoin";
import { useStatus, useValue } from "rejoin/react";
import { network } from "rejoin/testing";

interface Task {
  title: string;
  done: boolean;
  due?: Date;
}

const schema = {
  title: register("Untitled"),
  note: register<string>(),
  likes: counter(),
  tags: set<string>(),
  tasks: map<Task>(),
  byNumber: map<{ n: bigint }, number>(),
  steps: list<string>(),
  history: log<{ who: string }>(),
};

export async function app(): Promise<void> {
  await using db = await open({ name: "my-app" });
  const ticket = new URLSearchParams(location.hash.slice(1)).get("t");
  const board = ticket === null ? await db.create(schema) : await db.join(ticket, schema);

  const added: Commit = board.likes.add();
  await added;
  await board.tasks.set("t1", { title: "Ship", done: false });
  await board.tasks.update("t1", (task) => ({ ...(task ?? { title: "" }), done: true })).confirmed(1, { timeout: 5000 });
  await board.byNumber.set(1, { n: 2n ** 60n });
  const id: string = await board.steps.push("first");
  board.steps.move(id, 0);
  board.title.set("Board");
  const title: string = board.title.value;
  const note: string | undefined = board.note.value;
  const tags: readonly string[] = board.tags.value;
  const due: Date | undefined = board.tasks.get("t1")?.due;
  const who: string | undefined = board.history.value[0]?.value.who;

  const off: () => void = board.likes.subscribe((likes: number) => void likes);
  for await (const status of board.$.status) if (status.state === "in-sync") break;
  off();
  location.hash = `t=${await board.$.ticket()}`;
  void [title, note, tags, due, who];
}

export async function wrong(board: Board<typeof schema>): Promise<void> {
  // @ts-expect-error there is no such field
  void board.like;
  // @ts-expect-error a task has a title
  board.tasks.set("t1", { done: true });
  // @ts-expect-error a number is no text
  board.tags.add(1);
  // @ts-expect-error keys of this map are numbers
  board.byNumber.get("1");
  // @ts-expect-error where it is kept has to be said
  await open({});
  // @ts-expect-error what is shown cannot be changed in place
  board.steps.value.push({ id: "", value: "" });
  try {
    await (await network(2)).settle([board]);
  } catch (error) {
    const code: RejoinError["code"] = (error as RejoinError).code;
    // @ts-expect-error codes are known
    void (code === "NONSENSE");
  }
}

export function Likes({ board }: { board: Board<typeof schema> }) {
  const likes = useValue(board.likes);
  const left: number = useValue(board.tasks, (tasks) => [...tasks.values()].filter((task) => !task.done).length);
  return (
    <button onClick={() => board.likes.add()}>
      {likes} likes, {left} left, {useStatus(board).text}
    </button>
  );
}
