/**
 * Watchword in a page: signs in, attaches the access token, refreshes by itself.
 *
 * @example
 * ```js
 * import { createClient } from "/watchword.js";
 *
 * const auth = createClient();
 * if (!(await auth.ready)) await auth.login(username, password);
 * const answer = await auth.fetch("/api/auth/me");
 * ```
 *
 * @packageDocumentation
 */

/** How {@link createClient} makes a client. */
export interface ClientOptions {
  /** The address of the Watchword server. Default: the origin of the page. */
  url?: string | URL;
  /**
   * Where the refresh token is kept. `"cookie"` (the default): in a cookie that no
   * script can read; page and server must be of one site. `"bearer"`: in IndexedDB,
   * where a script that an attacker gets into the page can read it.
   */
  mode?: "cookie" | "bearer";
  /**
   * Bind the sessions that begin here to a key that cannot be copied (RFC 9449).
   * Default: false.
   */
  dpop?: boolean;
  /**
   * The public client that the page is (`watchword clients add`), with mode `"bearer"`:
   * for {@link AuthClient.redirectLogin}. Default: the built-in `first-party`.
   */
  clientId?: string;
  /** Origins, besides the server's own, to which the access token may be sent. */
  origins?: readonly (string | URL)[];
  /**
   * Called where an API wants a more recent or a stronger sign-in (RFC 9470). It asks the
   * user, and calls {@link AuthClient.stepUp}, or `redirectLogin` with the same needs, by
   * which the page goes away; then the request is sent again, once. Of
   * all requests of a tab that wait for it, one calls it. What it throws is thrown by
   * that request and by those that wait. It must make no call that wants it too.
   */
  onStepUp?: (needed: StepUpNeeded) => unknown;
}

/** What a sign-in by redirect shall be. What is left out is for the server to say. */
export interface RedirectOptions {
  /**
   * Where the user comes back to; exactly as it was registered. Default: the address of
   * the page, without query and fragment.
   */
  redirectUri?: string;
  /** Scopes, with blanks between. Default: `openid`, for which there is an ID token. */
  scope?: string;
  /** The APIs that the access tokens are for (RFC 8707). */
  resource?: readonly string[];
  /** Levels of which one is enough, such as `aal2`. */
  acrValues?: readonly string[];
  /** How many seconds the proof of the user may be old. */
  maxAge?: number;
  /** `none` shows no page: it fails where the user would be asked anything. */
  prompt?: "none" | "login" | "consent" | "select_account";
  /** A name or an address to begin with. */
  loginHint?: string;
  /** Languages of the pages, such as `de`. */
  uiLocales?: readonly string[];
  /** What `handleRedirect` gives back; anything that JSON can say. */
  appState?: unknown;
}

/** What came of a sign-in by redirect. */
export interface RedirectResult {
  /** Of the ID token, which has been checked; undefined without the scope `openid`. */
  readonly claims: IdTokenClaims | undefined;
  readonly appState: unknown;
}

/** Which user has signed in, when and how (OpenID Connect Core §2). */
export interface IdTokenClaims {
  readonly sub: string;
  readonly iss: string;
  readonly aud: string;
  readonly sid: string;
  readonly exp: number;
  readonly iat: number;
  readonly auth_time: number;
  readonly acr?: string;
  readonly amr?: readonly string[];
  readonly [name: string]: unknown;
}

/** What an API wants of a sign-in. */
export interface StepUpNeeded {
  /** Levels of which one is enough, such as `aal2`; empty where any will do. */
  readonly acrValues: readonly string[];
  /** How many seconds the proof may be old; undefined where any will do. */
  readonly maxAge: number | undefined;
}

/** How a user proves a second factor. */
export type FactorMethod = "passkey" | "totp" | "recovery_code";

/** A second factor and its proof; the browser asks for a passkey. */
export type SecondProof =
  | { method: "totp" | "recovery_code"; code: string }
  | { method: "passkey" };

/** A second factor of the user. */
export interface Factor {
  readonly id: string;
  readonly kind: "totp" | "passkey";
  readonly name: string;
  readonly createdAt: string;
  readonly usedAt: string | null;
  /** Of a passkey: whether it is copied to the user's other devices. */
  readonly synced?: boolean;
}

/** All second factors of the user. */
export interface Factors {
  readonly factors: readonly Factor[];
  readonly recoveryCodesLeft: number;
}

/** An authenticator app that is to be confirmed within ten minutes. */
export interface PendingTotp {
  /** Stands for it in the call that confirms it. */
  readonly factor: string;
  /** For typing, in base32. */
  readonly secret: string;
  /** `otpauth:`, for the app; `qr` is the same as an SVG. */
  readonly uri: string;
  readonly qr: string;
}

