// Watchword in a page: signs in, attaches the access token, refreshes by itself.
//
//   access token   in the memory of each tab; a tab tells the others of a new one
//   refresh token  mode "cookie": in a cookie that no script can read
//                  mode "bearer": in IndexedDB, which is worth protecting by `dpop`
//   retry key      in IndexedDB before a refresh is sent, until its answer is stored: a
//                  tab that finds it there asks again, and gets the same successor
//   registrations  their handles in IndexedDB: one and the token of the mail make the
//                  account
//   redirect       what waits for the user to come back is in sessionStorage: state,
//                  verifier, nonce, retry key; then the code, until it is redeemed
//   one refresh    at a time in all tabs: a tab that gets the lock first looks whether
//                  another tab has refreshed already
//
// Types, and what each call does, are in watchword.d.ts. Nothing here is ever logged.

const DATABASE = "watchword";
const STORE = "sessions";

const SECOND = 1000;
/** An answer that takes longer counts as lost: the same request is sent again. */
const ANSWER_TIME = 10 * SECOND;
/**
 * How often a call sends the same request, and for how long: twice if it hangs. A call
 * waits as long for the lock and for IndexedDB, which may never answer.
 */
const TRIES = 5;
const PATIENCE = 15 * SECOND;
const FIRST_PAUSE = 0.2 * SECOND;
/** The longest `Retry-After` that is believed. */
const PAUSE_MAX = 300 * SECOND;
/** How long to wait for the token that another tab has just got. */
const TAB_WAITS = SECOND;
const NEW_TAB_WAITS = 0.25 * SECOND;
/** When to refresh, as a part of the token's life. JITTER: not in all tabs at once. */
const EARLY = 0.7;
const JITTER = 0.2;

const KEY_BYTES = 24;
/** How many handles are kept: as many may be tried with one token. */
const HANDLES = 5;
/** By how much the clocks of page and server may differ. */
const LEEWAY = 300 * SECOND;
const ECDSA = { name: "ECDSA", namedCurve: "P-256" };
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;
/** What the tokens of mails are for, by their byte. */
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZab";
const PURPOSES = [, "registration", "invitation", "reset", "email", "revert", "enrol"];
/** The codes of errors that end the session. Any other error leaves it as it is. */
const ENDED = /^(refresh|session)_/;
/** The codes of errors after which another proof of the key may do, and how many do. */
const BAD_PROOF = /^(use_dpop_nonce|invalid_dpop_proof)$/;
const PROOFS = 3;
/** The code of an error where the browser itself did not answer. */
const UNANSWERED = "unanswered";

/** A refusal. `code` is stable, the message is for people. */
export class AuthError extends Error {
  constructor(code, message, status, more = {}) {
    super(message);
    this.name = "AuthError";
    this.code = code;
    this.status = status;
    this.retryAfter = more.retryAfter;
    // Those of a sign-in that wants a second factor.
    this.continuation = more.continuation;
    this.methods = more.methods;
    this.expiresIn = more.expiresIn;
  }

  /** Whether the same request may work later. */
  get temporary() {
    return this.code === UNANSWERED || this.status === 429 || this.status >= 500;
  }
}

/** What a token of a mail is for; undefined for any other text. */
export function purposeOf(token) {
  // `ww_cf_`, then base64url of a byte for the version, 1, and one for the purpose.
  const [, letter = ""] = /^ww_cf_AQ(.)/.exec(token) ?? [];
  return PURPOSES[LETTERS.indexOf(letter) >> 2];
}

/** A client of the Watchword at `url`; see watchword.d.ts. */
export function createClient(options = {}) {
  return new Client(options);
}

class Client extends EventTarget {
  #base; // the URL below which the server's calls are
  #origins; // where the access token may go
  #mode;
  #bindsToKey;
  #name; // the name of record, lock and channel: one for each server and mode
  #channel;
  #signedIn = false;
  #started; // the promise of the first look at the record, until it fails
  #access; // {n, token, scheme, at, life}: same in all tabs; undefined in a new tab
  #born = 0; // the same moment as #access.at, on the clock that cannot be set
  #due = 0; // the age of the token at which to refresh
  #used = false; // whether the page has used #access
  #timer;
  #refreshing; // the promise of the refresh under way in this tab
  #pause; // {until, error}: the server said when to try again
  #pending; // {continuation, key} of the call that waits for a second factor
  #clientId; // of a page that is a client of its own
  #metadata; // the promise of what the server says of itself
  #returning; // the promise of the handleRedirect under way
  #onStepUp;
  #asking; // the promise of the onStepUp under way in this tab
  #nonces = new Map();

