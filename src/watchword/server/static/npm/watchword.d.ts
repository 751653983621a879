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

/** What {@link AuthClient} tells a page: in every tab, whichever it happened in. */
export interface AuthEventMap {
  /** There is a new access token; after a sign-in too. */
  refreshed: CustomEvent<null>;
  /** The session is over: show the login. */
  signedout: CustomEvent<SignedOut>;
}

/** Why a session is over. */
export interface SignedOut {
  /**
   * `logout`, `signed_out` (another tab had noticed), or the code of the refusal, such
   * as `session_revoked`, `session_expired` or `refresh_reused`.
   */
  readonly code: string;
}

/** A client, the same for all tabs of an origin. Made by {@link createClient}. */
export interface AuthClient {
  /**
   * Whether somebody is signed in, as soon as that is known after a page's start.
   *
   * @throws {@link AuthError} `unanswered` where IndexedDB does not answer; asked for
   * anew, it looks anew.
   */
  readonly ready: Promise<boolean>;

  /** The same as it is known now: false until {@link AuthClient.ready} is there. */
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
   * `fetch` with the access token, which is refreshed where that is needed.
   *
   * A 401 for a dead token is followed by one refresh and by the same request once
   * more, unless `init.body` is a stream: then the 401 is the answer.
   *
   * @throws {@link AuthError} `signed_out`, or the code that ended the session; one that
   * is `temporary` where the refresh was put off: nobody has been signed out.
   * @throws TypeError where there is no network, or the origin is not on the list; a
   * `TimeoutError` where the server does not answer.
   */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;

  /** As of any `EventTarget`; the same listener is added once. */
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
 * A client of a Watchword server.
 *
 * @throws Error outside of a browser (in server-side rendering, say), where the page is
 * not served over HTTPS or from localhost, or where the browser has no Web Locks (all
 * have since 2022) or no IndexedDB.
 * @throws TypeError for options that cannot be.
 */
export function createClient(options?: ClientOptions): AuthClient;
