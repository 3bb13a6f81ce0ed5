/** The wizard on its own, for a test that sits at its terminal: `_wizard.ts PRESENT RESULT` reads one file and writes the other. */
import { emitConfig, parseYaml } from "../../src/config/store.ts";
import { askConfiguration } from "../../src/config/wizard.ts";
import { OberError } from "../../src/errors.ts";
import { showError } from "../../src/ui/output.ts";
import { terminalPrompts } from "../../src/ui/prompt.ts";

const [present = "", result = ""] = process.argv.slice(2);
const file = Bun.file(present);
const text = (await file.exists()) ? await file.text() : undefined;

try {
  const prompts = await terminalPrompts("ober config --from FILE");
  const value = text === undefined ? undefined : parseYaml(text, present);
  const { answers, secrets } = await askConfiguration({ prompts, present: value, hasPassword: false });
  await Bun.write(result, JSON.stringify({ text: emitConfig(text, answers), secrets }));
} catch (error) {
  if (!(error instanceof OberError)) throw error;
  await showError(error, false);
  process.exitCode = error.exitCode;
}
