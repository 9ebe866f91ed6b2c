import { readFile } from "node:fs/promises"
import { systemReason } from "../checkpoint/node_errors.js"
import { SETTING_NAMES, SettingsError, type SettingsSource } from "./settings.js"

/** MINERVA_HOST, MINERVA_PORT and so on; lists with commas. What is empty is not said. */
export function environmentSettings(env: Readonly<Record<string, string | undefined>>): SettingsSource {
  const nameOf = (setting: string) => `MINERVA_${setting.toUpperCase()}`
  const values = Object.fromEntries(SETTING_NAMES.map((name) => [name, env[nameOf(name)] || undefined]))
  return { values, nameOf }
}

/** A file with a JSON object of settings. @throws {SettingsError} for one that cannot be read, or holds something else */
export async function fileSettings(file: string): Promise<SettingsSource> {
  const nameOf = (setting: string) => `${file}: ${setting}`
  return { values: await readObject(file), nameOf }
}

async function readObject(file: string): Promise<Record<string, unknown>> {
  let text: string
  try {
    text = await readFile(file, "utf8")
  } catch (cause) {
    throw new SettingsError(`${file}: ${systemReason(cause)}`, { cause })
  }
  try {
    const values: unknown = JSON.parse(text)
    if (typeof values === "object" && values !== null && !Array.isArray(values)) return { ...values }
  } catch (cause) {
    throw new SettingsError(`${file} is not valid JSON: ${(cause as Error).message}`, { cause })
  }
  throw new SettingsError(`${file}: expected a JSON object of settings`)
}
