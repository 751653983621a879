// panva/oauth4webapi: every answer is checked against its RFC by the library itself.

import assert from "node:assert/strict";

import { generateKeyPair } from "jose";
import * as oauth from "oauth4webapi";

import { given, login, opens, promise, secure } from "./promises.mjs";
import { Walker } from "./walking.mjs";

const { shop, app, catalogue } = given;
// Plain HTTP, which the library allows for tests only.
const http = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(given.issuer);

const as = await discover("oauth2");
const spa = { client_id: app.id };
const web = { client_id: shop.id };
const basic = oauth.ClientSecretBasic(shop.secret);
const post = oauth.ClientSecretPost(shop.secret);

async function discover(algorithm) {
  const answer = await oauth.discoveryRequest(issuer, { algorithm, ...http });
  return oauth.processDiscoveryResponse(issuer, answer);
}

async function refresh(client, auth, token, options) {
  const how = { ...http, ...options };
  const answer = await oauth.refreshTokenGrantRequest(as, client, auth, token, how);
  return oauth.processRefreshTokenResponse(as, client, answer);
}

async function credentials(auth, parameters = {}, options = {}) {
  const how = { ...http, ...options };
  const answer = await oauth.clientCredentialsGrantRequest(
    as, web, auth, parameters, how,
  );
  return oauth.processClientCredentialsResponse(as, web, answer);
}

async function revoke(client, auth, token, hint) {
  const additionalParameters = hint ? { token_type_hint: hint } : {};
  const how = { ...http, additionalParameters };
  const answer = await oauth.revocationRequest(as, client, auth, token, how);
  return oauth.processRevocationResponse(answer);
}

async function introspect(token, metadata = {}) {
  const client = { client_id: catalogue.id, ...metadata };
  const auth = oauth.ClientSecretBasic(catalogue.secret);
  const answer = await oauth.introspectionRequest(as, client, auth, token, http);
  const found = await oauth.processIntrospectionResponse(as, client, answer);
  if (metadata.introspection_signed_response_alg) {
    await oauth.validateApplicationLevelSignature(as, answer, http);
  }
  return found;
}

// As a resource server would: the claims of a token that came with a request.
async function accept(accessToken, audience = "api") {
  const headers = { authorization: `Bearer ${accessToken}` };
  const request = new Request(secure, { headers });
  return oauth.validateJwtAccessToken(as, request, audience, http);
}

async function call(accessToken, options = {}) {
  return oauth.protectedResourceRequest(
    accessToken, "GET", secure, new Headers(), null, { ...http, ...options },
  );
}

// Sends again with the nonce that the refusal has brought.
async function withNonce(send) {
  await assert.rejects(send, oauth.isDPoPNonceError);
  return send();
}

const isInvalidGrant = { code: "OAUTH_RESPONSE_BODY_ERROR", error: "invalid_grant" };

await promise("RFC 8414 and OpenID Connect discovery name one server", async () => {
  const openid = await discover("oidc");
  const isOurs = (name) => name.startsWith("watchword_"); // of no standard
  for (const name of Object.keys(as).filter((name) => !isOurs(name))) {
    assert.deepEqual(openid[name], as[name], name);
  }
  assert.ok(as.grant_types_supported.includes("refresh_token"));
  assert.ok(!as.grant_types_supported.includes("password"));
});

await promise("A refusal leads to the resource's metadata, and on", async () => {
  const refused = await call("no-token").catch((error) => error);
  const [{ scheme, parameters }] = refused.cause;
  assert.deepEqual([scheme, parameters.error], ["bearer", "invalid_token"]);
  const resource = new URL(`${given.issuer}/api/auth`);
  const answer = await oauth.resourceDiscoveryRequest(resource, http);
  assert.equal(answer.url, parameters.resource_metadata);
  const found = await oauth.processResourceDiscoveryResponse(resource, answer);
  assert.deepEqual(found.authorization_servers, [given.issuer]);
});

await promise("A public client refreshes with its id alone", async () => {
  const first = await login({ client: app });
  const second = await refresh(spa, oauth.None(), first.refreshToken);
  assert.equal(second.token_type, "bearer");
  assert.equal(second.expires_in, first.expiresIn);
  const third = await refresh(spa, oauth.None(), second.refresh_token);
  assert.equal((await call(third.access_token)).status, 200);
  assert.equal((await accept(third.access_token)).client_id, app.id);
});

