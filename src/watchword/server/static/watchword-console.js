// What the console does besides where there is a script: it copies, says how long ago
// something was, and follows a list of events. All of it works without, but less well.
"use strict";

// What stands in a field, for the clipboard. Without this the buttons are hidden.
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).value);
    button.firstChild.textContent = "Copied";
  });
}

const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

// "4 minutes ago" in the place of an instant, which goes to the title.
function sayAgo(root) {
  for (const time of root.querySelectorAll("time[data-ago]")) {
    time.title ||= time.textContent;
    const seconds = (Date.parse(time.dateTime) - Date.now()) / 1000;
    if (seconds < -7 * 86400 || seconds > 86400) continue;
    const unit = UNITS.find(([, length]) => Math.abs(seconds) >= length);
    time.textContent = unit
      ? relative.format(Math.round(seconds / unit[1]), unit[0])
      : "just now";
  }
}

sayAgo(document);
setInterval(() => sayAgo(document), 30_000);

const EVERY = 3000; // milliseconds
const WAITING = "Waiting for new events";

// Asks for rows that are newer than the newest one of the table, and puts them on top.
function follow(bar) {
  const rows = document.querySelector("tbody:has([data-sequence])");
  const [says, button] = [bar.querySelector("[data-tail-says]"), bar.querySelector("button")];
  const badge = bar.querySelector(".badge");
  let [last, came, paused] = [bar.dataset.last, 0, false];
  bar.hidden = false;

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? "Go on" : "Pause";
    badge.textContent = paused ? "Paused" : "Live";
    badge.classList.toggle("good", !paused);
    if (!paused) ask();
  });

  function put(html) {
    const found = new DOMParser().parseFromString(`<table>${html}</table>`, "text/html");
    const fresh = [...found.querySelectorAll("tr[data-sequence]")];
    if (fresh.length === 0) return;
    last = fresh[0].dataset.sequence;
    came += fresh.length;
    rows.prepend(...fresh);
    while (rows.rows.length > Number(bar.dataset.most)) rows.lastElementChild.remove();
  }

  function say(text) {
    // Only what changes is read out.
    if (says.textContent !== text) says.textContent = text;
  }

  async function ask() {
    if (paused || document.hidden) return;
    try {
      const asked = `${bar.dataset.tail}&since=${last}`;
      const answer = await fetch(asked, { redirect: "manual" });
      // Signed out, or without the role by now: the page itself says so.
      if (answer.type === "opaqueredirect" || answer.status === 404) return location.reload();
      if (!answer.ok) throw new Error(answer.statusText);
      put(await answer.text());
      say(came === 0 ? WAITING : came === 1 ? "1 new event" : `${came} new events`);
    } catch {
      say("The server cannot be reached at the moment");
    }
  }

  setInterval(ask, EVERY);
}

for (const bar of document.querySelectorAll("[data-tail]")) follow(bar);