/** The events of {@link AuthClient}. Every tab gets them, whichever tab caused them. */
export interface AuthEventMap {
  /** There is a new access token; after a sign-in too. */
  refreshed: CustomEvent<null>;
  /** The session is over: show the login. */
  signedout: CustomEvent<SignedOut>;
}

/** Why a session is over. */
export interface SignedOut {
  /**
   * `logout`, `account_deleted`, `signed_out` (another tab had noticed), or the code of
   * the refusal, such as `session_revoked`, `session_expired` or `refresh_reused`.
   */
  readonly code: string;
}

/** The account of the signed-in user. */
export interface Account {
  readonly id: string;
  /** Null where the user signs in by the address. */
  readonly username: string | null;
  readonly email: string | null;
  readonly emailConfirmed: boolean;
  /** The language of mails and pages, such as `en`. */
  readonly locale: string;
  readonly createdAt: string;
}

/** A client, the same for all tabs of an origin. Made by {@link createClient}. */
export interface AuthClient {
  /**
   * Whether there is a session, as soon as that is known after a page's start.
   *
   * @throws {@link AuthError} `unanswered` where IndexedDB does not answer. The next
   * access looks again.
   */
  readonly ready: Promise<boolean>;

  /** Whether there is a session, as known now: false before `ready` has resolved. */
  readonly signedIn: boolean;

  /**
   * Begins a session, in all tabs; one that was there before ends.
   *
   * @throws {@link AuthError} such as `invalid_credentials`, `throttled` or
   * `unanswered`. `second_factor_required`: nothing has begun, and `continueLogin` goes
   * on, with one of the error's `methods`. `second_factor_enrolment_required`:
   * `enrolTotp` or `enrolPasskey` go on.
   * @throws TypeError or a `TimeoutError` where the server could not be reached.
   */
  login(username: string, password: string): Promise<void>;

  /**
   * Goes on where `login`, `confirm` or `accept` of this page threw
   * `second_factor_required`. With `passkey` the browser asks the user for one, and
   * `code` is left out.
   *
   * @throws {@link AuthError} `second_factor_invalid`: call again.
   * `continuation_expired`: the sign-in has to begin again. `throttled`.
   * @throws DOMException of the browser where the user has given no passkey.
   */
  continueLogin(method: FactorMethod, code?: string): Promise<void>;

  /**
   * Signs in by a passkey alone, which is two factors at once. With `conditional` the
   * browser offers passkeys in the field of the user name, which has
   * `autocomplete="username webauthn"`; this then resolves when the user chooses one, and
   * `signal` ends the wait.
   *
   * @throws {@link AuthError} `second_factor_invalid`; `continuation_expired` where the
   * user took longer than five minutes: call again. `not_found` where passkeys are off,
   * `unsupported` where the browser has none.
   * @throws DOMException as `continueLogin`.
   */
  passkeyLogin(options?: { conditional?: boolean; signal?: AbortSignal }): Promise<void>;

  /**
   * Signs in at the pages of the server: the browser goes there, and comes back to
   * `redirectUri`, where `handleRedirect` goes on. The client needs a `clientId`. This
   * promise never resolves, because the page goes away.
   *
   * @throws {@link AuthError} `wrong_issuer` where `url` is not the server's issuer.
   */
  redirectLogin(options?: RedirectOptions): Promise<never>;

  /**
   * To be called when a page is loaded that the user may come back to. Takes the code out
   * of the address and redeems it, in all tabs; one session that was there before ends.
   * Undefined where no sign-in of this tab has come back. An answer that gets lost is
   * asked for again, also after a reload.
   *
   * @throws {@link AuthError} `access_denied` where the user said no; `login_required` and
   * the like after `prompt: "none"`; `wrong_issuer`, `id_token_invalid`; `invalid_grant`
   * where it took too long. One that is `temporary`: call again.
   */
  handleRedirect(): Promise<RedirectResult | undefined>;

  /**
   * Ends the session in all tabs, and then the sign-in at the server, with what else was
   * begun by it. The browser goes there, and comes back to `postLogoutRedirectUri`, if
   * the client has it. This promise never resolves.
   *
   * @throws As `logout`, where the user is still signed in.
   */
  redirectLogout(options?: {
    postLogoutRedirectUri?: string;
    state?: string;
  }): Promise<never>;

  /**
   * After `second_factor_enrolment_required`: mails a token to the account's confirmed
   * address. The answer is the same where there is none.
   */
  askEnrolment(): Promise<void>;

