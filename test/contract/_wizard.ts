/** The wizard on its own, for a test that sits at its terminal: `_wizard.ts PRESENT RESULT` reads one file and writes the other. */
import { sayingHowToGoOn } from "../../src/config/wizard/kept.ts";
import { askForFile } from "../../src/config/wizard.ts";
import { OberError } from "../../src/errors.ts";
import { localSystem } from "../../src/system/local.ts";
import { showError } from "../../src/ui/output.ts";
import { terminalPrompts } from "../../src/ui/prompt.ts";

const [present = "", result = ""] = process.argv.slice(2);
const system = localSystem();
const draftFile = `${present}.draft`;

try {
  const prompts = await terminalPrompts("ober config --from FILE", { back: true });
  await sayingHowToGoOn(system, draftFile, async () => {
    const asked = await askForFile({ system, prompts, file: present, draftFile, hasPassword: false });
    await Bun.write(result, JSON.stringify(asked));
  });
} catch (error) {
  if (!(error instanceof OberError)) throw error;
  await showError(error, false);
  process.exitCode = error.exitCode;
}
