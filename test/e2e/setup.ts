/** Preloaded for the end-to-end tests: all files share one lab, which goes when the last of them is done. */
import { afterAll } from "bun:test";
import { down } from "../lab/lab.ts";
import { ownsLab } from "./_cluster.ts";

afterAll(async () => {
  if (ownsLab()) await down();
});
