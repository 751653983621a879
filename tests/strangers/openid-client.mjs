// panva/openid-client: the client that certified Node.js applications use.

import assert from "node:assert/strict";

import * as client from "openid-client";

import { given, login, opens, promise, secure } from "./promises.mjs";
import { Walker } from "./walking.mjs";

const { shop, app, catalogue } = given;
const issuer = new URL(given.issuer);

async function configure(who, metadata, auth, more = [], algorithm = "oidc") {
  const execute = [client.allowInsecureRequests, ...more];
  return client.discovery(issuer, who.id, metadata, auth, { execute, algorithm });
}

const spa = await configure(app, undefined, client.None());
const web = await configure(shop, shop.secret);
const resource = await configure(catalogue, catalogue.secret);

const isInvalidGrant = { code: "OAUTH_RESPONSE_BODY_ERROR", error: "invalid_grant" };

await promise("The issuer alone configures it, by either document", async () => {
  const oauth = await configure(app, undefined, client.None(), [], "oauth2");
  for (const { issuer: named, token_endpoint: endpoint } of [
    spa.serverMetadata(), oauth.serverMetadata(),
  ]) {
    assert.equal(named, given.issuer);
    assert.equal(endpoint, spa.serverMetadata().token_endpoint);
  }
});

await promise("A public client refreshes as long as it likes", async () => {
  const grant = await login({ client: app });
  let token = grant.refreshToken;
  for (let round = 0; round < 3; round += 1) {
    const next = await client.refreshTokenGrant(spa, token);
    assert.ok(next.expiresIn() <= grant.expiresIn);
    const answer = await client.fetchProtectedResource(
      spa, next.access_token, secure, "GET",
    );
    assert.equal(answer.status, 200);
    assert.notEqual(next.refresh_token, token);
    token = next.refresh_token;
  }
});

await promise("A confidential client refreshes with basic and with post", async () => {
  const basic = await configure(
    shop, undefined, client.ClientSecretBasic(shop.secret),
  );
  const first = await login({ client: shop });
  const second = await client.refreshTokenGrant(web, first.refreshToken);
  const third = await client.refreshTokenGrant(basic, second.refresh_token);
  assert.ok(await opens(third.access_token));
});

await promise("A spent refresh token is invalid_grant", async () => {
  const first = await login({ client: app });
  const second = await client.refreshTokenGrant(spa, first.refreshToken);
  for (const token of [first.refreshToken, second.refresh_token]) {
    await assert.rejects(client.refreshTokenGrant(spa, token), isInvalidGrant);
  }
});

await promise("A client gets a token of its own", async () => {
  const grant = await client.clientCredentialsGrant(web, { scope: "read" });
  const found = await client.tokenIntrospection(resource, grant.access_token);
  assert.deepEqual(
    [found.active, found.sub, found.scope], [true, shop.id, "read"],
  );
});

await promise("A scope that the client may not have is invalid_scope", async () => {
  const refused = client.clientCredentialsGrant(web, { scope: "admin" });
  await assert.rejects(refused, { error: "invalid_scope", status: 400 });
});

await promise("A public client gets no token of its own", async () => {
  const refused = client.clientCredentialsGrant(spa);
  await assert.rejects(
    refused, ({ error }) => ["unauthorized_client", "invalid_client"].includes(error),
  );
});

await promise("Revocation reaches introspection and the resource", async () => {
  const grant = await login({ client: app });
  const before = await client.tokenIntrospection(resource, grant.accessToken);
  assert.equal(before.active, true);
  await client.tokenRevocation(spa, grant.refreshToken);
  const after = await client.tokenIntrospection(resource, grant.accessToken);
  assert.deepEqual(after, { active: false });
  await assert.rejects(
    client.fetchProtectedResource(spa, grant.accessToken, secure, "GET"),
    client.WWWAuthenticateChallengeError,
  );
});

await promise("A signed introspection passes the non-repudiation check", async () => {
  const signed = await configure(
    catalogue,
    { client_secret: catalogue.secret, introspection_signed_response_alg: "ES256" },
    undefined,
    [client.enableNonRepudiationChecks],
  );
  const grant = await login({ client: app });
  const found = await client.tokenIntrospection(signed, grant.accessToken);
  assert.deepEqual([found.active, found.client_id], [true, app.id]);
});

await promise("With its DPoP handle the nonces are nobody's concern", async () => {
  const keys = await client.randomDPoPKeyPair();
  const DPoP = client.getDPoPHandle(spa, keys);
  const first = await login({ client: app, keys });
  let token = first.refreshToken;
  for (let round = 0; round < 2; round += 1) {
    const next = await client.refreshTokenGrant(spa, token, undefined, { DPoP });
    assert.equal(next.token_type, "dpop");
    const answer = await client.fetchProtectedResource(
      spa, next.access_token, secure, "GET", null, undefined, { DPoP },
    );
    assert.equal(answer.status, 200);
    token = next.refresh_token;
  }
});

// By browser.

const { portal, phone, back, bye } = given;
const browser = new Walker();

