// Starts Swagger UI and carries tokens from one call to the next, so that the six steps
// can be clicked through without copying anything.
//
//   login, refresh    the access token goes into the Authorize box,
//                     the refresh token into the bodies of refresh and logout
//                     (so do other calls that answer with tokens)
//   login/continue    has the continuation of a sign-in that needs a second factor,
//                     login/enrol and its steps that of one that needs a first one
//   totp/confirm      has the factor of the call that began it
//   step-up           has the refresh token
//   refresh           is sent with a fresh Idempotency-Key
//   logout            empties the Authorize box
//   padlocks          open until there is a token, also of calls that need none
//   with a cookie     refresh and logout have no body, and the header against CSRF
//
// Tokens stay in this page's memory: nothing is written to the browser's storage.
"use strict";

const SCHEME = "bearer"; // the security scheme's name in openapi.json
const OK = 200;
const EXAMPLE = "ww_rt_…"; // the example of openapi.json: an editor cannot be empty

// Calls that spend the refresh token, and some that ignore the key.
const ROTATE = ["refresh", "step-up", "change", "confirm", "passkeys"];

const steps = [...document.querySelectorAll("#steps li")];
let continuation = ""; // of a sign-in that has to enrol
let refreshed = false; // since the last sign-in: tells step 5 from step 2
let refreshToken = EXAMPLE;
let byCookie = false; // the refresh token is in a cookie, which no script can read

/** The last segment of an address or path: "login", "logout-all", … */
const callOf = (address) => address.split(/[?#]/)[0].split("/").pop();

/** Where openapi.json has the call that ends so: path, method, Swagger UI's key for it. */
function find(call) {
  const paths = ui.specSelectors.specJson().get("paths").toJS();
  for (const [path, methods] of Object.entries(paths)) {
    if (!path.endsWith(`/${call}`)) continue;
    const [method, { tags = ["default"], operationId }] = Object.entries(methods)[0];
    return { pathMethod: [path, method], key: ["operations", tags[0], operationId] };
  }
  return null;
}

function hint(message) {
  document.getElementById("hint").textContent = message;
}

function tell(message, step) {
  hint(message);
  steps[step - 1].classList.add("done");
}

function fill(call, body) {
  const pathMethod = find(call)?.pathMethod;
  if (!pathMethod) return;
  const value = JSON.stringify(body, null, 2);
  // An open editor shows the new value. An editor that is opened later would begin
  // with the example of openapi.json, unless it is told to keep the value.
  ui.oas3Actions.setRetainRequestBodyValueFlag({ value: true, pathMethod });
  ui.oas3Actions.setRequestBodyValue({ value, pathMethod });
}

function carry(tokens) {
  ui.preauthorizeApiKey(SCHEME, tokens.accessToken);
  byCookie = tokens.refreshToken === undefined;
  refreshToken = tokens.refreshToken ?? EXAMPLE;
  for (const call of ["refresh", "logout"]) fill(call, { refreshToken });
  fill("step-up", { refreshToken, method: "totp", code: "" });
  return new Date(Date.now() + tokens.expiresIn * 1000).toLocaleTimeString();
}

const answered = {
  login(status, body) {
    if (body?.code === "second_factor_required") {
      fill("login/continue", { continuation: body.continuation, method: "totp", code: "" });
      hint("The password is right. Now send a code by login/continue, which has the continuation.");
    }
    if (body?.code === "second_factor_enrolment_required") {
      continuation = body.continuation;
      fill("login/enrol", { continuation });
      for (const call of ["totp", "passkey/options"]) {
        fill(`login/enrol/${call}`, { continuation, token: "" });
      }
      hint(
        "The password is right, and a second factor is demanded, and there is none. Have a token mailed by login/enrol, " +
          "or made by an operator, and send it by login/enrol/totp: both have the continuation.",
      );
    }
    if (status !== OK) return;
    refreshed = false;
    for (const step of steps) step.classList.remove("done");
    const until = carry(body);
    const place = byCookie ? "the browser keeps the refresh token in a cookie" : "refresh and logout have the refresh token";
    tell(`Signed in. This page is authorized until ${until}; ${place}.`, 1);
  },
  refresh(status, body) {
    if (status !== OK) return;
    refreshed = true;
    const until = carry(body);
    const place = byCookie ? "the cookie" : "refresh and logout";
    tell(`Refreshed. This page is authorized until ${until}; ${place} has the current refresh token.`, 4);
  },
  secure(status, body) {
    if (status === OK) {
      tell("The access token was accepted.", refreshed ? 5 : 2);
    } else if (body?.code === "token_expired") {
      tell("The access token has expired. Execute refresh: there is no need to sign in again.", 3);
    }
  },
  logout(status) {
    if (status !== OK) return;
    ui.authActions.logout([SCHEME]);
    tell("Logged out. The tokens of that session are dead, and this page is no longer authorized.", 6);
  },
  continue(status, body) {
    answered.login(status, body);
  },
  totp(status, { factor }, isEnrolment) {
    if (status !== OK) return;
    if (isEnrolment) fill("login/enrol/totp/confirm", { continuation, factor, code: "" });
    else fill("factors/totp/confirm", { factor, code: "", refreshToken });
    hint("Put the secret into an authenticator app, and send its code by totp/confirm, which has the factor.");
  },
  "logout-all"(status) {
    if (status === OK) answered.logout(status);
  },
};

function requestInterceptor(request) {
  const named = Object.keys(request.headers ?? {}).some((name) => name.toLowerCase() === "idempotency-key");
  // A key that was typed in by hand is kept, so that a retry can be tried out.
  if (request.method === "POST" && ROTATE.includes(callOf(request.url)) && !named) {
    request.headers["Idempotency-Key"] = crypto.randomUUID();
  }
  const mayUseCookie = byCookie && ["refresh", "logout"].includes(callOf(request.url));
  if (mayUseCookie && (request.body ?? EXAMPLE).includes(EXAMPLE)) {
    delete request.body;
    request.headers["X-Requested-With"] = "docs";
  }
  return request;
}

function responseInterceptor(response) {
  const call = callOf(response.url);
  const isEnrolment = response.url.includes("/login/enrol/");
  if (Object.hasOwn(answered, call)) answered[call](response.status, response.body, isEnrolment);
  else if (response.body?.accessToken) carry(response.body);
  return response;
}

function linkSteps() {
  for (const link of document.querySelectorAll("#steps ol a")) {
    const key = find(link.dataset.call)?.key;
    if (!key) continue;
    link.href = `#/${key.slice(1).map(encodeURIComponent).join("/")}`;
    link.addEventListener("click", (event) => {
      event.preventDefault();
      ui.layoutActions.show(key, true);
      document.getElementById(key.join("-").replace(/\s/g, "%20"))?.scrollIntoView();
    });
  }
}

// `{}` in the security of a call means that the call needs no token. Swagger UI takes
// that for fulfilled, and would show a closed padlock before there is a token.
const truePadlocks = {
  statePlugins: {
    auth: {
      wrapSelectors: {
        isAuthorized: (original) => (_, security) =>
          original(security?.filter((one) => one.size > 0)),
      },
    },
  },
};

// Swagger UI has a dark theme, for which the page has to set a class.
const dark = matchMedia("(prefers-color-scheme: dark)");
const followTheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followTheme);
followTheme();

const ui = SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  validatorUrl: null, // the default sends the document's address to swagger.io
  defaultModelsExpandDepth: 0,
  plugins: [truePadlocks],
  requestInterceptor,
  responseInterceptor,
  onComplete: linkSteps,
});
