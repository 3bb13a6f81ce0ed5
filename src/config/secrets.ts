export type Secrets = { bgpPassword(neighbor: string): string | undefined };