  /**
   * After `second_factor_enrolment_required`: a secret for an authenticator app, by the
   * token of the mail or of an operator. Right after `confirm` or `accept` no token is
   * needed.
   *
   * @throws {@link AuthError} `confirmation_invalid`, `continuation_expired`.
   */
  enrolTotp(token?: string): Promise<PendingTotp>;

  /**
   * Adds that authenticator app, and signs in. Resolves to the recovery codes, which are
   * shown once.
   *
   * @throws {@link AuthError} `second_factor_invalid`: call again.
   */
  confirmEnrolledTotp(factor: string, code: string): Promise<readonly string[]>;

  /** As `enrolTotp` and `confirmEnrolledTotp`, with a new passkey. */
  enrolPasskey(name: string, token?: string): Promise<readonly string[]>;

  /**
   * Ends the session, at the server and in all tabs.
   *
   * If this rejects, the user is still signed in: say so. The server was not reached, or
   * the browser did not answer (`unanswered`).
   */
  logout(): Promise<void>;

  /**
   * Asks for an account. There is none until `confirm` is called with the token of the
   * mail; whether the address has one already is not told. The handle of the
   * registration is kept in IndexedDB.
   *
   * @throws {@link AuthError} such as `password_rejected`, `email_invalid`,
   * `name_invalid`, `throttled`, or `not_found` where registration is closed.
   */
  register(
    email: string,
    password: string,
    options?: { username?: string; locale?: string },
  ): Promise<void>;

  /**
   * Sends the mail of the newest registration of this browser again.
   *
   * @throws {@link AuthError} `invalid_credentials` where this browser has none.
   */
  resend(): Promise<void>;

  /**
   * Makes the account, and signs in as `login` does. It needs the token of the mail, and
   * that this browser has asked for the account; where another has, `password`.
   *
   * @throws {@link AuthError} `invalid_credentials`: ask for the password, and call again
   * with it. `name_taken`: call again with another `username`; nothing was spent.
   * `confirmation_invalid`: the token was used or has run out.
   */
  confirm(
    token: string,
    options?: { password?: string; username?: string },
  ): Promise<void>;

  /**
   * Makes the account of an invitation, and signs in as `login` does. If the address has
   * an account, `password` is that account's, and it gets the roles of the invitation.
   *
   * @throws {@link AuthError} as `confirm`; `password_rejected`.
   */
  accept(
    token: string,
    password: string,
    options?: { username?: string },
  ): Promise<void>;

  /** Asks for the mail of a forgotten password. Whether there is an account is not told. */
  forgot(email: string): Promise<void>;

  /**
   * Sets a new password by the token of that mail. All sessions end, and none begins.
   *
   * @throws {@link AuthError} `confirmation_invalid`, `password_rejected`.
   * `second_factor_required`: call again, with the proof of one of the error's `methods`.
   */
  reset(token: string, password: string, second?: SecondProof): Promise<void>;

  /**
   * Changes the password. This session goes on in all tabs, under new tokens; the others
   * of the account end.
   *
   * @throws {@link AuthError} `invalid_credentials`, `password_rejected`, `throttled`.
   */
  changePassword(currentPassword: string, password: string): Promise<void>;

  /**
   * Proves the user again, for a call that was refused as
   * `insufficient_user_authentication`. Repeat that call afterwards. A text is the
   * password; with a second factor the session rises to `aal2`. An app with users of its
   * own wants `username` beside the password.
   *
   * @throws {@link AuthError} `invalid_credentials`, `second_factor_invalid`,
   * `continuation_expired`, `throttled`.
   * @throws DOMException as `continueLogin`.
   */
  stepUp(
    proof:
      | string
      | SecondProof
      | { method: "password"; password: string; username?: string },
  ): Promise<void>;

  /** The second factors of the user. */
  factors(): Promise<Factors>;

  /**
   * A secret for an authenticator app, which counts from `confirmTotp` on.
   *
   * This call, and all below that change a factor, want a proof of the last five
   * minutes, by a second factor where there is one.
   *
   * @throws {@link AuthError} `insufficient_user_authentication`: see `stepUp`.
   */
  addTotp(): Promise<PendingTotp>;

  /**
   * Adds that authenticator app; the session rises to `aal2`. With the first factor it
   * resolves to the recovery codes, which are shown once. It resolves to none where an
   * answer was lost on its way: `newRecoveryCodes` makes others.
   *
   * @throws {@link AuthError} `second_factor_invalid`: call again.
   * `continuation_expired`: begin again with `addTotp`.
   */
  confirmTotp(factor: string, code: string): Promise<readonly string[]>;

