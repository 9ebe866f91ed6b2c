import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as fc from "fast-check"
import { afterAll, describe, expect, it } from "vitest"
import { environmentSettings, fileSettings } from "./node_settings.js"
import { masked, resolveSettings, SETTING_NAMES, SettingsError, type SettingsSource } from "./settings.js"

const scratch = mkdtempSync(join(tmpdir(), "minerva-settings-"))
afterAll(() => rmSync(scratch, { recursive: true }))

const flags = (values: Record<string, unknown>): SettingsSource => ({ values, nameOf: (name) => `--${name}` })

function file(text: string): string {
  const path = join(scratch, `${Math.random()}.json`)
  writeFileSync(path, text)
  return path
}

describe("settings", () => {
  it("have defaults: this machine alone, and not Ollama's port", () => {
    const settings = resolveSettings([])
    expect(settings).toMatchObject({
      host: "127.0.0.1",
      models: [],
      api_keys: [],
      cors_origins: [],
      log_prompts: false,
    })
    expect(settings).toMatchObject({
      max_body: 32 * 1024 ** 2,
      request_timeout: 1800,
      drain_timeout: 30,
      idle_unload: 0,
    })
    expect(settings.port).not.toBe(11434)
    expect(settings.memory_limit).toBeUndefined()
  })

  it("come from flags, then the environment, then the file", async () => {
    const path = file(JSON.stringify({ port: 1, host: "file", max_body: "1KiB", api_keys: ["f"], drain_timeout: 7 }))
    const environment = environmentSettings({
      MINERVA_PORT: "2",
      MINERVA_HOST: "environment",
      MINERVA_API_KEYS: "a, b",
      MINERVA_LOG_PROMPTS: "",
      MINERVA_DEBUG: "1",
      PORT: "99",
    })
    const settings = resolveSettings([flags({ port: "3" }), environment, await fileSettings(path)])
    expect(settings).toMatchObject({
      port: 3,
      host: "environment",
      max_body: 1024,
      api_keys: ["a", "b"],
      drain_timeout: 7,
      log_prompts: false,
    })
  })

  it.each<[string, unknown, unknown]>([
    ["max_body", "8MB", 8_000_000],
    ["max_body", 8000, 8000],
    ["request_timeout", "5m", 300],
    ["request_timeout", 1.5, 1.5],
    ["idle_unload", "0", 0],
    ["kv_bits", "8", 8],
    ["log_prompts", "1", true],
    ["log_prompts", false, false],
    ["cors_origins", "https://a,https://b", ["https://a", "https://b"]],
    ["models", ["a,b"], ["a,b"]],
  ])("%s takes %j", (name, value, expected) => {
    expect(resolveSettings([flags({ [name]: value })])).toHaveProperty(name, expected)
  })

  it.each<[Record<string, unknown>, RegExp]>([
    [{ port: "80a" }, /^--port: expected a whole number, from 0 to 65535, found "80a"$/],
    [{ port: 65536 }, /^--port: /],
    [{ port: "" }, /^--port: /],
    [{ max_body: "many" }, /^--max_body: expected a size such as 16GB, 512MiB or bytes, found "many"$/],
    [{ max_body: -1 }, /^--max_body: /],
    [{ request_timeout: "soon" }, /^--request_timeout: expected a time/],
    [{ request_timeout: "9999h" }, /^--request_timeout: expected a time/],
    [{ kv_bits: 5 }, /^--kv_bits: expected 16, 8 or 4, found 5$/],
    [{ device: "tpu" }, /^--device: expected auto, gpu, cpu or reference, found "tpu"$/],
    [{ api_keys: ["a", ""] }, /^--api_keys: expected a list of texts/],
    [{ api_keys: [1] }, /^--api_keys: expected a list of texts/],
    [{ api_keys: "my secret" }, /^--api_keys: expected a list of keys, of ASCII characters without spaces$/],
    [{ host: null }, /^--host: expected text, found null$/],
    [{ max_boddy: 1 }, /^--max_boddy: there is no such setting; is max_body meant\?$/],
    [{ constructor: 1 }, /^--constructor: there is no such setting/],
  ])("%j is refused by name", (values, message) => {
    const resolve = () => resolveSettings([flags(values)])
    expect(resolve).toThrow(SettingsError)
    expect(resolve).toThrow(message)
  })

  it("say in whose words they are wrong, also where another source wins", async () => {
    expect(() => resolveSettings([flags({ port: 1 }), environmentSettings({ MINERVA_PORT: "x" })])).toThrow(
      /^MINERVA_PORT: /,
    )
    const path = file('{"port": "x"}')
    const fromFile = await fileSettings(path)
    expect(() => resolveSettings([fromFile])).toThrow(`${path}: port: expected`)
  })

  it.each([
    ["{", /is not valid JSON/],
    ["[]", /expected a JSON object/],
    ["null", /expected a JSON object/],
    ["", /is not valid JSON/],
  ])("a file of %j is refused", async (text, message) => {
    await expect(fileSettings(file(text))).rejects.toThrow(message)
  })

  it("a file that is missing is refused", async () => {
    await expect(fileSettings(join(scratch, "none.json"))).rejects.toThrow(/none.json: no such file/)
  })

  it("are shown without secrets", () => {
    const settings = resolveSettings([flags({ api_keys: ["top-secret"], queue: "redis://me:secret@host:1" })])
    expect(JSON.stringify(masked(settings))).not.toMatch(/secret/)
    expect(masked(settings)).toMatchObject({ api_keys: ["***"], queue: "redis://***@host:1" })
  })

  it("are settings, or an error that names one, whatever the values", () => {
    const name = fc.constantFrom(...SETTING_NAMES)
    fc.assert(
      fc.property(fc.dictionary(name, fc.oneof(fc.jsonValue(), fc.string(), fc.integer())), (values) => {
        try {
          resolveSettings([flags(values)])
        } catch (error) {
          expect(error).toBeInstanceOf(SettingsError)
          expect(SETTING_NAMES.some((one) => (error as Error).message.startsWith(`--${one}: expected `))).toBe(true)
        }
      }),
    )
  })
})
