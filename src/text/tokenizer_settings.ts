import * as z from "zod"
import { TokenizerError } from "./tokenizer_error.js"

/** No id is higher. */
export const MAX_TOKENS = 2 ** 24
const tokenId = z.int().min(0).max(MAX_TOKENS)

/** Of the kinds that tokenizers come in, Unigram, WordPiece and others, gpt-oss's alone. */
function only(kind: string) {
  const found = (input: unknown) => (typeof input === "string" ? `"${input.slice(0, 80)}"` : typeof input)
  return z.literal(kind, { error: ({ input }) => `expected "${kind}" as gpt-oss has it, found ${found(input)}` })
}

const flag = z.boolean().default(false)
const addedToken = z.object({
  id: tokenId,
  content: z.string(),
  special: flag,
  single_word: flag,
  lstrip: flag,
  rstrip: flag,
  normalized: z.boolean().optional(),
})

/** What byte-level tokenizers have not: letters that stand at the ends of words. */
const nothing = z.literal("", { error: "expected nothing, as gpt-oss has it" }).nullish()

const preTokenizer = z.looseObject({
  type: z.string(),
  add_prefix_space: flag,
  use_regex: z.boolean().default(true),
})

const schema = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  pre_tokenizer: preTokenizer.extend({ pretokenizers: z.array(preTokenizer).optional() }),
  decoder: z.looseObject({ type: only("ByteLevel") }),
  model: z.looseObject({
    type: only("BPE"),
    // Their content is read from the bytes.
    vocab: z.looseObject({}),
    merges: z.array(z.unknown()),
    unk_token: z.string().nullish(),
    ignore_merges: flag,
    continuing_subword_prefix: nothing,
    end_of_word_suffix: nothing,
  }),
})

interface PreTokenizer {
  readonly type: string
  readonly add_prefix_space: boolean
  readonly use_regex: boolean
  readonly [name: string]: unknown
}

/** All of tokenizer.json but the vocabulary and the merges. Written out, so that the package's types need none of zod's. */
export interface TokenizerSettings {
  readonly added_tokens: readonly {
    readonly id: number
    readonly content: string
    readonly special: boolean
    readonly single_word: boolean
    readonly lstrip: boolean
    readonly rstrip: boolean
    readonly normalized?: boolean
  }[]
  readonly pre_tokenizer: PreTokenizer & { readonly pretokenizers?: readonly PreTokenizer[] }
  readonly model: {
    readonly unk_token?: string | null
    readonly ignore_merges: boolean
    readonly [name: string]: unknown
  }
  readonly [name: string]: unknown
}

/** Checks them. @throws TokenizerError naming the file and the field */
export function parseSettings(value: unknown, file: string): TokenizerSettings {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const { path, message } = parsed.error.issues[0]
  const where = path.length > 0 ? `${file}, field "${path.join(".")}"` : file
  throw new TokenizerError(`${where}: ${message}. Take tokenizer.json from the model's repository.`)
}