  /**
   * Has the browser make a passkey, and adds it, as `addTotp` and `confirmTotp`.
   *
   * @throws DOMException as `continueLogin`.
   */
  addPasskey(name: string): Promise<readonly string[]>;

  /** Gives a factor another name, and returns it. */
  renameFactor(id: string, name: string): Promise<Factor>;

  /**
   * Removes a factor. With the last one go the recovery codes.
   *
   * @throws {@link AuthError} `last_factor` where the user needs it.
   */
  removeFactor(id: string): Promise<void>;

  /** Ten new recovery codes. The old ones are gone. */
  newRecoveryCodes(): Promise<readonly string[]>;

  /** The account. */
  account(): Promise<Account>;

  /**
   * Changes what is given, and returns the account. With `username` null the user signs
   * in by the address alone.
   *
   * @throws {@link AuthError} `name_taken`, `name_invalid`.
   */
  updateAccount(changes: {
    username?: string | null;
    locale?: string;
  }): Promise<Account>;

  /**
   * Deletes the account, and signs out in all tabs. The user has to have been proved in
   * the last five minutes.
   *
   * @throws {@link AuthError} `insufficient_user_authentication`: see `stepUp`.
   */
  deleteAccount(): Promise<void>;

  /**
   * Mails a token to another address; the old one stays until `confirmEmail` is called.
   *
   * @throws {@link AuthError} `email_taken`, `email_invalid`,
   * `insufficient_user_authentication`: see `stepUp`.
   */
  changeEmail(email: string): Promise<void>;

  /**
   * Makes the new address the account's, by the token of the mail. Where the user is not
   * signed in, it needs the password.
   *
   * @throws {@link AuthError} `confirmation_invalid`, `invalid_credentials`.
   */
  confirmEmail(token: string, password?: string): Promise<void>;

  /** Takes the old address back, by the token of the notice that was sent to it. */
  revertEmail(token: string): Promise<void>;

  /**
   * `fetch` with the access token, which is refreshed where that is needed.
   *
   * A 401 for a dead token is followed by one refresh and by the same request once
   * more, unless `init.body` is a stream: then the 401 is the answer. So is a 401 for a
   * sign-in that is too old or too weak followed by `onStepUp`.
   *
   * @throws {@link AuthError} `signed_out`, or the code that ended the session. One
   * that is `temporary` means that the refresh was put off, and the session goes on.
   * @throws TypeError where there is no network, or the origin is not on the list; a
   * `TimeoutError` where the server does not answer.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

  /** As `EventTarget.addEventListener`: a listener is added only once. */
  addEventListener<Name extends keyof AuthEventMap>(
    type: Name,
    listener: (event: AuthEventMap[Name]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;

  removeEventListener<Name extends keyof AuthEventMap>(
    type: Name,
    listener: (event: AuthEventMap[Name]) => void,
    options?: boolean | EventListenerOptions,
  ): void;
}

/** A refusal. The message is for people and may change. */
export class AuthError extends Error {
  private constructor();
  /**
   * A code of the server, which stays; after a redirect one of OAuth. Or `signed_out`, or
   * `unknown`; or `unanswered` where the browser did not answer for 15 seconds: another
   * tab holds the lock and is frozen, or IndexedDB hangs; or `unsupported` where it has
   * no passkeys.
   */
  readonly code: string;
  /** The HTTP status, where there was one. */
  readonly status: number | undefined;
  /** Seconds to wait before the next try, where the server said so. */
  readonly retryAfter: number | undefined;
  /**
   * Of `second_factor_required`: what goes on with the call, for `expiresIn` seconds. The
   * client keeps it, too.
   */
  readonly continuation: string | undefined;
  /** The methods that the user has, or may enrol. */
  readonly methods: readonly FactorMethod[] | undefined;
  readonly expiresIn: number | undefined;
  /** Whether the same may work later: a 429, a 5xx or `unanswered`. */
  readonly temporary: boolean;
}

/**
 * What the token of a mail is for, so which call takes it: `confirm`, `accept`, `reset`,
 * `confirmEmail`, `revertEmail` or `enrolTotp`, in this order. Undefined for any other
 * text.
 */
export function purposeOf(
  token: string,
):
  | "registration"
  | "invitation"
  | "reset"
  | "email"
  | "revert"
  | "enrol"
  | undefined;

/**
 * A client of a Watchword server.
 *
 * @throws Error outside of a browser (in server-side rendering, say), where the page is
 * not served over HTTPS or from localhost, or where the browser has no Web Locks (all
 * have since 2022) or no IndexedDB.
 * @throws TypeError for options that are not allowed.
 */
export function createClient(options?: ClientOptions): AuthClient;
