// What watchword.js does where the browser does not answer: node hanging.mjs MODULE CASE
// Prints what became of a sign-in then, and of one after the browser answers again.

const [, , module, hanging] = process.argv;

// A second of the module is a hundredth of one here.
const wait = globalThis.setTimeout;
globalThis.setTimeout = (work, time) => wait(work, time / 100);

const done = []; // what must not happen behind the caller's back
let hangs = false;
let answer; // what was held up comes late

const hold = (late) =>
  new Promise((resolve) => {
    answer = () => resolve(late());
  });

let queue = Promise.resolve();
const locks = {
  request(name, work) {
    const before = hanging === "lock" && hangs ? hold(() => done.push("granted")) : queue;
    queue = before.then(() => work({ name }));
    return queue;
  },
};

const data = new Map();
function transaction() {
  const made = {
    abort: () => done.push("aborted"),
    objectStore: () => ({
      get: (key) => ({ result: data.get(key) }),
      put: (value, key) => ({ result: data.set(key, value) && key }),
      delete: (key) => ({ result: data.delete(key) }),
    }),
  };
  if (hanging !== "transaction" || !hangs) wait(() => made.oncomplete(), 0);
  return made;
}

globalThis.indexedDB = {
  open() {
    const request = { result: { close: () => done.push("closed"), transaction } };
    const opened = () => request.onsuccess();
    if (hanging === "open" && hangs) answer = opened;
    else queueMicrotask(opened);
    return request;
  },
};
globalThis.location = new URL("http://localhost:8712/");
Object.defineProperty(globalThis, "navigator", { value: { locks, onLine: true } });
let sent = 0;
globalThis.fetch = async () => {
  sent += 1;
  const body = { accessToken: "a", tokenType: "Bearer", expiresIn: 120 };
  return new Response(JSON.stringify(body), { status: 200 });
};

const { createClient } = await import(module);
const told = (error) => `${error.name} ${error.code} ${error.temporary}`;
const signIn = () => auth.login("ann", "a password").then(() => "ok", told);

hangs = true;
const auth = createClient();
const ready = await (hanging === "lock" ? "" : auth.ready.catch(told));
const hung = await signIn();
const sentThen = sent;
const gaveUp = done.splice(0);
hangs = false;
answer?.();
await new Promise((resolve) => wait(resolve, 1));
const late = [...done];
const readyAgain = await auth.ready;
const again = await signIn();
console.log(JSON.stringify({ ready, hung, sentThen, gaveUp, late, readyAgain, again, sent }));
process.exit();
