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
  /** Origins, besides the server's own, to which the access token may be sent. */
  origins?: readonly (string | URL)[];
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

/** The account of the user who is signed in. */
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
   * `unanswered`.
   * @throws TypeError or a `TimeoutError` where the server could not be reached.
   */
  login(username: string, password: string): Promise<void>;

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
   */
  reset(token: string, password: string): Promise<void>;

  /**
   * Changes the password. This session goes on in all tabs, under new tokens; the others
   * of the account end.
   *
   * @throws {@link AuthError} `invalid_credentials`, `password_rejected`, `throttled`.
   */
  changePassword(currentPassword: string, password: string): Promise<void>;

  /**
   * Proves the user again, for a call that was refused as
   * `insufficient_user_authentication`. Repeat that call afterwards.
   *
   * @throws {@link AuthError} `invalid_credentials`, `throttled`.
   */
  stepUp(password: string): Promise<void>;

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
   * more, unless `init.body` is a stream: then the 401 is the answer.
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
   * A code of the server, which stays, or `signed_out`, or `unknown`; or `unanswered`
   * where the browser did not answer for 15 seconds: another tab holds the lock and is
   * frozen, or IndexedDB hangs.
   */
  readonly code: string;
  /** The HTTP status, where there was one. */
  readonly status: number | undefined;
  /** Seconds to wait before the next try, where the server said so. */
  readonly retryAfter: number | undefined;
  /** Whether the same may work later: a 429, a 5xx or `unanswered`. */
  readonly temporary: boolean;
}

/**
 * What the token of a mail is for, so which call takes it: `confirm`, `accept`, `reset`,
 * `confirmEmail` or `revertEmail`, in this order. Undefined for any other text.
 */
export function purposeOf(
  token: string,
): "registration" | "invitation" | "reset" | "email" | "revert" | undefined;

/**
 * A client of a Watchword server.
 *
 * @throws Error outside of a browser (in server-side rendering, say), where the page is
 * not served over HTTPS or from localhost, or where the browser has no Web Locks (all
 * have since 2022) or no IndexedDB.
 * @throws TypeError for options that are not allowed.
 */
export function createClient(options?: ClientOptions): AuthClient;