await promise("A confidential client refreshes, basic and post", async () => {
  const first = await login({ client: shop });
  const second = await refresh(web, basic, first.refreshToken);
  const third = await refresh(web, post, second.refresh_token);
  assert.equal((await accept(third.access_token)).client_id, shop.id);
});

await promise("A narrow refresh leaves the session its scope", async () => {
  const first = await login({ client: app, scope: "read write" });
  const narrow = { additionalParameters: { scope: "read" } };
  const second = await refresh(spa, oauth.None(), first.refreshToken, narrow);
  assert.equal(second.scope, "read");
  assert.equal((await accept(second.access_token)).scope, "read");
  const third = await refresh(spa, oauth.None(), second.refresh_token);
  assert.equal((await accept(third.access_token)).scope, "read write");
  const wide = { additionalParameters: { scope: "read admin" } };
  const refused = refresh(spa, oauth.None(), third.refresh_token, wide);
  await assert.rejects(refused, { error: "invalid_scope" });
  await refresh(spa, oauth.None(), third.refresh_token);
});

await promise("A lost answer is asked for again by its key", async () => {
  const first = await login({ client: app });
  const again = { headers: { "Idempotency-Key": crypto.randomUUID() } };
  const lost = await refresh(spa, oauth.None(), first.refreshToken, again);
  const second = await refresh(spa, oauth.None(), first.refreshToken, again);
  assert.equal(second.refresh_token, lost.refresh_token);
  await refresh(spa, oauth.None(), second.refresh_token);
});

await promise("A spent refresh token ends the session", async () => {
  const first = await login({ client: app });
  const second = await refresh(spa, oauth.None(), first.refreshToken);
  const reused = refresh(spa, oauth.None(), first.refreshToken);
  await assert.rejects(reused, isInvalidGrant);
  const after = refresh(spa, oauth.None(), second.refresh_token);
  await assert.rejects(after, isInvalidGrant);
  assert.ok(!(await opens(second.access_token)));
});

await promise("Another client's refresh token is not spent", async () => {
  const first = await login({ client: shop });
  const refused = refresh(spa, oauth.None(), first.refreshToken);
  await assert.rejects(refused, isInvalidGrant);
  await refresh(web, basic, first.refreshToken);
});

await promise("Client credentials, basic and post, give a client's token", async () => {
  for (const auth of [basic, post]) {
    const grant = await credentials(auth, { scope: "read" });
    assert.equal(grant.scope ?? "read", "read");
    assert.equal(grant.refresh_token, undefined);
    const claims = await accept(grant.access_token);
    assert.deepEqual([claims.sub, claims.client_id], [shop.id, shop.id]);
  }
});

await promise("A wrong secret is invalid_client", async () => {
  const bad = "not-the-secret";
  const isChallenge = (error) =>
    error instanceof oauth.WWWAuthenticateChallengeError &&
    error.status === 401 &&
    error.cause.some(({ scheme }) => scheme === "basic");
  await assert.rejects(credentials(oauth.ClientSecretBasic(bad)), isChallenge);
  const refused = credentials(oauth.ClientSecretPost(bad));
  await assert.rejects(
    refused, (error) => error.error === "invalid_client" || isChallenge(error),
  );
});

await promise("Revocation ends the session, whatever the hint", async () => {
  for (const hint of [undefined, "refresh_token", "access_token", "no_such_type"]) {
    const grant = await login({ client: app });
    assert.ok(await opens(grant.accessToken));
    await revoke(spa, oauth.None(), grant.refreshToken, hint);
    const refused = refresh(spa, oauth.None(), grant.refreshToken);
    await assert.rejects(refused, isInvalidGrant);
    await assert.rejects(call(grant.accessToken), (error) => {
      const [{ scheme, parameters }] = error.cause;
      return scheme === "bearer" && parameters.error === "invalid_token";
    });
    // Again, and something that never was a token.
    await revoke(spa, oauth.None(), grant.refreshToken, hint);
    await revoke(spa, oauth.None(), "no-token", hint);
  }
});

await promise("A revoked access token is dead too", async () => {
  const grant = await login({ client: shop });
  await revoke(web, basic, grant.accessToken, "access_token");
  assert.ok(!(await opens(grant.accessToken)));
});

await promise("Introspection says nothing of a dead token", async () => {
  const grant = await login({ client: app, scope: "read" });
  const alive = await introspect(grant.accessToken);
  const claims = await accept(grant.accessToken);
  assert.equal(alive.active, true);
  for (const name of ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope"]) {
    assert.deepEqual(alive[name], claims[name], name);
  }
  await revoke(spa, oauth.None(), grant.refreshToken);
  assert.deepEqual(await introspect(grant.accessToken), { active: false });
  assert.deepEqual(await introspect("no-token"), { active: false });
});

