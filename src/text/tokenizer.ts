import { Tokenizer as BytePairEncoder } from "@huggingface/tokenizers"
import { z } from "zod"

/** A tokenizer.json that cannot be used: not one, or of a kind that gpt-oss models do not have. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError"
}

const MAX_TOKENS = 2 ** 24
const tokenId = z.int().min(0).max(MAX_TOKENS)

/** Of the kinds that tokenizers come in, Unigram, WordPiece and others, gpt-oss's alone. */
function only(kind: string) {
  const found = (input: unknown) => (typeof input === "string" ? `"${input.slice(0, 80)}"` : typeof input)
  return z.literal(kind, { error: ({ input }) => `expected "${kind}" as gpt-oss has it, found ${found(input)}` })
}

const flag = z.boolean().default(false)
const addedToken = z.looseObject({
  id: tokenId,
  content: z.string(),
  special: flag,
  single_word: flag,
  lstrip: flag,
  rstrip: flag,
})

const schema = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  decoder: z.looseObject({ type: only("ByteLevel") }),
  model: z.looseObject({
    type: only("BPE"),
    vocab: z.record(z.string(), tokenId),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
    unk_token: z.string().nullish(),
  }),
})

/**
 * Added tokens that end texts and structure conversations. They are never read from text, not even where the file forgets
 * to call them special: a user's message could begin another one.
 */
const CONTROL = /^<\|(start|end|message|channel|constrain|return|call|startoftext|endoftext)\|>$/

/** Decodes one stream of tokens, never half a character. */
export interface TokenDecoder {
  /** The text that this token completes. */
  push(token: number): string
  /** What is left: U+FFFD for bytes that no character took. */
  end(): string
}

/**
 * The byte-level BPE tokenizer of a tokenizer.json. Encoding never yields a special token: text that spells one stays
 * text. Special tokens are asked for by name. Added tokens that are not special are text like any other.
 */
export class Tokenizer {
  /** One more than the highest token id. */
  readonly vocab_size: number
  private readonly added: ReadonlyMap<string, number>
  private readonly specialIds: ReadonlySet<number>
  private readonly controlIds: ReadonlySet<number>
  private readonly bytes: ReadonlyMap<number, Uint8Array>
  private readonly encoder: BytePairEncoder
  /** Finds added tokens that are `single_word`, which the tokenizers package takes inside words too. */
  private readonly words: RegExp | undefined
  /** Finds special tokens as they are spelled. Made when first needed. */
  private spellings: RegExp | undefined

  /**
   * @param json tokenizer.json, parsed
   * @param file its name, for messages
   * @throws TokenizerError naming the file and the field
   */
  constructor(
    json: unknown,
    private readonly file = "tokenizer.json",
  ) {
    const parsed = schema.safeParse(json)
    if (!parsed.success) {
      const { path, message } = parsed.error.issues[0]
      const where = path.length > 0 ? `${file}, field "${path.join(".")}"` : file
      throw new TokenizerError(`${where}: ${message}. Take tokenizer.json from the model's repository.`)
    }
    const { model } = parsed.data
    // As the tokenizers package, which passes over tokens of no characters.
    const added_tokens = parsed.data.added_tokens.filter(({ content }) => content !== "")
    this.added = new Map(added_tokens.map(({ content, id }) => [content, id]))
    this.specialIds = new Set(added_tokens.flatMap(({ special, id }) => (special ? [id] : [])))
    this.controlIds = new Set(added_tokens.flatMap(({ content, id }) => (CONTROL.test(content) ? [id] : [])))
    const readable = added_tokens.filter(({ special, id }) => !special && !this.controlIds.has(id))
    this.words = wholeWords(readable.filter(({ single_word }) => single_word))
    checkClosed(model, file)
    this.bytes = tokenBytes(model.vocab, added_tokens, file)
    this.vocab_size = [...this.bytes.keys()].reduce((highest, id) => Math.max(highest, id), -1) + 1
    try {
      this.encoder = new BytePairEncoder(
        { ...parsed.data, added_tokens: readable.filter(({ single_word }) => !single_word) },
        {},
      )
    } catch (cause) {
      throw new TokenizerError(`${file}: ${(cause as Error).message}`, { cause })
    }
  }

  /** Token ids of plain text. */
  encode(text: string): number[] {
    if (!this.words) return this.encodePiece(text)
    const pieces: number[][] = []
    let end = 0
    for (const match of text.matchAll(this.words)) {
      const word = match.slice(1).find((captured) => captured !== undefined)!
      pieces.push(this.encodePiece(text.slice(end, match.index)), [this.added.get(word)!])
      end = match.index + match[0].length
    }
    return [...pieces, this.encodePiece(text.slice(end))].flat()
  }

