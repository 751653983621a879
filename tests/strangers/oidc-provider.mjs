// panva/oidc-provider, certified by the OpenID Foundation, beside ours: each request is
// sent to both, and the answers are of one kind, or the row says why ours is another.

import assert from "node:assert/strict";
import { createServer } from "node:http";

import Provider from "oidc-provider";

import { given, promise } from "./promises.mjs";
import { Walker } from "./walking.mjs";

// Its notices go where no promises are read from.
console.info = console.error;

const { portal, phone, back, bye } = given;
const challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

// The same clients as ours has.
const registered = [
  { client_id: portal.id, client_secret: portal.secret },
  { client_id: phone.id, token_endpoint_auth_method: "none" },
].map((client) => ({
  ...client,
  redirect_uris: [back],
  post_logout_redirect_uris: [bye],
  grant_types: ["authorization_code", "refresh_token"],
}));
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const theirs = `http://127.0.0.1:${server.address().port}`;
const { privateKey } = await crypto.subtle.generateKey(
  {
    name: "RSASSA-PKCS1-v1_5",
    modulusLength: 2048,
    publicExponent: Uint8Array.of(1, 0, 1),
    hash: "SHA-256",
  },
  true,
  ["sign"],
);
const provider = new Provider(theirs, {
  clients: registered,
  cookies: { keys: ["not-secret"] },
  features: { pushedAuthorizationRequests: { enabled: true } },
  jwks: { keys: [await crypto.subtle.exportKey("jwk", privateKey)] },
  pkce: { required: () => true },
  scopes: ["openid", "offline_access", "profile", "email"],
});
server.on("request", provider.callback());

const path = "/.well-known/openid-configuration";
const documents = await Promise.all(
  [given.issuer, theirs].map(async (one) => (await fetch(one + path)).json()),
);

// What an answer comes to: its error, at the client or in the body; `goes on` to a page
// of the server, or `page` for one that is shown at once.
async function kind(answer, issuer) {
  const location = answer.headers.get("location");
  if (location !== null) {
    const there = new URL(location, answer.url);
    if (there.origin === new URL(issuer).origin) return "goes on";
    const inFragment = new URLSearchParams(there.hash.slice(1)).get("error");
    if (inFragment) return `sent #${inFragment}`;
    const { error, iss } = Object.fromEntries(there.searchParams);
    assert.equal(iss, issuer, "RFC 9207 §2: with errors too");
    return `sent ${error ?? "code"}`;
  }
  const type = answer.headers.get("content-type") ?? "";
  if (type.startsWith("text/html")) return `page ${answer.status}`;
  const body = await answer.json();
  return `${answer.status} ${body.error ?? Object.keys(body).sort()}`;
}

async function kinds(send) {
  return Promise.all(documents.map(async (as) => kind(await send(as), as.issuer)));
}

// `row` is [what is changed, what both answer], or [.., ours, theirs, why].
async function compare(rows, send) {
  const found = [];
  for (const [changed, ours, other = ours, why = ""] of rows) {
    assert.equal(why !== "", ours !== other, "a row that differs says why");
    const [a, b] = await kinds((as) => send(as, changed));
    if (a !== ours || b !== other) found.push({ changed, a, b, ours, other });
  }
  assert.deepEqual(found, []);
}

function parameters(usual, changed) {
  const all = Object.entries({ ...usual, ...changed });
  return new URLSearchParams(all.filter(([, value]) => value !== null));
}

const request = {
  client_id: portal.id,
  redirect_uri: back,
  response_type: "code",
  scope: "openid",
  state: "a-state",
  nonce: "n",
  code_challenge: challenge,
  code_challenge_method: "S256",
};
const basic = `Basic ${btoa(`${portal.id}:${portal.secret}`)}`;

async function post(url, body, authorization) {
  const headers = authorization ? { authorization } : {};
  return fetch(url, { method: "POST", body, headers, redirect: "manual" });
}

await promise("What a request to sign in comes to", async () => {
  await compare([
    [{}, "goes on"],
    [{ nonce: null, state: null }, "goes on"],
    [{ scope: "openid unknown" }, "goes on"],
    [{ extra: "x", display: "popup", ui_locales: "xx" }, "goes on"],
    [{ prompt: "login" }, "goes on"],
    [{ client_id: phone.id }, "goes on"],
    [{ prompt: "none" }, "sent login_required"],
    [{ prompt: "none login" }, "sent invalid_request"],
    [{ prompt: "unknown" }, "sent invalid_request"],
    [{ response_type: null }, "sent invalid_request"],
    [
      { response_type: "token" }, "sent unsupported_response_type",
      "sent #unsupported_response_type", "ours answers in the query alone, as it says",
    ],
    [{ code_challenge: null, code_challenge_method: null }, "sent invalid_request"],
    [{ code_challenge_method: "plain" }, "sent invalid_request"],
    [{ code_challenge: "short" }, "sent invalid_request"],
    [{ max_age: "-1" }, "sent invalid_request"],
    [{ request: "e30.e30." }, "sent request_not_supported"],
    [{ registration: "{}" }, "sent registration_not_supported"],
    [{ id_token_hint: "e30.e30.e30" }, "sent invalid_request"],
    [{ request_uri: "https://stranger.example/r" }, "sent request_uri_not_supported"],
    [{ client_id: "unknown" }, "page 400"],
    [{ client_id: null }, "page 400"],
    [{ redirect_uri: `${back}/more` }, "page 400"],
    [{ redirect_uri: `${back}?more=1` }, "page 400"],
  ], (as, changed) => {
    const headers = { accept: "text/html" };
    const url = `${as.authorization_endpoint}?${parameters(request, changed)}`;
    return fetch(url, { headers, redirect: "manual" });
  });
});

