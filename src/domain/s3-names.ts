/** The names by which clients ask for S3 itself. Pure. */

type Named = {
  readonly s3_names: readonly string[];
  readonly certs: { readonly acme_domain: string; readonly acme_names: readonly string[] };
};

/**
 * The names in `s3_names`, in lower case; without any, those of the certificate that ober gets by ACME. A name of the certificate that is below another
 * one may be a bucket's (photos.s3.example.org below s3.example.org), so it is left out, as is a wildcard.
 */
export function s3Names({ s3_names, certs }: Named): readonly string[] {
  const lower = (names: readonly string[]) => [...new Set(names.map((name) => name.toLowerCase()))];
  if (s3_names.length > 0) return lower(s3_names);
  const known = lower([certs.acme_domain, ...certs.acme_names]).filter((name) => name !== "" && !name.startsWith("*."));
  return known.filter((name) => !known.some((other) => name.endsWith(`.${other}`)));
}
