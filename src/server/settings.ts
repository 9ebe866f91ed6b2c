import * as z from "zod"
import { nearestNames } from "../checkpoint/errors.js"
import { bytes, duration, keys, list, oneOf, onOff, whole, words } from "./setting_kinds.js"

/**
 * Every setting of the server: what it may be, its default, its flag, and what it is for. In the environment `max_body` is
 * MINERVA_MAX_BODY.
 */
export const settingsSchema = z.object({
  models: list.default([]).meta({
    flag: "-m, --model <model>",
    description: "model to serve, as MODEL (repeatable)",
  }),
  host: words.default("127.0.0.1").meta({ flag: "--host <address>", description: "address to listen on" }),
  // Beside Ollama's 11434, which clients take for Ollama.
  port: whole(0, 65535)
    .default(11435)
    .meta({ flag: "--port <n>", description: "port to listen on; 0: any that is free" }),
  api_keys: keys.default([]).meta({
    flag: "--api-key <key>",
    description: "key that clients need (repeatable); better in MINERVA_API_KEYS, as others see flags",
  }),
  cors_origins: list.default([]).meta({
    flag: "--cors-origin <origin>",
    description: "site whose pages may ask, such as https://chat.example.com, or * (repeatable)",
  }),
  allowed_hosts: list.default([]).meta({
    flag: "--allowed-host <name>",
    description: "name of this server, beside localhost and addresses; .example.com: all below it, *: any (repeatable)",
  }),
  max_body: bytes.prefault("32MiB").meta({ flag: "--max-body <size>", description: "largest request" }),
  max_requests: whole(1).default(512).meta({ flag: "--max-requests <n>", description: "requests at once at most" }),
  request_timeout: duration.prefault("30m").meta({
    flag: "--request-timeout <time>",
    description: "time that a request may take: 90s, 30m; 0: any",
  }),
  drain_timeout: duration.prefault("30s").meta({
    flag: "--drain-timeout <time>",
    description: "time that requests are given when the server is told to stop",
  }),
  idle_unload: duration.prefault("0").meta({
    flag: "--idle-unload <time>",
    description: "unload a model that nobody asked for this long; 0: never",
  }),
  device: oneOf("auto", "gpu", "cpu", "reference").default("auto").meta({
    flag: "-d, --device <name>",
    description: "where to run: auto takes the GPU if there is one",
  }),
  threads: whole(1, 1024).optional().meta({ flag: "--threads <n>", description: "the most threads of the cpu device" }),
  precision: oneOf("fast", "int16", "exact").optional().meta({
    flag: "--precision <mode>",
    description: "how far activations may be rounded: fast (the default), int16, or exact: not at all",
  }),
  context: whole(2).optional().meta({
    flag: "--context <tokens>",
    description: "longest conversation, prompt and answer (default: the model's)",
  }),
  memory_limit: bytes.optional().meta({ flag: "--memory-limit <size>", description: "memory that models may take" }),
  max_sequences: whole(1).optional().meta({
    flag: "--max-sequences <n>",
    description: "answers at once at most, others wait (default: 64 on a GPU, else 16)",
  }),
  kv_bits: oneOf(16, 8, 4).optional().meta({
    flag: "--kv-bits <bits>",
    description: "bits per value of the KV caches: 16, 8 or 4 (default: what the device computes with)",
  }),
  kv_memory: bytes.optional().meta({ flag: "--kv-memory <size>", description: "memory that KV caches share" }),
  kv_cache_dir: words.optional().meta({
    flag: "--kv-cache-dir <folder>",
    description: "keep what prompts begin with in this folder, for the next time",
  }),
  data_dir: words.optional().meta({
    flag: "--data-dir <folder>",
    description: "keep files, batches and stored responses in this folder (default: in memory, until the server stops)",
  }),
  batch_concurrency: whole(1, 1024).default(8).meta({
    flag: "--batch-concurrency <n>",
    description: "requests of batches that are answered at once",
  }),
  queue: words.optional().meta({
    flag: "--queue <url>",
    description: "share batches with other servers, through redis://host:port",
  }),
  log_level: oneOf("fatal", "error", "warn", "info", "debug", "silent").default("info").meta({
    flag: "--log-level <level>",
    description: "least serious lines of the log, on standard output",
  }),
  log_prompts: onOff.default(false).meta({
    flag: "--log-prompts",
    description: "log what is asked, too: people's messages",
  }),
})

export type Settings = z.output<typeof settingsSchema>
export type SettingName = keyof Settings

export const SETTING_NAMES = Object.keys(settingsSchema.shape) as SettingName[]

/** What is known of a setting for people. */
export function describeSetting(name: SettingName): {
  readonly flag: string
  readonly description: string
  readonly default?: unknown
} {
  const field: z.ZodType = settingsSchema.shape[name]
  const { flag, description } = field.meta() as { flag: string; description: string }
  const isGiven = field instanceof z.ZodDefault || field instanceof z.ZodPrefault
  return { flag, description, ...(isGiven && { default: field.def.defaultValue }) }
}

/** Where settings come from. */
export interface SettingsSource {
  /** Undefined: not said here. */
  readonly values: Readonly<Record<string, unknown>>
  /** How a setting is called there, for errors. */
  readonly nameOf: (setting: string) => string
}

/** A setting is not what it should be. */
export class SettingsError extends Error {
  override readonly name = "SettingsError"
}

/**
 * The settings as the first source says that knows them, else their defaults.
 *
 * @throws {SettingsError} for what no setting is called, or what it cannot be: source, name, expected and found
 */
export function resolveSettings(sources: readonly SettingsSource[]): Settings {
  const given = new Map<string, unknown>()
  for (const { values, nameOf } of sources) {
    for (const [name, value] of Object.entries(values)) {
      if (value === undefined) continue
      if (!Object.hasOwn(settingsSchema.shape, name)) {
        const [near] = nearestNames(name, SETTING_NAMES, 1)
        throw new SettingsError(`${nameOf(name)}: there is no such setting${near ? `; is ${near} meant?` : ""}`)
      }
      const result = settingsSchema.shape[name as SettingName].safeParse(value)
      if (!result.success) {
        const found = name === "api_keys" ? "" : `, found ${JSON.stringify(value)}`
        throw new SettingsError(`${nameOf(name)}: expected ${result.error.issues[0].message}${found}`)
      }
      if (!given.has(name)) given.set(name, value)
    }
  }
  return settingsSchema.parse(Object.fromEntries(given))
}

/** For people to see: without keys and passwords. */
export function masked(settings: Settings): object {
  const { api_keys, queue } = settings
  return {
    ...settings,
    api_keys: api_keys.map(() => "***"),
    ...(queue !== undefined && { queue: queue.replace(/\/\/[^@/]*@/, "//***@") }),
  }
}
