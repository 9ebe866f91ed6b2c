import * as z from "zod"
import type { Directory } from "../checkpoint/byte_source.js"
import { ifMissing, parseJson, readJsonBytes, readOptionalJson } from "../checkpoint/json_file.js"
import { speaksHarmony } from "../text/harmony_render.js"
import { GPT_OSS_SETTINGS, type HarmonySettings, harmonyFormat } from "../text/harmony_chat.js"
import type { GrammarCompiler } from "../text/grammar.js"
import type { ChatFormat } from "../text/messages.js"
import { Tokenizer } from "../text/tokenizer.js"
import { TokenizerError } from "../text/tokenizer_error.js"
import { readTokenizerJson, type TokenizerParts } from "../text/tokenizer_json.js"
import type { StopTokens } from "./generation.js"

/** How a model reads and writes. */
export interface Language {
  readonly text: Tokenizer
  /** @throws TokenizerError naming what the tokenizer lacks, where it has no harmony: such a model continues plain text */
  readonly format: ChatFormat
  readonly hasFormat: boolean
  /** Harmony's ends of a turn, the end of a text and tokenizer_config.json's `eos_token`, as far as the tokenizer has them. */
  readonly stopTokens: StopTokens
}

/** What was read of a folder's tokenizer.json before, in another process: see `keptTokenizer`. */
export interface KeptTokenizer {
  /** Undefined where there is nothing, or where the file has changed since. */
  read(): Promise<TokenizerParts | undefined>
  /** Keeps it for the next process, in the background. */
  write(parts: TokenizerParts): void
}

const ENDS = ["<|return|>", "<|call|>", "<|endoftext|>"]

/** A token's name in tokenizer_config.json: alone, or as transformers 4 writes added tokens. */
const namedToken = z.union([z.string(), z.looseObject({ content: z.string() }).transform(({ content }) => content)])

const settingsSchema = z.looseObject({ model_identity: z.string(), knowledge_cutoff: z.string().optional() })

/**
 * Reads a model folder's tokenizer.json, and from tokenizer_config.json what the model is told of itself
 * (`model_identity`, `knowledge_cutoff`); gpt-oss's own where that says nothing.
 *
 * @param compilerFor makes what a turn is held to schemas with, when the model first chats; it is the caller's
 * @param kept what is known of tokenizer.json from before
 * @returns undefined when there is no tokenizer.json: such a model takes token ids alone
 * @throws TokenizerError for one that cannot be used
 */
export async function loadLanguage(
  directory: Directory,
  compilerFor?: (text: Tokenizer) => GrammarCompiler,
  kept?: KeptTokenizer,
): Promise<Language | undefined> {
  const reading = readOptionalJson(directory, "tokenizer_config.json")
  // Thrown where it is asked for.
  reading.catch(() => {})
  const text = await loadTokenizer(directory, kept).catch(ifMissing)
  if (text === undefined) return undefined
  const config = await reading
  const settings = readSettings(config)
  let format: ChatFormat | undefined
  return {
    text,
    get format() {
      format ??= harmonyFormat(text, settings, compilerFor?.(text))
      return format
    },
    hasFormat: speaksHarmony(text),
    stopTokens: new Set([...ENDS, ...eosToken(config)].flatMap((name) => text.idOf(name) ?? [])),
  }
}

/**
 * Reads a folder's tokenizer.json.
 *
 * @throws TokenizerError for one that cannot be used; CheckpointError for a file that is missing, or no JSON
 */
export async function loadTokenizer(directory: Directory, kept?: KeptTokenizer): Promise<Tokenizer> {
  const file = "tokenizer.json"
  const known = await kept?.read()
  if (known) return new Tokenizer(known, file)
  const bytes = await readJsonBytes(directory, file)
  try {
    const parts = readTokenizerJson(bytes, file)
    const tokenizer = new Tokenizer(parts, file)
    kept?.write(parts)
    return tokenizer
  } catch (error) {
    // An error page or an unfinished download is told better as such.
    parseJson(bytes, file)
    throw error
  }
}

function eosToken(config: unknown): string[] {
  const parsed = z.looseObject({ eos_token: namedToken }).safeParse(config)
  return parsed.success ? [parsed.data.eos_token] : []
}

function readSettings(config: unknown): HarmonySettings {
  if (typeof config !== "object" || config === null || !("model_identity" in config)) return GPT_OSS_SETTINGS
  const parsed = settingsSchema.safeParse(config)
  if (parsed.success)
    return { model_identity: parsed.data.model_identity, knowledge_cutoff: parsed.data.knowledge_cutoff }
  const { path, message } = parsed.error.issues[0]
  throw new TokenizerError(`tokenizer_config.json, field "${path.join(".")}": ${message}`)
}