await promise("A signed introspection verifies (RFC 9701)", async () => {
  const signed = { introspection_signed_response_alg: "ES256" };
  const grant = await login({ client: app });
  const alive = await introspect(grant.accessToken, signed);
  assert.deepEqual([alive.active, alive.client_id], [true, app.id]);
  await revoke(spa, oauth.None(), grant.refreshToken);
  assert.deepEqual(await introspect(grant.accessToken, signed), { active: false });
});

await promise("A token for one audience is refused by another", async () => {
  const grant = await login({ client: app });
  await accept(grant.accessToken, "api");
  const refused = accept(grant.accessToken, "another-api");
  await assert.rejects(refused, { code: "OAUTH_JWT_CLAIM_COMPARISON_FAILED" });
});

await promise("A session bound by DPoP refreshes and calls with nonces", async () => {
  const keys = await oauth.generateKeyPair("ES256");
  const DPoP = oauth.DPoP(spa, keys);
  const first = await login({ client: app, keys });
  assert.equal(first.tokenType, "DPoP");
  const second = await withNonce(
    () => refresh(spa, oauth.None(), first.refreshToken, { DPoP }),
  );
  assert.equal(second.token_type, "dpop");
  const answer = await withNonce(() => call(second.access_token, { DPoP }));
  assert.equal(answer.status, 200);
  // From here on the nonce is known.
  assert.equal((await call(second.access_token, { DPoP })).status, 200);
  const bound = await introspect(second.access_token);
  assert.equal(bound.cnf.jkt, await DPoP.calculateThumbprint());
  assert.equal(bound.token_type, "DPoP");
});

await promise("Every DPoP algorithm that is advertised works", async () => {
  for (const alg of as.dpop_signing_alg_values_supported) {
    const keys = { ...(await generateKeyPair(alg)), alg };
    const grant = await login({ client: app, keys });
    const DPoP = oauth.DPoP(spa, keys);
    await withNonce(() => refresh(spa, oauth.None(), grant.refreshToken, { DPoP }));
  }
});

await promise("A resource server by the library takes a bound token", async () => {
  const keys = await oauth.generateKeyPair("ES256");
  const DPoP = oauth.DPoP(spa, keys);
  const grant = await login({ client: app, keys });
  let request;
  const caught = async (url, options) => {
    request = new Request(url, options);
    return new Response();
  };
  await call(grant.accessToken, { DPoP, [oauth.customFetch]: caught });
  const how = { ...http, requireDPoP: true };
  const claims = await oauth.validateJwtAccessToken(as, request, "api", how);
  assert.equal(claims.cnf.jkt, await DPoP.calculateThumbprint());
  await assert.rejects(accept(grant.accessToken), { message: /DPoP/ });
});

await promise("A bound token is refused as bearer, and with another key", async () => {
  const keys = await oauth.generateKeyPair("ES256");
  const grant = await login({ client: app, keys });
  assert.ok(!(await opens(grant.accessToken)));
  await assert.rejects(refresh(spa, oauth.None(), grant.refreshToken));
  const thief = oauth.DPoP(spa, await oauth.generateKeyPair("ES256"));
  const refused = withNonce(
    () => refresh(spa, oauth.None(), grant.refreshToken, { DPoP: thief }),
  );
  await assert.rejects(
    refused, ({ error }) => ["invalid_dpop_proof", "invalid_grant"].includes(error),
  );
  await assert.rejects(
    withNonce(() => call(grant.accessToken, { DPoP: thief })),
    ({ cause: [{ scheme, parameters }] }) =>
      scheme === "dpop" && /invalid_(token|dpop_proof)/.test(parameters.error),
  );
  // Nothing of this spent the refresh token.
  const DPoP = oauth.DPoP(spa, keys);
  await withNonce(() => refresh(spa, oauth.None(), grant.refreshToken, { DPoP }));
});

await promise("Client credentials with DPoP give a bound token", async () => {
  const DPoP = oauth.DPoP(web, await oauth.generateKeyPair("ES256"));
  const grant = await withNonce(() => credentials(basic, {}, { DPoP }));
  assert.equal(grant.token_type, "dpop");
  const bound = await introspect(grant.access_token);
  assert.equal(bound.cnf.jkt, await DPoP.calculateThumbprint());
});