  /** As `encode`, but text that spells a special token becomes that token. For prompts that are written by hand. */
  encodeSpecial(text: string): number[] {
    if (this.specialIds.size === 0) return this.encode(text)
    this.spellings ??= new RegExp(
      [...this.added]
        .filter(([, id]) => this.isSpecial(id))
        .map(([content]) => content.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"))
        .sort((a, b) => b.length - a.length)
        .join("|"),
      "g",
    )
    const ids: number[] = []
    let end = 0
    for (const match of text.matchAll(this.spellings)) {
      ids.push(...this.encode(text.slice(end, match.index)), this.added.get(match[0])!)
      end = match.index + match[0].length
    }
    return [...ids, ...this.encode(text.slice(end))]
  }

  /** The bytes that a token stands for; a special one's as it is spelled. None for an id without a token. */
  bytesOf(id: number): Uint8Array {
    return this.bytes.get(id) ?? new Uint8Array(0)
  }

  private encodePiece(text: string): number[] {
    return text === "" ? [] : this.encoder.encode(text, { add_special_tokens: false }).ids
  }

  /** The id of an added token such as `<|start|>`; undefined when the tokenizer has none of that name. */
  idOf(content: string): number | undefined {
    return this.added.get(content)
  }

  /** As `idOf`. @throws TokenizerError when the tokenizer has none of that name */
  specialToken(content: string): number {
    const id = this.idOf(content)
    if (id === undefined) throw new TokenizerError(`${this.file}, field "added_tokens": no ${content}`)
    return id
  }

  /** True for the ids of added tokens that are special: they are no part of the text. */
  isSpecial(id: number): boolean {
    return this.specialIds.has(id)
  }

  /** True for the ids that say something: of tokens that have bytes, and neither are special nor structure conversations. */
  isText(id: number): boolean {
    return (this.bytes.get(id)?.length ?? 0) > 0 && !this.specialIds.has(id) && !this.controlIds.has(id)
  }

  /** Text of token ids; special tokens as they are spelled. */
  decode(ids: Iterable<number>): string {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
    let text = ""
    for (const id of ids) text += utf8.decode(this.bytes.get(id), { stream: true })
    return text + utf8.decode()
  }

  /** For text as it is shown: special tokens give none (transformers' `skip_special_tokens`). */
  decoder(): TokenDecoder {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
    return {
      push: (token) => (this.isSpecial(token) ? "" : utf8.decode(this.bytes.get(token), { stream: true })),
      end: () => utf8.decode(),
    }
  }
}

/** Rust's `\\w`, by which Hugging Face's tokenizers tell words. */
const WORD = "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]"

/** Finds and captures any of these tokens where no word goes on before or after it; the longest of several. */
function wholeWords(tokens: readonly { content: string; lstrip: boolean; rstrip: boolean }[]): RegExp | undefined {
  if (tokens.length === 0) return undefined
  const longestFirst = [...tokens].sort((a, b) => b.content.length - a.content.length)
  const patterns = longestFirst.map(({ content, lstrip, rstrip }) => {
    const literal = content.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")
    return `${lstrip ? "\\s*" : ""}(?<!${WORD})(${literal})(?!${WORD})${rstrip ? "\\s*" : ""}`
  })
  return new RegExp(patterns.join("|"), "gu")
}

/** @throws TokenizerError for merges and an unknown token that the vocabulary lacks: text would vanish in silence */
function checkClosed({ vocab, merges, unk_token }: z.output<typeof schema>["model"], file: string): void {
  const fault = (field: string, token: string) =>
    new TokenizerError(`${file}, field "model.${field}": ${JSON.stringify(token)} is not in the vocabulary`)
  for (const [i, merge] of merges.entries()) {
    const token = typeof merge === "string" ? merge.replace(" ", "") : merge.join("")
    if (!Object.hasOwn(vocab, token)) throw fault(`merges.${i}`, token)
  }
  if (unk_token != null && !Object.hasOwn(vocab, unk_token)) throw fault("unk_token", unk_token)
}

/** The bytes each token stands for. @throws TokenizerError for ids and names that stand for two things */
function tokenBytes(
  vocab: Readonly<Record<string, number>>,
  added: readonly { id: number; content: string }[],
  file: string,
) {
  const byteOf = byteAlphabet()
  const bytes = new Map<number, Uint8Array>()
  const fault = (field: string, problem: string) => new TokenizerError(`${file}, field "${field}": ${problem}`)
  for (const [token, id] of Object.entries(vocab)) {
    const values = Array.from(token, (character) => byteOf.get(character))
    if (values.includes(undefined)) {
      throw fault("model.vocab", `token ${JSON.stringify(token)} is not spelled in the byte-level alphabet`)
    }
    if (bytes.has(id)) throw fault("model.vocab", `token ${JSON.stringify(token)} has the id ${id} of another token`)
    bytes.set(id, Uint8Array.from(values as number[]))
  }
  const ids = new Map<string, number>()
  for (const [i, { id, content }] of added.entries()) {
    const own = new TextEncoder().encode(content)
    const other = bytes.get(id)
    if (other && !(own.length === other.length && own.every((byte, at) => byte === other[at]))) {
      throw fault(`added_tokens.${i}.id`, `${JSON.stringify(content)} has the id ${id} of another token`)
    }
    const before = ids.get(content) ?? id
    if (before !== id)
      throw fault(`added_tokens.${i}.id`, `${JSON.stringify(content)} is ${id} here and ${before} before`)
    ids.set(content, id)
    bytes.set(id, own)
  }
  return bytes
}

/**
 * The printable characters that stand for bytes in byte-level vocabularies: printable Latin-1 for itself, the rest from
 * U+0100 on (openai/gpt-2, src/encoder.py, bytes_to_unicode). In the order of the bytes.
 */
export function byteAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>()
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) alphabet.set(String.fromCharCode(isPrintable(byte) ? byte : next++), byte)
  return alphabet
}
