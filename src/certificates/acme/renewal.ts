/** When a certificate is renewed, and when a failure may be tried again. Pure; the state lies on the disk. */

import { OberError } from "../../errors.ts";

/** `var/acme/state.json`. Times in ISO. */
export type AcmeState = {
  /** Failures in a row. */
  readonly failures: number;
  readonly error?: string;
  readonly failedAt?: string;
  /** The timer does not try before. */
  readonly retryAt?: string;
  /** When the first of the certificates will be renewed. */
  readonly renewAt?: string;
  /** What ober wrote, by file: the digest. Another content is somebody else's. */
  readonly issued: Readonly<Record<string, string>>;
  /** What the CA wishes, by the certificate's fingerprint (RFC 9773). */
  readonly ari: Readonly<Record<string, Window & { readonly askedAt: string }>>;
  /** Home of the person whose AWS profile worked: the timer has no other way to it. */
  readonly awsHome?: string;
};

export type Window = { readonly start: string; readonly end: string };
export type Lifetime = { readonly notBefore: Date; readonly notAfter: Date; readonly fingerprint: string };

export const NO_STATE: AcmeState = { failures: 0, issued: {}, ari: {} };

/** A failure with the time that the CA wants to be left alone. */
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
 * The time to renew: two thirds through the life, or where the CA gives a window a point in it that differs from certificate to certificate,
 * so that not all nodes come at once. A window that leaves no time for a failure is not waited for: five sixths are the latest.
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

/** Whether the CA is asked again for its window: every six hours, and more often where a certificate lives for days or less. */
export function asksAgain(certificate: Lifetime, askedAt: string | undefined, now: Date): boolean {
  if (askedAt === undefined) return true;
  return now.getTime() - Date.parse(askedAt) > Math.min(6 * HOUR_MS, lifeOf(certificate) / 20);
}

/**
 * The state after a failure: the timer waits an hour, then two, up to a day, and as long as the CA demands; less where a certificate lives
 * for days or less, because a day would be too late.
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

/** The state after a success: nothing of a failure is left. */
export function afterSuccess({ issued, ari, ...rest }: AcmeState, renewal: Date): AcmeState {
  return {
    failures: 0,
    issued,
    ari,
    renewAt: renewal.toISOString(),
    ...(rest.awsHome ? { awsHome: rest.awsHome } : {}),
  };
}
