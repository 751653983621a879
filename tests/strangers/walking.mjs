// A person with a browser that runs no scripts, as tests/walking.py.

import assert from "node:assert/strict";

import { given } from "./promises.mjs";

const ENTITIES = { amp: "&", quot: '"', lt: "<", gt: ">", "#39": "'", "#34": '"' };

function attributes(tag) {
  const found = {};
  for (const [, name, value] of tag.matchAll(/([\w-]+)="([^"]*)"/g)) {
    found[name] = value.replace(/&(#?\w+);/g, (all, entity) => ENTITIES[entity] ?? all);
  }
  return found;
}

export class Walker {
  cookies = new Map();
  shown = [];

  // At the server of that address, where it says these things of itself.
  constructor(issuer = given.issuer, user = given.user) {
    this.origin = new URL(issuer).origin;
    this.user = user;
  }

  // Where the browser leaves the server for, with each page's form sent once.
  async walk(address) {
    this.shown = [];
    let answer = await this.#send(address);
    for (let step = 0; step < 12; step += 1) {
      const location = answer.headers.get("location");
      if (location === null) {
        answer = await this.#fillIn(answer);
        continue;
      }
      const there = new URL(location, answer.url);
      if (there.origin !== this.origin) return there;
      answer = await this.#send(there);
    }
    throw new Error(`walked in circles: ${this.shown}`);
  }

  async #fillIn(answer) {
    const page = await answer.text();
    assert.equal(answer.status, 200, page);
    this.shown.push(new URL(answer.url).pathname);
    const [, tag, inside] = /<form([^>]*)>(.*?)<\/form>/s.exec(page);
    const fields = {};
    for (const [input] of inside.matchAll(/<input[^>]*>/g)) {
      const { name, value = "" } = attributes(input);
      fields[name] = this.user[name] ?? value;
    }
    const buttons = [...inside.matchAll(/<button[^>]*>/g)].map(([b]) => attributes(b));
    const pressed = buttons.find(({ name }) => name);
    if (pressed) fields[pressed.name] = pressed.value;
    const action = new URL(attributes(tag).action ?? "", answer.url);
    return this.#send(action, new URLSearchParams(fields));
  }

  async #send(address, body) {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    const headers = { cookie, "sec-fetch-site": "same-origin" };
    const method = body ? "POST" : "GET";
    const answer = await fetch(address, { method, body, headers, redirect: "manual" });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    return answer;
  }
}