await promise("What a pushed request comes to", async () => {
  const either = "RFC 9126 §2.3 allows both; our error_description says which it is";
  await compare([
    [{}, "201 expires_in,request_uri"],
    [{ response_type: null }, "400 invalid_request"],
    [{ redirect_uri: `${back}/more` }, "400 invalid_request"],
    [{ code_challenge: null }, "400 invalid_request"],
    [{ response_type: "token" }, "400 unsupported_response_type"],
    [{ request: "e30.e30." }, "400 request_not_supported"],
    [
      { request_uri: "https://stranger.example/r" }, "400 invalid_request",
      "400 request_uri_not_supported", either,
    ],
    [{ client_id: phone.id }, "400 invalid_request"],
  ], (as, changed) => {
    const url = as.pushed_authorization_request_endpoint;
    return post(url, parameters(request, changed), basic);
  });
});

await promise("What a code that is none comes to", async () => {
  const usual = {
    grant_type: "authorization_code",
    code: "ww_ac_none",
    redirect_uri: back,
    code_verifier: "v".repeat(43),
  };
  await compare([
    [{}, "400 invalid_grant"],
    [{ code: null }, "400 invalid_request"],
    [{ redirect_uri: null }, "400 invalid_grant"],
    [{ grant_type: null }, "400 invalid_request"],
    [{ grant_type: "password" }, "400 unsupported_grant_type"],
    [{ grant_type: "refresh_token", refresh_token: "none" }, "400 invalid_grant"],
    [{ grant_type: "refresh_token" }, "400 invalid_request"],
  ], (as, changed) => post(as.token_endpoint, parameters(usual, changed), basic));
  const wrong = `Basic ${btoa(`${portal.id}:wrong`)}`;
  await compare([[wrong, "401 invalid_client"]], (as, authorization) =>
    post(as.token_endpoint, parameters(usual, {}), authorization));
});

await promise("What a code is good for, and for which client", async () => {
  const { username: login, password } = given.user;
  const people = [new Walker(), new Walker(theirs, { login, password })];
  const verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"; // RFC 7636, appendix B
  const grant_type = "authorization_code";
  const usual = { grant_type, redirect_uri: back, code_verifier: verifier };
  const both = await Promise.all(documents.map(async (as, index) => {
    const url = `${as.authorization_endpoint}?${parameters(request, {})}`;
    const landed = await people[index].walk(url);
    const { code } = Object.fromEntries(landed.searchParams);
    const answers = [];
    for (const [changed, authorization] of [
      [{ client_id: phone.id }],
      [{ code_verifier: "v".repeat(43) }, basic],
      [{ redirect_uri: `${back}/more` }, basic],
      [{}, basic],
      [{}, basic],
    ]) {
      const form = parameters({ ...usual, code }, changed);
      const answer = await post(as.token_endpoint, form, authorization);
      assert.equal(answer.headers.get("cache-control"), "no-store");
      const { error, id_token, ...more } = await answer.json();
      const [head, claims] = id_token?.split(".").slice(0, 2).map(
        (part) => JSON.parse(Buffer.from(part, "base64url")),
      ) ?? [];
      answers.push(error ?? { head, claims, more });
    }
    return answers;
  }));
  const [[...ours], [...other]] = both;
  const [[a], [b]] = [ours.splice(3, 1), other.splice(3, 1)];
  assert.deepEqual(ours, Array(4).fill("invalid_grant"));
  assert.deepEqual(other, ours);
  // What theirs tells, ours tells too.
  assert.deepEqual([a.head.alg, a.head.typ], [b.head.alg, b.head.typ ?? "JWT"]);
  for (const part of ["claims", "more"]) {
    const missing = Object.keys(b[part]).filter((one) => !(one in a[part]));
    assert.deepEqual(missing, []);
  }
  assert.deepEqual([a.more.scope, a.claims.aud], [b.more.scope, b.claims.aud]);
});

await promise("Userinfo challenges who brings no good token", async () => {
  for (const headers of [{}, { authorization: "Bearer none" }]) {
    for (const { userinfo_endpoint: url } of documents) {
      const answer = await fetch(url, { headers });
      assert.equal(answer.status, 401);
      const error = /error="(\w+)"/.exec(answer.headers.get("www-authenticate"));
      // RFC 6750 §3.1: who brings nothing is told of no error.
      assert.equal(error?.[1], headers.authorization && "invalid_token");
    }
  }
});

await promise("What a request to sign out comes to where nobody is signed in", async () => {
  await compare([
    [{}, "page 200"],
  ], (as, changed) => {
    const headers = { accept: "text/html" };
    const url = `${as.end_session_endpoint}?${parameters({}, changed)}`;
    return fetch(url, { headers, redirect: "manual" });
  });
});

await promise("Both publish what OpenID Connect Discovery wants", async () => {
  const [ours, other] = documents;
  const notOurs = {
    claim_types_supported: "one kind, which is what its absence says",
    token_endpoint_auth_signing_alg_values_supported: "no client keys",
    registration_endpoint: "no dynamic registration",
  };
  const missing = Object.keys(other).filter((one) => !(one in ours));
  assert.deepEqual(missing.filter((one) => !(one in notOurs)), []);
});

server.close();
server.closeAllConnections();
