import { Command, Option } from "commander"
import { environmentSettings, fileSettings } from "../../server/node_settings.js"
import {
  describeSetting,
  masked,
  resolveSettings,
  SETTING_NAMES,
  type SettingName,
  type SettingsSource,
} from "../../server/settings.js"
import { EMBEDDED_MODEL } from "../options.js"
import { UsageError } from "../ui/errors.js"
import { printJson } from "../ui/output.js"

interface Flags extends Readonly<Record<string, unknown>> {
  readonly config?: string
  readonly printConfig?: true
}

/** A setting's flag. What it may be is checked with the settings from elsewhere. */
interface SettingFlag {
  readonly name: SettingName
  readonly option: Option
}

const SETTING_FLAGS = SETTING_NAMES.map(settingFlag)

export const serveCommand = withSettings(new Command("serve"))
  .argument("[models...]", "folders, or names in the Hugging Face cache; the first is meant where a request names none")
  .option("--config <file>", 'JSON with settings, such as {"port": 8000, "api_keys": ["..."]}')
  .option("--print-config", "print the settings as they come together, and exit")
  .addHelpText(
    "after",
    `
A flag goes before the environment, and that before the file: --max-body 8MB, MINERVA_MAX_BODY=8MB, {"max_body": "8MB"}.
The port is not Ollama's (11434), so that both can run, and so that nothing takes one for the other.

  minerva serve                                          the embedded model, on http://127.0.0.1:11435
  minerva serve ~/models/gpt-oss-20b-MXFP4-Q8 -d gpu     a model of yours
  MINERVA_API_KEYS=k1,k2 minerva serve --host 0.0.0.0 --allowed-host gpu.example.com`,
  )
  .action(async (models: string[], { config, printConfig, ...flags }: Flags) => {
    const file = config ?? process.env.MINERVA_CONFIG
    const settings = resolved([
      flagSettings(models, flags),
      environmentSettings(process.env),
      ...(file ? [await fileSettings(file).catch(asUsageError)] : []),
    ])
    if (printConfig) return printJson(masked(settings))
    const { serve } = await import("../serve/serve.js")
    await serve(settings)
  })

function withSettings(command: Command): Command {
  for (const { option } of SETTING_FLAGS) command.addOption(option)
  return command
}

function settingFlag(name: SettingName): SettingFlag {
  const { flag, description, default: value } = describeSetting(name)
  const shown = ["string", "number"].includes(typeof value) ? ` (default: ${value})` : ""
  const option = new Option(flag, `${description}${shown}`)
  if (Array.isArray(value)) option.argParser((text: string, before: string[] = []) => [...before, text])
  return { name, option }
}

function flagSettings(models: readonly string[], flags: Readonly<Record<string, unknown>>): SettingsSource {
  const values = new Map<string, unknown>(
    SETTING_FLAGS.map(({ name, option }) => [name, flags[option.attributeName()]]),
  )
  const named = [...models, ...((values.get("models") as string[] | undefined) ?? [])]
  values.set("models", named.length > 0 ? named : undefined)
  const nameOf = (setting: string) => SETTING_FLAGS.find(({ name }) => name === setting)?.option.long ?? setting
  return { values: Object.fromEntries(values), nameOf }
}

function resolved(sources: readonly SettingsSource[]) {
  try {
    const settings = resolveSettings(sources)
    return { ...settings, models: settings.models.length > 0 ? settings.models : [EMBEDDED_MODEL] }
  } catch (error) {
    return asUsageError(error)
  }
}

function asUsageError(cause: unknown): never {
  throw new UsageError((cause as Error).message, { cause })
}