// With these it verifies the signatures of ID tokens too.
const verifying = [client.enableNonRepudiationChecks];
const rp = await configure(portal, portal.secret, undefined, verifying);
const native = await configure(
  phone, { id_token_signed_response_alg: "ES256" }, client.None(), verifying,
);

// Sends the user there as the library says: what the library makes of what comes back.
async function signIn(config, asked = {}, { push, user = browser, ...checks } = {}) {
  const verifier = client.randomPKCECodeVerifier();
  const [state, nonce] = [client.randomState(), client.randomNonce()];
  const parameters = {
    redirect_uri: back,
    scope: "openid profile email",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    state,
    nonce,
    ...asked,
  };
  const address = push
    ? await client.buildAuthorizationUrlWithPAR(config, parameters)
    : client.buildAuthorizationUrl(config, parameters);
  const landed = await user.walk(address);
  const tokens = await client.authorizationCodeGrant(config, landed, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
    ...checks,
  });
  return { tokens, landed, verifier, state, nonce, address };
}

await promise("By browser it has a user, the next client asks nothing", async () => {
  const { tokens } = await signIn(rp);
  assert.deepEqual(browser.shown, ["/sign-in"]);
  const { sub } = tokens.claims();
  const user = await client.fetchUserInfo(rp, tokens.access_token, sub);
  assert.equal(user.preferred_username, given.user.username);
  const second = await signIn(native);
  assert.deepEqual(browser.shown, []);
  assert.equal(second.tokens.claims().sub, sub);
});

await promise("A pushed request is one of its name alone", async () => {
  const { address, tokens } = await signIn(rp, {}, { push: true });
  assert.deepEqual([...address.searchParams.keys()].sort(), ["client_id", "request_uri"]);
  assert.ok(tokens.id_token);
});

await promise("A code is good once, and its tokens die with it", async () => {
  const { tokens, landed, verifier, state, nonce } = await signIn(rp);
  const checks = {
    pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce,
  };
  await assert.rejects(client.authorizationCodeGrant(rp, landed, checks), isInvalidGrant);
  await assert.rejects(client.refreshTokenGrant(rp, tokens.refresh_token), isInvalidGrant);
});

await promise("A refresh that asks for openid has the same user again", async () => {
  for (const config of [rp, native]) {
    const { tokens } = await signIn(config, { scope: "openid offline_access" });
    const next = await client.refreshTokenGrant(
      config, tokens.refresh_token, { scope: "openid" },
    );
    for (const claim of ["sub", "auth_time", "aud", "sid"]) {
      assert.deepEqual(next.claims()[claim], tokens.claims()[claim], claim);
    }
    assert.equal(next.claims().nonce, undefined);
  }
});

await promise("max_age and prompt=login are checked by the library", async () => {
  await signIn(rp, { max_age: "1000" }, { maxAge: 1000 });
  assert.deepEqual(browser.shown, []);
  await signIn(rp, { prompt: "login" }, { maxAge: 60 });
  assert.deepEqual(browser.shown, ["/sign-in"]);
});

await promise("prompt=none answers login_required, with iss and state", async () => {
  const nobody = new Walker();
  await assert.rejects(
    signIn(rp, { prompt: "none" }, { user: nobody }),
    { code: "OAUTH_AUTHORIZATION_RESPONSE_ERROR", error: "login_required" },
  );
  assert.deepEqual(nobody.shown, []);
});

await promise("A code bound by DPoP gives tokens of that key", async () => {
  const DPoP = client.getDPoPHandle(native, await client.randomDPoPKeyPair());
  const jkt = await DPoP.calculateThumbprint();
  const verifier = client.randomPKCECodeVerifier();
  const landed = await browser.walk(client.buildAuthorizationUrl(native, {
    redirect_uri: back,
    scope: "openid",
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    dpop_jkt: jkt,
  }));
  const checks = { pkceCodeVerifier: verifier };
  // Without a proof it is refused, and not spent.
  await assert.rejects(client.authorizationCodeGrant(native, landed, checks));
  const tokens = await client.authorizationCodeGrant(
    native, landed, checks, undefined, { DPoP },
  );
  assert.equal(tokens.token_type, "dpop");
  await client.fetchUserInfo(
    native, tokens.access_token, tokens.claims().sub, { DPoP },
  );
});

await promise("A sign-out at the server ends the sign-ins at all clients", async () => {
  const first = await signIn(rp);
  const second = await signIn(native);
  const address = client.buildEndSessionUrl(rp, {
    id_token_hint: first.tokens.id_token,
    post_logout_redirect_uri: bye,
    state: "a-state",
  });
  assert.equal(String(await browser.walk(address)), `${bye}?state=a-state`);
  assert.deepEqual(browser.shown, []);
  for (const [config, { tokens }] of [[rp, first], [native, second]]) {
    const refused = client.refreshTokenGrant(config, tokens.refresh_token);
    await assert.rejects(refused, isInvalidGrant);
    await assert.rejects(
      client.fetchUserInfo(config, tokens.access_token, tokens.claims().sub),
    );
  }
  await assert.rejects(signIn(rp, { prompt: "none" }), { error: "login_required" });
});
