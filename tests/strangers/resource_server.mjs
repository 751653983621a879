// An API that takes Watchword's access tokens by panva/jose, knowing only the issuer.
// Prints its port; answers 200 with the claims, or 401 with the library's reason.

import { createServer } from "node:http";

import { createRemoteJWKSet, jwtVerify } from "jose";

const issuer = process.env.STRANGER_ISSUER;
const audience = process.env.STRANGER_AUDIENCE;

const found = await fetch(`${issuer}/.well-known/oauth-authorization-server`);
const metadata = await found.json();
const keys = createRemoteJWKSet(new URL(metadata.jwks_uri));

async function accept({ headers }) {
  const [scheme, token] = (headers.authorization ?? "").split(" ");
  if (scheme !== "Bearer") throw new Error("no bearer token");
  const { payload } = await jwtVerify(token, keys, {
    issuer: metadata.issuer,
    audience,
    typ: "at+jwt",
    requiredClaims: ["exp", "iat", "sub", "jti", "client_id"],
  });
  return payload;
}

const server = createServer((request, response) => {
  const answer = (status, body) => {
    response.writeHead(status, { "content-type": "application/json" });
    response.end(JSON.stringify(body));
  };
  accept(request).then(
    (claims) => answer(200, claims),
    (error) => answer(401, { code: error.code ?? error.message }),
  );
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
// Whoever started this closes its standard input at the end.
process.stdin.on("end", () => process.exit()).resume();
