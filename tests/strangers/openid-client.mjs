// panva/openid-client: the client that certified Node.js applications use.

import assert from "node:assert/strict";

import * as client from "openid-client";

import { given, login, opens, promise, secure } from "./promises.mjs";

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
