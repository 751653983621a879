// What the scripts of this folder share: a line for each promise, and a native sign-in.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { inspect } from "node:util";

import { SignJWT, exportJWK } from "jose";

// Issuer, clients and a user, as tests/strangers/conftest.py made them.
export const given = JSON.parse(process.env.STRANGER);
export const secure = new URL(`${given.issuer}/api/auth/secure`);

// Prints whether `keep` came through. tests/strangers/node.py reads the sentences from
// the source, so that each is a test of its own, and one that never ran fails.
export async function promise(sentence, keep) {
  const line = { promise: sentence, why: null };
  try {
    await keep();
  } catch (error) {
    line.why = inspect(error, { depth: 5 });
  }
  console.log(JSON.stringify(line));
}

// A DPoP proof (RFC 9449 section 4.2), by ES256 where the key pair names nothing else.
export async function proof(keys, method, url, nonce) {
  const jwk = await exportJWK(keys.publicKey);
  return new SignJWT({ htm: method, htu: String(url), nonce, jti: randomUUID() })
    .setProtectedHeader({ typ: "dpop+jwt", alg: keys.alg ?? "ES256", jwk })
    .setIssuedAt()
    .sign(keys.privateKey);
}

// What the native sign-in answers: the user is first-party's where no client is named,
// and the session is bound to the key pair where one is given.
export async function login({ client, keys, ...asked } = {}) {
  const url = `${given.issuer}/api/auth/login`;
  const headers = { "content-type": "application/json" };
  if (client?.secret) {
    headers.authorization = `Basic ${btoa(`${client.id}:${client.secret}`)}`;
  }
  const body = JSON.stringify({ ...given.user, clientId: client?.id, ...asked });
  const send = async (nonce) => {
    if (keys) headers.dpop = await proof(keys, "POST", url, nonce);
    return fetch(url, { method: "POST", headers, body });
  };
  let answer = await send();
  if (keys) {
    assert.equal((await answer.json()).code, "use_dpop_nonce");
    answer = await send(answer.headers.get("dpop-nonce"));
  }
  const grant = await answer.json();
  assert.equal(answer.status, 200, inspect(grant));
  return grant;
}

// Whether the resource takes this access token as a bearer token.
export async function opens(accessToken) {
  const headers = { authorization: `Bearer ${accessToken}` };
  return (await fetch(secure, { headers })).status === 200;
}
