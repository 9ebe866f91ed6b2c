import { Tokenizer as BytePairEncoder } from "@huggingface/tokenizers"
import { z } from "zod"

/** A tokenizer.json that cannot be used: not one, or of a kind that gpt-oss models do not have. */
export class TokenizerError extends Error {
  override readonly name = "TokenizerError"
}

const MAX_TOKENS = 2 ** 24
const tokenId = z.int().min(0).max(MAX_TOKENS)

const schema = z.looseObject({
  added_tokens: z.array(z.looseObject({ id: tokenId, content: z.string().min(1), special: z.boolean() })).default([]),
  decoder: z.looseObject({ type: z.string() }),
  model: z.looseObject({
    type: z.literal("BPE"),
    vocab: z.record(z.string(), tokenId),
    merges: z.array(z.union([z.string(), z.tuple([z.string(), z.string()])])),
  }),
})

/** Decodes one stream of tokens, never half a character. */
export interface TokenDecoder {
  /** The text that this token completes. */
  push(token: number): string
  /** What is left: U+FFFD for bytes that no character took. */
  end(): string
}

/**
 * The byte-level BPE tokenizer of a tokenizer.json. Encoding never yields a special token: text that spells one stays
 * text. Special tokens are asked for by name.
 */
export class Tokenizer {
  /** One more than the highest token id. */
  readonly vocab_size: number
  private readonly special: ReadonlyMap<string, number>
  private readonly specialIds: ReadonlySet<number>
  private readonly bytes: ReadonlyMap<number, Uint8Array>
  private readonly encoder: BytePairEncoder

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
      throw new TokenizerError(
        `${file}, field "${path.join(".")}": ${message}. Take tokenizer.json from the model's repository.`,
      )
    }
    const { added_tokens, decoder, model } = parsed.data
    if (decoder.type !== "ByteLevel") {
      throw new TokenizerError(`${file}, field "decoder.type": expected "ByteLevel", found "${decoder.type}"`)
    }
    this.special = new Map(added_tokens.map(({ content, id }) => [content, id]))
    this.specialIds = new Set(this.special.values())
    this.bytes = tokenBytes(model.vocab, added_tokens, file)
    this.vocab_size = [...this.bytes.keys()].reduce((highest, id) => Math.max(highest, id), -1) + 1
    try {
      this.encoder = new BytePairEncoder(
        { ...parsed.data, added_tokens: added_tokens.filter(({ special }) => !special) },
        {},
      )
    } catch (cause) {
      throw new TokenizerError(`${file}: ${(cause as Error).message}`, { cause })
    }
  }

  /** Token ids of plain text. */
  encode(text: string): number[] {
    return text === "" ? [] : this.encoder.encode(text, { add_special_tokens: false }).ids
  }

  /** The id of a special token such as `<|start|>`. @throws TokenizerError when the tokenizer has none of that name */
  specialToken(content: string): number {
    const id = this.special.get(content)
    if (id === undefined)
      throw new TokenizerError(`${this.file}, field "added_tokens": no ${content}; this model does not speak harmony`)
    return id
  }

  /** True for the ids of added tokens. */
  isSpecial(id: number): boolean {
    return this.specialIds.has(id)
  }

  /** Text of token ids; special tokens as they are spelled. */
  decode(ids: Iterable<number>): string {
    const decoder = this.decoder()
    let text = ""
    for (const id of ids) text += decoder.push(id)
    return text + decoder.end()
  }

  decoder(): TokenDecoder {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
    return {
      push: (token) => utf8.decode(this.bytes.get(token), { stream: true }),
      end: () => utf8.decode(),
    }
  }
}

/** The bytes each token stands for. */
function tokenBytes(
  vocab: Readonly<Record<string, number>>,
  added: readonly { id: number; content: string }[],
  file: string,
) {
  const byteOf = byteAlphabet()
  const bytes = new Map<number, Uint8Array>()
  for (const [token, id] of Object.entries(vocab)) {
    const values = Array.from(token, (character) => byteOf.get(character))
    if (values.includes(undefined)) {
      throw new TokenizerError(
        `${file}, field "model.vocab": token ${JSON.stringify(token)} is not spelled in the byte-level alphabet`,
      )
    }
    bytes.set(id, Uint8Array.from(values as number[]))
  }
  for (const { id, content } of added) bytes.set(id, new TextEncoder().encode(content))
  return bytes
}

/**
 * The printable characters that stand for bytes in byte-level vocabularies: printable Latin-1 for itself, the rest from
 * U+0100 on (openai/gpt-2, src/encoder.py, bytes_to_unicode).
 */
function byteAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>()
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad)
  let next = 0x100
  for (let byte = 0; byte < 256; byte++) alphabet.set(String.fromCharCode(isPrintable(byte) ? byte : next++), byte)
  return alphabet
}