  constructor({ url = "", mode = "cookie", clientId, ...options }) {
    super();
    const { dpop = false, origins = [], onStepUp } = options;
    const { location, navigator, crypto, indexedDB } = globalThis;
    if (!location || !navigator?.locks || !crypto?.subtle || !indexedDB) {
      throw new Error(
        "watchword.js runs in a page over HTTPS or on localhost, not on a server.",
      );
    }
    if (mode !== "cookie" && mode !== "bearer") {
      throw new TypeError('mode is "cookie" or "bearer".');
    }
    if (clientId && mode !== "bearer") {
      throw new TypeError('A client with a clientId has mode "bearer".');
    }
    this.#base = new URL(`${String(url).replace(/\/+$/, "")}/`, location.href);
    this.#origins = new Set([this.#base.href, ...origins].map(originOf));
    this.#mode = mode;
    this.#bindsToKey = dpop;
    this.#onStepUp = onStepUp;
    this.#clientId = clientId;
    const whose = clientId ? ` ${clientId}` : "";
    this.#name = `watchword ${mode} ${this.#base.href}${whose}`;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#start().catch(() => {}); // a failure is thrown by the calls that need it
  }

  get ready() {
    return this.#start().then(() => this.#signedIn);
  }

  /** Looks once whether there is a session. If it fails, the next call looks again. */
  #start() {
    this.#started ??= this.#load()
      .then((record) => {
        if (!record) return;
        this.#signedIn = true;
        this.#channel.postMessage({ ask: record.n });
      })
      .catch((error) => {
        this.#started = undefined;
        throw error;
      });
    return this.#started;
  }

  get signedIn() {
    return this.#signedIn;
  }

  async login(username, password) {
    await this.#begin("login", { username, password });
  }

  async continueLogin(method, code) {
    const proof = await this.#proof({ method, code }, () =>
      this.#askPending("login/passkey/options"),
    );
    await this.#resume("login/continue", proof);
  }

  async passkeyLogin({ conditional = false, signal } = {}) {
    const options = await this.#post("login/passkey/options", { body: {} });
    const mediation = conditional ? "conditional" : "optional";
    const answer = await getPasskey(options, { mediation, signal });
    await this.#begin("login/passkey", answer);
  }

  async askEnrolment() {
    await this.#askPending("login/enrol");
  }

  async enrolTotp(token) {
    const { factor, secret, uri, qr } = await this.#askPending("login/enrol/totp", {
      token,
    });
    return { factor, secret, uri, qr };
  }

  async confirmEnrolledTotp(factor, code) {
    return codesIn(await this.#resume("login/enrol/totp/confirm", { factor, code }));
  }

  async enrolPasskey(name, token) {
    const options = await this.#askPending("login/enrol/passkey/options", { token });
    const answer = await makePasskey(options);
    return codesIn(await this.#resume("login/enrol/passkey", { ...answer, name }));
  }

  /** Signs in by that call. A session that was there before ends. */
  async #begin(call, given, boundTo) {
    await this.#start();
    return this.#alone(async () => {
      const old = await this.#load();
      const key = boundTo ?? (this.#bindsToKey ? await drawKey() : undefined);
      const transport = this.#mode === "cookie" ? "cookie" : "body";
      const body = { ...given, transport };
      const answer = await this.#keepPending(key, this.#post(call, { body, key }));
      await this.#replace(old, { key }, answer);
      return answer;
    });
  }

  /** Keeps a new session, and ends the one that was there. */
  async #replace(old, kept, answer) {
    await this.#accept(kept, answer, old);
    if (old?.refreshToken) {
      // In cookie mode the server ends the old session; in bearer mode this must.
      await this.#post("logout", { body: tokenOf(old) }).catch(() => {});
    }
  }

  /** Finishes the pending sign-in, by the key that it was begun with. */
  async #resume(call, given) {
    const { continuation, key } = this.#needPending();
    const answer = await this.#begin(call, { ...given, continuation }, key);
    this.#pending = undefined;
    return answer;
  }

  /** A call about the pending one, which it does not finish. */
  async #askPending(call, given) {
    const { continuation, key } = this.#needPending();
    return this.#post(call, { body: { ...given, continuation }, key });
  }

  #needPending() {
    if (this.#pending) return this.#pending;
    throw new AuthError("continuation_expired", "No sign-in waits for a factor here.");
  }

  /** The answer. If it wants a second factor, its call is pending from now on. */
  async #keepPending(key, answer) {
    try {
      return await answer;
    } catch (error) {
      const { continuation } = error;
      if (continuation) this.#pending = { continuation, key };
      throw error;
    }
  }

  /** The members that prove a factor; `options` asks for those of a passkey. */
  async #proof({ method, ...members }, options) {
    if (method !== "passkey") return { method, ...members };
    return { method, ...(await getPasskey(await options())) };
  }

  // Sign-in at the server's pages: the authorization code flow (RFC 6749 §4.1)

  async redirectLogin(options = {}) {
    const { redirectUri = location.origin + location.pathname, appState } = options;
    if (!this.#clientId) throw new TypeError("A sign-in by redirect needs a clientId.");
    const { authorization_endpoint: page } = await this.#described();
    const key = this.#bindsToKey ? await drawKey() : undefined;
    const [state, nonce, retryKey] = [drawText(), drawText(), drawText()];
    const verifier = drawText() + drawText();
    if (key) await this.#keepKey(state, key);
    const { scope = "openid" } = options;
    const wantsId = scope.split(" ").includes("openid");
    const sent = {
      response_type: "code",
      client_id: this.#clientId,
      redirect_uri: redirectUri,
      scope,
      state,
      nonce: wantsId ? nonce : undefined,
      code_challenge: await digest(verifier),
      code_challenge_method: "S256",
      dpop_jkt: key && (await thumbprint(key)),
      acr_values: options.acrValues?.join(" ") || undefined,
      max_age: options.maxAge,
      prompt: options.prompt,
      login_hint: options.loginHint,
      ui_locales: options.uiLocales?.join(" ") || undefined,
    };
    const address = withQuery(page, sent);
    for (const one of options.resource ?? []) {
      address.searchParams.append("resource", one);
    }
    const waiting = { state, verifier, retryKey, redirectUri, appState };
    this.#wait(wantsId ? { ...waiting, nonce } : waiting);
    location.assign(address);
    return new Promise(() => {}); // the page goes away
  }

  /** Once for all calls of this page that come meanwhile. */
  async handleRedirect() {
    this.#returning ??= this.#comeBack().finally(() => {
      this.#returning = undefined;
    });
    return this.#returning;
  }

  async #comeBack() {
    const waiting = JSON.parse(sessionStorage.getItem(this.#name) ?? "null");
    const here = new URL(location.href);
    const given = Object.fromEntries(here.searchParams);
    if (waiting && !waiting.code && given.state === waiting.state) {
      const { issuer } = await this.#described();
      for (const name of ["code", "state", "iss", "error", "error_description"]) {
        here.searchParams.delete(name);
      }
      // Neither the history nor a link of this page shall have the code in it.
      history.replaceState(history.state, "", here);
      this.#wait(undefined);
      if (given.iss !== issuer) throw new AuthError("wrong_issuer", "Not our server.");
      if (!given.code) throw new AuthError(given.error, given.error_description ?? "");
      waiting.code = given.code;
      this.#wait(waiting);
    }
    if (!waiting?.code) return undefined;
    try {
      const claims = await patiently(() => this.#redeem(waiting));
      this.#wait(undefined);
      return { claims, appState: waiting.appState };
    } catch (error) {
      // After any other error the page may be loaded anew, and asks again.
      if (error instanceof AuthError && !error.temporary) this.#wait(undefined);
      throw error;
    }
  }

  /** The session of a code, in all tabs, and the claims of its ID token. */
  async #redeem({ state, code, verifier, retryKey, redirectUri, nonce }) {
    await this.#start();
    const { issuer } = await this.#described();
    return this.#alone(async () => {
      const old = await this.#load();
      const keys = await this.#keys();
      const key = keys.find((one) => one.state === state)?.key;
      if (this.#bindsToKey && !key) throw signedOut();
      const body = new URLSearchParams({
        grant_type: "authorization_code",
        client_id: this.#clientId,
        redirect_uri: redirectUri,
        code_verifier: verifier,
        code,
      });
      const answer = await this.#post("oauth/token", { body, key, retryKey });
      const idToken = answer.id_token;
      const wanted = { iss: issuer, aud: this.#clientId, nonce };
      const claims = nonce && claimsIn(idToken, wanted);
      await this.#replace(old, { key, idToken }, {
        accessToken: answer.access_token,
        tokenType: answer.token_type,
        expiresIn: answer.expires_in,
        refreshToken: answer.refresh_token,
        sentAt: answer.sentAt,
      });
      if (key) await this.#save(keys.filter((one) => one.key !== key), this.#keysName);
      return claims;
    });
  }

  async redirectLogout({ postLogoutRedirectUri, state } = {}) {
    const { end_session_endpoint: page } = await this.#described();
    const { idToken } = (await this.#load()) ?? {};
    await this.logout(); // also one that would outlive the sign-in of the browser
    const sent = {
      id_token_hint: idToken,
      client_id: this.#clientId,
      post_logout_redirect_uri: postLogoutRedirectUri,
      state,
    };
    location.assign(withQuery(page, sent));
    return new Promise(() => {});
  }

  /** What waits for the user to come back to this tab. */
  #wait(waiting) {
    if (waiting) sessionStorage.setItem(this.#name, JSON.stringify(waiting));
    else sessionStorage.removeItem(this.#name);
  }

  /** What the server says of itself. If that fails, the next call asks again. */
  #described() {
    const url = new URL(".well-known/openid-configuration", this.#base);
    const ours = this.#base.href.replace(/\/$/, "");
    this.#metadata ??= fetch(url, { signal: AbortSignal.timeout(ANSWER_TIME) })
      .then(bodyOf)
      .then((found) => {
        // An answer of this server could not be told from one of another server.
        if (found.issuer === ours && found.authorization_endpoint) return found;
        const text = `The url of this client has to be the issuer, ${found.issuer}.`;
        if (found.issuer !== ours) throw new AuthError("wrong_issuer", text);
        throw new AuthError("wrong_issuer", "This server has no sign-in by redirect.");
      })
      .catch((error) => {
        this.#metadata = undefined;
        throw error;
      });
    return this.#metadata;
  }

  async logout() {
    await this.#start();
    await patiently(() =>
      this.#alone(async () => {
        const record = await this.#load();
        if (this.#mode === "cookie" || record) {
          await this.#post("logout", { body: tokenOf(record) });
        }
        await this.#end("logout");
      }),
    );
  }

  async register(email, password, { username, locale } = {}) {
    const body = { email, password, username, locale };
    const { registration } = await this.#post("register", { body });
    await this.#alone(async () => {
      const handles = [registration, ...(await this.#handles())];
      await this.#save(handles.slice(0, HANDLES), this.#registrations);
    });
  }

  async resend() {
    const [registration] = await this.#handles();
    if (!registration) throw unknownHere();
    await this.#post("register/resend", { body: { registration } });
  }

  async confirm(token, { password, username } = {}) {
    const call = "register/confirm";
    if (password) return void (await this.#begin(call, { token, password, username }));
    for (const registration of await this.#handles()) {
      try {
        return void (await this.#begin(call, { token, registration, username }));
      } catch (error) {
        // This handle may be that of another registration.
        if (error.code !== "invalid_credentials") throw error;
      }
    }
    throw unknownHere();
  }

  async accept(token, password, { username } = {}) {
    await this.#begin("invitations/accept", { token, password, username });
  }

  async forgot(email) {
    await this.#post("password/forgot", { body: { email } });
  }

  async reset(token, password, second) {
    let body = { token, password };
    if (second) {
      const proof = await this.#proof(second, () =>
        this.#askPending("login/passkey/options"),
      );
      body = { ...body, ...proof, continuation: this.#needPending().continuation };
    }
    await this.#keepPending(undefined, this.#post("password/reset", { body }));
    this.#pending = undefined;
  }

  async changePassword(currentPassword, password) {
    await this.#prove("password/change", { currentPassword, password });
  }

  async stepUp(given) {
    const chosen =
      typeof given === "string" ? { method: "password", password: given } : given;
    const proof = await this.#proof(chosen, () =>
      this.#ask("POST", "login/passkey/options", {}),
    );
    await this.#prove("step-up", proof);
  }

  factors() {
    return this.#ask("GET", "factors");
  }

  addTotp() {
    return this.#ask("POST", "factors/totp");
  }

  async confirmTotp(factor, code) {
    return codesIn(await this.#prove("factors/totp/confirm", { factor, code }));
  }

  async addPasskey(name) {
    const options = await this.#ask("POST", "factors/passkeys/options");
    const answer = await makePasskey(options);
    return codesIn(await this.#prove("factors/passkeys", { ...answer, name }));
  }

  renameFactor(id, name) {
    return this.#ask("PATCH", `factors/${encodeURIComponent(id)}`, { name });
  }

  async removeFactor(id) {
    await this.#ask("DELETE", `factors/${encodeURIComponent(id)}`);
  }

  async newRecoveryCodes() {
    return codesIn(await this.#ask("POST", "factors/recovery-codes"));
  }

  account() {
    return this.#ask("GET", "account");
  }

  updateAccount(changes) {
    return this.#ask("PATCH", "account", changes);
  }

  async deleteAccount() {
    await this.#ask("DELETE", "account");
    await this.#alone(() => this.#end("account_deleted"));
  }

  async changeEmail(email) {
    await this.#ask("POST", "email/change", { email });
  }

  async confirmEmail(token, password) {
    if (password) await this.#post("email/confirm", { body: { token, password } });
    else await this.#ask("POST", "email/confirm", { token });
  }

  async revertEmail(token) {
    await this.#post("email/revert", { body: { token } });
  }

  /** A call with the access token, and its answer. Throws AuthError. */
  async #ask(method, call, body) {
    const headers = body && { "Content-Type": "application/json" };
    const init = { method, headers, body: body && JSON.stringify(body) };
    return bodyOf(await this.fetch(new URL(`api/auth/${call}`, this.#base), init));
  }

  async fetch(input, init) {
    const make = () =>
      new Request(input instanceof Request ? input.clone() : input, init);
    let request = make();
    const origin = originOf(request.url);
    if (!this.#origins.has(origin)) {
      throw new TypeError(`The token does not go to ${origin}: see origins.`);
    }
    const streams = init?.body instanceof ReadableStream;
    let access = await this.#current();
    let [refreshed, knowsNonce, risen] = [false, false, false];
    for (; ; request = make()) {
      const answer = await this.#send(request, access);
      if (answer.status !== 401) return answer;
      // CORS may hide the challenge. Then any 401 may be because of the token.
      const challenge = answer.headers.get("WWW-Authenticate") ?? "invalid_token";
      if (challenge.includes("use_dpop_nonce")) {
        if (knowsNonce || streams) return answer;
        knowsNonce = true;
      } else if (challenge.includes("insufficient_user_authentication")) {
        if (risen || streams || !this.#onStepUp) return answer;
        risen = true;
        const refused = access;
        access = await this.#risen(challenge, refused);
        if (access === refused) return answer;
      } else {
        if (refreshed || !challenge.includes("invalid_token")) return answer;
        refreshed = true;
        access = await this.#current(access);
        if (streams) return answer; // a stream is used up: it cannot be sent again
      }
      answer.body?.cancel().catch(() => {});
    }
  }

  /** The token after the page's onStepUp, which one call of this tab waits for. */
  async #risen(challenge, refused) {
    if (this.#access === refused) {
      this.#asking ??= Promise.resolve(neededIn(challenge))
        .then(this.#onStepUp)
        .finally(() => {
          this.#asking = undefined;
        });
      await this.#asking;
    }
    return this.#current();
  }

  async #send(request, { token, scheme }) {
    request.headers.set("Authorization", `${scheme} ${token}`);
    const origin = originOf(request.url);
    if (scheme === "DPoP") {
      const { key } = (await this.#load()) ?? {};
      if (!key) throw signedOut();
      const claims = { nonce: this.#nonces.get(origin), ath: await digest(token) };
      request.headers.set("DPoP", await prove(key, request, claims));
    }
    const answer = await fetch(request);
    if (!answer.redirected) this.#keepNonce(origin, answer);
    return answer;
  }

  /** An access token that has not expired and is not the one that was refused. */
  async #current(refused) {
    await this.#start();
    if (!this.#signedIn) throw signedOut();
    const access = this.#access;
    if (!access || access === refused || this.#age() >= access.life) {
      await this.#refresh();
    } else if (this.#age() >= this.#due) {
      this.#refresh().catch(() => {}); // ahead of time: this call does not wait
    }
    if (!this.#access) throw signedOut();
    this.#used = true;
    return this.#access;
  }

  /** The token's age by two clocks: one stops in sleep, the other can be set. */
  #age() {
    return Math.max(performance.now() - this.#born, Date.now() - this.#access.at);
  }

  /** One refresh for all calls of this tab, tried again until PATIENCE is over. */
  #refresh() {
    if (this.#pause && performance.now() < this.#pause.until) {
      return Promise.reject(this.#pause.error);
    }
    const replaced = this.#access;
    this.#refreshing ??= patiently(() => this.#alone(() => this.#rotate(replaced)))
      .catch((error) => {
        const wait = Math.min(pauseOf(error), PAUSE_MAX);
        if (wait > 0) this.#pause = { until: performance.now() + wait, error };
        throw error;
      })
      .finally(() => {
        this.#refreshing = undefined;
      });
    return this.#refreshing;
  }

  /** Called with the lock: takes the token that another tab has got, or refreshes. */
  async #rotate(replaced) {
    let record = await this.#load();
    if (!record) return this.#forget("signed_out");
    if (this.#access !== replaced) return;
    if (await this.#isTold(record)) return;
    await this.#spend(record, "refresh");
  }

  /** A call that spends the refresh token, as a refresh does, and may be repeated. */
  async #prove(call, body) {
    await this.#start();
    return patiently(() =>
      this.#alone(async () => {
        const record = await this.#load();
        if (!record) throw signedOut();
        return this.#spend(record, call, body);
      }),
    );
  }

  /** Called with the lock: sends the refresh token, and keeps its successor. */
  async #spend(record, call, given) {
    for (let redrawn = false; ; redrawn = true) {
      if (!record.retryKey) {
        record = { ...record, retryKey: drawText() };
        await this.#save(record);
      }
      try {
        const { retryKey, key } = record;
        const token = tokenOf(record);
        const body = given ? { ...token, ...given } : token;
        const answer = await this.#post(call, { body, key, retryKey });
        await this.#accept(record, answer, record);
        return answer;
      } catch (error) {
        if (error.status === 401 && ENDED.test(error.code)) await this.#end(error.code);
        // An earlier answer's cookie came without its body: its retry key is used up.
        if (error.code !== "retry_key_reused" || redrawn) throw error;
        record = { ...record, retryKey: undefined };
      }
    }
  }

  /** Whether another tab has got a newer token and sends it to this one. */
  async #isTold({ n, at, life }) {
    if (n === this.#access?.n || Date.now() - at >= life) return false;
    return new Promise((resolve) => {
      const told = () => {
        clearTimeout(timer);
        this.removeEventListener("refreshed", told);
        resolve(this.#access?.n === n);
      };
      const timer = setTimeout(told, this.#access ? TAB_WAITS : NEW_TAB_WAITS);
      this.addEventListener("refreshed", told);
      this.#channel.postMessage({ ask: n });
    });
  }

  /** Keeps the tokens of an answer. Storing them first also deletes the retry key. */
  async #accept({ key, idToken }, answer, old) {
    // JSON with status 200 from another server must not replace what is stored.
    const texts = ["accessToken", "tokenType"];
    if (this.#mode === "bearer") texts.push("refreshToken");
    const are = texts.every((name) => answer[name] && typeof answer[name] === "string");
    if (!are || !(answer.expiresIn > 0)) {
      throw new AuthError("unknown", "The answer was not one of Watchword's.", 502);
    }
    const at = answer.sentAt;
    const life = answer.expiresIn * SECOND;
    const n = Math.max(Date.now(), (old?.n ?? 0) + 1);
    await this.#save({ n, at, life, refreshToken: answer.refreshToken, key, idToken });
    const access = { n, token: answer.accessToken, scheme: answer.tokenType, at, life };
    this.#channel.postMessage({ access });
    this.#adopt(access);
  }

  #adopt(access) {
    if (access.n <= (this.#access?.n ?? 0)) return;
    this.#access = access;
    this.#born = performance.now() - Math.max(0, Date.now() - access.at);
    this.#due = access.life * (EARLY + JITTER * Math.random());
    this.#used = false;
    this.#pause = undefined;
    this.#signedIn = true;
    clearTimeout(this.#timer);
    // A page that is not in use must not keep its session alive.
    const refresh = () => this.#used && this.#refresh().catch(() => {});
    this.#timer = setTimeout(refresh, this.#due - this.#age());
    this.dispatchEvent(new CustomEvent("refreshed"));
  }

  #hear({ access, ask, ended }) {
    if (access) this.#adopt(access);
    if (ended) this.#forget(ended);
    if (ask && ask === this.#access?.n) {
      this.#channel.postMessage({ access: this.#access });
    }
  }

  /** Forgets the session, which is over, in all tabs. */
  async #end(code) {
    await inStore("readwrite", (store) => store.delete(this.#name));
    this.#channel.postMessage({ ended: code });
    this.#forget(code);
  }

  #forget(code) {
    clearTimeout(this.#timer);
    this.#access = undefined;
    this.#pause = undefined;
    if (!this.#signedIn) return;
    this.#signedIn = false;
    this.dispatchEvent(new CustomEvent("signedout", { detail: { code } }));
  }

  /**
   * Sends one call to the server: again for a nonce, or with a new proof where the last
   * one came twice, as where a connection breaks and the browser sends the same bytes
   * again by itself. Throws AuthError.
   * @param {{ body?: object, key?: CryptoKeyPair, retryKey?: string }} sent A body is a
   * form of OAuth, or sent as JSON.
   */
  async #post(call, sent) {
    const { body, key, retryKey } = sent;
    const isForm = body instanceof URLSearchParams;
    const url = new URL(isForm ? call : `api/auth/${call}`, this.#base);
    const headers = { "X-Requested-With": "watchword.js" };
    if (body && !isForm) headers["Content-Type"] = "application/json";
    if (retryKey) headers["Idempotency-Key"] = retryKey;
    for (let proofs = 1; ; proofs += 1) {
      const nonce = this.#nonces.get(this.#name);
      if (key) headers.DPoP = await prove(key, { method: "POST", url }, { nonce });
      const sentAt = Date.now();
      const answer = await fetch(url, {
        method: "POST",
        headers,
        body: isForm ? body : body && JSON.stringify({ ...this.#ours, ...body }),
        cache: "no-store",
        credentials: this.#mode === "cookie" ? "include" : "omit",
        redirect: "error",
        signal: AbortSignal.timeout(ANSWER_TIME),
      });
      // Kept under another name: nonces of the server's API differ from these.
      this.#keepNonce(this.#name, answer);
      try {
        return { ...(await bodyOf(answer)), sentAt };
      } catch (error) {
        if (!BAD_PROOF.test(error.code) || proofs === PROOFS) throw error;
      }
    }
  }

  #keepNonce(place, answer) {
    const nonce = answer.headers.get("DPoP-Nonce");
    if (nonce) this.#nonces.set(place, nonce);
  }

  /** Runs in one tab of this origin at a time. Rejects if another keeps the lock. */
  #alone(work) {
    return new Promise((resolve, reject) => {
      let late = false;
      const granted = new Promise((begin) => {
        const run = () => (begin(), late || work());
        navigator.locks.request(this.#name, run).then(resolve, reject);
      });
      inTime(granted, "another tab holds the lock", () => (late = true)).catch(reject);
    });
  }

  /** The member that names a client of its own. */
  get #ours() {
    return this.#clientId && { clientId: this.#clientId };
  }

  /** {n, at, life, refreshToken?, retryKey?, key?, idToken?}; undefined: signed out. */
  #load(name = this.#name) {
    return inStore("readonly", (store) => store.get(name));
  }

  #save(record, name = this.#name) {
    return inStore("readwrite", (store) => store.put(record, name));
  }

  get #registrations() {
    return `${this.#name} registrations`;
  }

  get #keysName() {
    return `${this.#name} keys`;
  }

  /** The keys of sign-ins by redirect that are not finished, the newest first. */
  async #keys() {
    return (await this.#load(this.#keysName)) ?? [];
  }

  async #keepKey(state, key) {
    await this.#alone(async () => {
      const keys = [{ state, key }, ...(await this.#keys())];
      await this.#save(keys.slice(0, HANDLES), this.#keysName);
    });
  }

  /** The handles of the registrations of this browser, the newest first. */
  async #handles() {
    return (await this.#load(this.#registrations)) ?? [];
  }
}

/** Tries again while that may help, always with the same token and retry key. */
async function patiently(work) {
  const begun = performance.now();
  for (let tries = 1; ; tries += 1) {
    try {
      return await work();
    } catch (error) {
      const mayHelp = error instanceof AuthError ? error.temporary : navigator.onLine;
      const pause = FIRST_PAUSE * 2 ** (tries - 1) * (0.5 + Math.random());
      const wait = Math.max(pause, pauseOf(error));
      const late = performance.now() + wait - begun > PATIENCE;
      if (!mayHelp || tries === TRIES || late) throw error;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

const pauseOf = (error) => (error.temporary ? (error.retryAfter ?? 0) * SECOND : 0);

const signedOut = () => new AuthError("signed_out", "No user is signed in.");

const unknownHere = () =>
  new AuthError("invalid_credentials", "This browser did not ask for the account.");

/** What an answer says; {} for one without a body. Throws AuthError for a refusal. */
async function bodyOf(answer) {
  if (answer.status === 204) return {};
  if (answer.ok) return answer.json();
  const { code, detail, ...more } = await answer.json().catch(() => ({}));
  more.retryAfter = Number(answer.headers.get("Retry-After")) || undefined;
  // The endpoints of OAuth have other names for the same (RFC 6749 §5.2).
  const text = detail ?? more.error_description;
  const message = text ?? `The server answered ${answer.status}.`;
  throw new AuthError(code ?? more.error ?? "unknown", message, answer.status, more);
}

/** An address with those parameters that have a value. */
function withQuery(address, parameters) {
  const url = new URL(address);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined) url.searchParams.set(name, value);
  }
  return url;
}

/**
 * The claims of an ID token. That it came from the server itself vouches for it (OpenID
 * Connect Core §3.1.3.7). Throws AuthError unless it is for this sign-in, and new.
 */
function claimsIn(idToken, wanted) {
  const payload = String(idToken).split(".")[1] ?? "";
  const binary = atob(payload.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
  const claims = JSON.parse(new TextDecoder().decode(bytes) || "{}");
  const are = Object.entries(wanted).every(([name, value]) => claims[name] === value);
  if (are && claims.sub && claims.exp * SECOND > Date.now() - LEEWAY) return claims;
  throw new AuthError("id_token_invalid", "The ID token is not for this sign-in.");
}

/** Recovery codes come once: an answer that is asked for again has none. */
const codesIn = ({ recoveryCodes = [] }) => recoveryCodes;

/** What a challenge says that a sign-in has to be (RFC 9470). */
function neededIn(challenge) {
  const [, levels] = /\bacr_values="([^"]+)"/.exec(challenge) ?? [];
  const [, age] = /\bmax_age="?(\d{1,9})/.exec(challenge) ?? [];
  return { acrValues: levels?.split(" ") ?? [], maxAge: age && Number(age) };
}

// Passkeys (WebAuthn)

/** The body that answers these options by a passkey that is there. */
async function getPasskey({ challenge, publicKey }, how) {
  const options = passkeys().parseRequestOptionsFromJSON(publicKey);
  const credential = await navigator.credentials.get({ publicKey: options, ...how });
  return { challenge, credential: credential.toJSON() };
}

/** The body that answers these options by a new passkey. */
async function makePasskey({ challenge, publicKey }) {
  const options = passkeys().parseCreationOptionsFromJSON(publicKey);
  const credential = await navigator.credentials.create({ publicKey: options });
  return { challenge, credential: credential.toJSON() };
}

function passkeys() {
  const { PublicKeyCredential } = globalThis;
  if (PublicKeyCredential?.parseRequestOptionsFromJSON) return PublicKeyCredential;
  throw new AuthError("unsupported", "This browser has no passkeys.");
}

/** The body with the refresh token; undefined in cookie mode. */
const tokenOf = (record) =>
  record?.refreshToken && { refreshToken: record.refreshToken };

/** The origin of a URL. Throws TypeError if no token may be sent there. */
function originOf(text) {
  const { protocol, hostname, origin } = new URL(text, location.href);
  if (protocol !== "https:" && !(protocol === "http:" && LOOPBACK.test(hostname))) {
    throw new TypeError(`Tokens travel over HTTPS alone, not to ${origin}.`);
  }
  return origin;
}

/** Opens the database each time, because a logout may clear the origin's storage. */
async function inStore(mode, work) {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
  const opened = new Promise((resolve, reject) => {
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  // If it opens too late, it is closed: an open one would keep a logout from clearing
  // the storage.
  const database = await inTime(opened, "IndexedDB", () => {
    opening.onsuccess = () => opening.result.close();
  });
  try {
    // "strict" waits for the disk: a retry key must be stored before it is sent.
    const transaction = database.transaction(STORE, mode, { durability: "strict" });
    const request = work(transaction.objectStore(STORE));
    const finished = new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    // A write that was given up must not happen later.
    await inTime(finished, "IndexedDB", () => transaction.abort());
    return request.result;
  } finally {
    database.close();
  }
}

/** Rejects if the browser itself does not answer in time, and then calls `giveUp`. */
function inTime(answer, what, giveUp) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new AuthError(UNANSWERED, `The browser does not answer: ${what}.`));
      giveUp();
    }, PATIENCE);
    answer.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

// DPoP (RFC 9449)

/** The private key can be used by this origin, and cannot be exported. */
const drawKey = () => crypto.subtle.generateKey(ECDSA, false, ["sign"]);

const publicOf = ({ publicKey }) => crypto.subtle.exportKey("jwk", publicKey);

/** The name of a key (RFC 7638): its members in order. */
async function thumbprint(key) {
  const { kty, crv, x, y } = await publicOf(key);
  return digest(JSON.stringify({ crv, kty, x, y }));
}

async function prove(key, { method, url }, claims) {
  const { kty, crv, x, y } = await publicOf(key);
  const header = { typ: "dpop+jwt", alg: "ES256", jwk: { kty, crv, x, y } };
  const htu = String(url).split(/[?#]/)[0];
  const iat = Math.floor(Date.now() / SECOND);
  const payload = { jti: drawText(), htm: method, htu, iat, ...claims };
  const parts = [header, payload].map((part) => utf8(JSON.stringify(part)));
  const signed = parts.map(base64url).join(".");
  const signature = await crypto.subtle.sign(
    { ...ECDSA, hash: "SHA-256" },
    key.privateKey,
    utf8(signed),
  );
  return `${signed}.${base64url(new Uint8Array(signature))}`;
}

async function digest(text) {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(text))));
}

const draw = (bytes) => crypto.getRandomValues(new Uint8Array(bytes));

/** 192 bits, as 32 characters. */
const drawText = () => base64url(draw(KEY_BYTES));

const utf8 = (text) => new TextEncoder().encode(text);

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
