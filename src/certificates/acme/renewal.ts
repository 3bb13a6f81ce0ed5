/** When a certificate is renewed, and when to try again after a failure. Pure; the state is on the disk. */

import { OberError } from "../../errors.ts";

/** `var/acme/state.json`. Times in ISO. */
export type AcmeState = {
  /** Failures in a row. */
  readonly failures: number;
  readonly error?: string;
  readonly failedAt?: string;
  /** The timer does not try before this time. */
  readonly retryAt?: string;
  /** When the first of the certificates will be renewed. */
  readonly renewAt?: string;
  /** The digest of what ober wrote, by file. A file with another digest is not ober's. */
  readonly issued: Readonly<Record<string, string>>;
  /** The CA's suggested window, by the certificate's fingerprint (RFC 9773). */
  readonly ari: Readonly<Record<string, Window & { readonly askedAt: string }>>;
  /** Home of the person whose AWS profile worked; the timer cannot find it otherwise. */
  readonly awsHome?: string;
};

export type Window = { readonly start: string; readonly end: string };
export type Lifetime = { readonly notBefore: Date; readonly notAfter: Date; readonly fingerprint: string };

export const NO_STATE: AcmeState = { failures: 0, issued: {}, ari: {} };

/** A failure with the time that the CA asks clients to wait. */
export class AcmeError extends OberError {
  readonly retryAfterMs: number | undefined;
  constructor(message: string, hint: string, retryAfterMs?: number, cause?: unknown) {
    super(message, { hint, cause });
    this.retryAfterMs = retryAfterMs;
  }
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

const lifeOf = ({ notBefore, notAfter }: Lifetime) => notAfter.getTime() - notBefore.getTime();

/**
 * The time to renew: two thirds through the life. If the CA suggests a window, it is a point in it that differs from certificate to certificate,
 * so that not all nodes ask at once. Five sixths of the life are the latest, to leave time for failures.
 */
export function renewAt(certificate: Lifetime, window: Window | undefined): Date {
  if (window) {
    const [start, end] = [Date.parse(window.start), Date.parse(window.end)];
    const fraction = Number.parseInt(certificate.fingerprint.slice(0, 8), 16) / 2 ** 32;
    const latest = certificate.notBefore.getTime() + (lifeOf(certificate) * 5) / 6;
    return new Date(Math.min(start + (end - start) * fraction, latest));
  }
  return new Date(certificate.notBefore.getTime() + (lifeOf(certificate) * 2) / 3);
}

/** Whether to ask the CA again for its window: every six hours, and more often for a certificate that lives for days or less. */
export function asksAgain(certificate: Lifetime, askedAt: string | undefined, now: Date): boolean {
  if (askedAt === undefined) return true;
  return now.getTime() - Date.parse(askedAt) > Math.min(6 * HOUR_MS, lifeOf(certificate) / 20);
}

/**
 * The state after a failure: the timer waits an hour, then two, up to a day, and at least as long as the CA demands. For a certificate that
 * lives for days or less it waits less, because a day would be too late.
 */
export function afterFailure(
  state: AcmeState,
  failure: { readonly error: string; readonly retryAfterMs?: number | undefined },
  { now, lifeMs }: { readonly now: Date; readonly lifeMs: number },
): AcmeState {
  const failures = state.failures + 1;
  const first = Math.min(HOUR_MS, lifeMs / 60);
  const wait = Math.min(first * 2 ** Math.min(failures - 1, 20), DAY_MS, lifeMs / 10);
  const retryAt = new Date(now.getTime() + Math.max(wait, failure.retryAfterMs ?? 0)).toISOString();
  return { ...state, failures, error: failure.error, failedAt: now.toISOString(), retryAt };
}

/** The state after a success, without any earlier failure. */
export function afterSuccess({ issued, ari, ...rest }: AcmeState, renewal: Date): AcmeState {
  return {
    failures: 0,
    issued,
    ari,
    renewAt: renewal.toISOString(),
    ...(rest.awsHome ? { awsHome: rest.awsHome } : {}),
  };
}
