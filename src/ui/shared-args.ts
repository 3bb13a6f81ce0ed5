/** Flags that every command has. `cli.ts` adds them; a command spreads them too, so that `args.json` has a type. */
export const globalArgs = {
  json: { type: "boolean", description: "Print one JSON document" },
  quiet: { type: "boolean", alias: "q", description: "Print only results and errors" },
  verbose: { type: "boolean", alias: "v", description: "Print more of what happens" },
  version: { type: "boolean", description: "Print the versions of ober and of the programs it drives" },
  help: { type: "boolean", alias: "h", description: "Print this help" },
} as const;

/** For commands that change the node; for Ansible and scripts. */
export const changeArgs = {
  detailedExitcode: {
    type: "boolean",
    description: "Exit with 0 if there was nothing to do, 2 if something was changed (or would be), 1 on failure",
  },
} as const;

export const yesArgs = {
  yes: { type: "boolean", alias: "y", description: "Do not ask; answer every question with yes" },
} as const;

export const dryRunArgs = {
  dryRun: { type: "boolean", description: "Show what would change and change nothing" },
} as const;