// By browser.

const { portal, phone, back } = given;
const browser = new Walker();
const rp = { client_id: portal.id };
const native = { client_id: phone.id, id_token_signed_response_alg: "ES256" };
const secret = oauth.ClientSecretBasic(portal.secret);

// The parameters of a request that is good, and its verifier.
async function request(client, asked = {}) {
  const verifier = oauth.generateRandomCodeVerifier();
  const parameters = {
    client_id: client.client_id,
    redirect_uri: back,
    response_type: "code",
    scope: "openid email",
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state: oauth.generateRandomState(),
    nonce: oauth.generateRandomNonce(),
    ...asked,
  };
  return { verifier, parameters };
}

function address(parameters) {
  const url = new URL(as.authorization_endpoint);
  url.search = new URLSearchParams(parameters);
  return url;
}

async function exchange(client, auth, callback, verifier, options = {}) {
  const answer = await oauth.authorizationCodeGrantRequest(
    as, client, auth, callback, back, verifier, { ...http, ...options },
  );
  const nonce = options.nonce ?? oauth.expectNoNonce;
  const how = { expectedNonce: nonce, requireIdToken: true };
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, answer, how);
  await oauth.validateApplicationLevelSignature(as, answer, http);
  return tokens;
}

await promise("The metadata says what may be asked for, and it is so", async () => {
  assert.deepEqual(as.response_types_supported, ["code"]);
  assert.deepEqual(as.code_challenge_methods_supported, ["S256"]);
  assert.equal(as.authorization_response_iss_parameter_supported, true);
  for (const name of ["request", "request_uri", "claims"]) {
    assert.equal(as[`${name}_parameter_supported`], false);
  }
});

await promise("The code flow passes every check of the library", async () => {
  const clients = [[rp, secret], [native, oauth.None()]];
  for (const [client, auth] of clients) {
    const { verifier, parameters } = await request(client);
    const landed = await browser.walk(address(parameters));
    const { state, nonce } = parameters;
    const callback = oauth.validateAuthResponse(as, client, landed, state);
    const tokens = await exchange(client, auth, callback, verifier, { nonce });
    const { sub } = oauth.getValidatedIdTokenClaims(tokens);
    const claims = await accept(tokens.access_token);
    assert.deepEqual([claims.sub, claims.client_id], [sub, client.client_id]);
    const answer = await oauth.userInfoRequest(as, client, tokens.access_token, http);
    const user = await oauth.processUserInfoResponse(as, client, sub, answer);
    assert.deepEqual(Object.keys(user), ["sub"]); // The user has no address.
  }
});

await promise("A request is pushed, and a second look at it is too late", async () => {
  const { verifier, parameters } = await request(rp);
  const answer = await oauth.pushedAuthorizationRequest(
    as, rp, secret, parameters, http,
  );
  const pushed = await oauth.processPushedAuthorizationResponse(as, rp, answer);
  assert.equal(pushed.expires_in, 60);
  const { request_uri } = pushed;
  const short = address({ client_id: rp.client_id, request_uri });
  const landed = await browser.walk(short);
  const callback = oauth.validateAuthResponse(as, rp, landed, parameters.state);
  const { nonce } = parameters;
  await exchange(rp, secret, callback, verifier, { nonce });
  await assert.rejects(browser.walk(short));
});

await promise("Another verifier is invalid_grant, and spends nothing", async () => {
  const { verifier, parameters } = await request(native, { nonce: "n" });
  const landed = await browser.walk(address(parameters));
  const callback = oauth.validateAuthResponse(as, native, landed, parameters.state);
  const other = oauth.generateRandomCodeVerifier();
  const refused = exchange(native, oauth.None(), callback, other);
  await assert.rejects(refused, isInvalidGrant);
  await exchange(native, oauth.None(), callback, verifier, { nonce: "n" });
});

await promise("A lost answer to a code is asked for again by its key", async () => {
  const { verifier, parameters } = await request(rp, { nonce: "n" });
  const landed = await browser.walk(address(parameters));
  const callback = oauth.validateAuthResponse(as, rp, landed, parameters.state);
  const again = { nonce: "n", headers: { "Idempotency-Key": crypto.randomUUID() } };
  const lost = await exchange(rp, secret, callback, verifier, again);
  const second = await exchange(rp, secret, callback, verifier, again);
  assert.equal(second.refresh_token, lost.refresh_token);
  await refresh(rp, secret, second.refresh_token);
});
