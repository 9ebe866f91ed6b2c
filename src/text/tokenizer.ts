import { byteAlphabet } from "./byte_alphabet.js"
import { BytePairs } from "./byte_pairs.js"
import { Merges } from "./merges.js"
import { TextPieces } from "./text_pieces.js"
import { TokenizerError } from "./tokenizer_error.js"
import { readTokenizerJson, type TokenizerParts } from "./tokenizer_json.js"
import type { Vocabulary } from "./vocabulary.js"

/**
 * Added tokens that end texts and structure conversations. They are never read from text, not even where the file forgets
 * to call them special: a user's message could begin another one.
 */
const CONTROL = /^<\|(start|end|message|channel|constrain|return|call|startoftext|endoftext)\|>$/

const NO_BYTES = new Uint8Array(0)
const utf8 = new TextEncoder()

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
  private readonly vocabulary: Vocabulary
  private readonly ids: Uint32Array
  /** By id: a token's place in the vocabulary plus one, 0 for those that are not in it. */
  private readonly places: Int32Array
  /** Of added tokens, by id. */
  private readonly spelled: ReadonlyMap<number, Uint8Array>
  /** Added tokens that are read from text wherever they stand in it. */
  private readonly anywhere: ReadonlyMap<string, number>
  private readonly pieces: TextPieces
  private readonly pairs: BytePairs
  /** Whether a piece that is a token is not cut, whatever the merges would make of it. */
  private readonly takesWhole: boolean
  /** The token of bytes that are none. */
  private readonly unknown: number | undefined
  /** Finds added tokens that are `single_word`, which the tokenizers package takes inside words too. */
  private readonly words: RegExp | undefined
  /** Finds special tokens as they are spelled. Made when first needed. */
  private spellings: RegExp | undefined

  /**
   * @param from tokenizer.json's bytes, or what was read from them
   * @param file its name, for messages
   * @throws TokenizerError naming the file and the field
   */
  constructor(
    from: Uint8Array | TokenizerParts,
    private readonly file = "tokenizer.json",
  ) {
    const parts = from instanceof Uint8Array ? readTokenizerJson(from, file) : from
    const { settings, vocabulary, ids } = parts
    // As the tokenizers package, which passes over tokens of no characters.
    const added_tokens = settings.added_tokens.filter(({ content }) => content !== "")
    this.added = new Map(added_tokens.map(({ content, id }) => [content, id]))
    this.specialIds = new Set(added_tokens.flatMap(({ special, id }) => (special ? [id] : [])))
    this.controlIds = new Set(added_tokens.flatMap(({ content, id }) => (CONTROL.test(content) ? [id] : [])))
    const readable = added_tokens.filter(({ id }) => !this.isMark(id))
    this.words = wholeWords(readable.filter(({ single_word }) => single_word))
    this.vocabulary = vocabulary
    this.ids = ids
    this.vocab_size = ids.reduce((highest, id) => Math.max(highest, id), -1) + 1
    this.vocab_size = added_tokens.reduce((size, { id }) => Math.max(size, id + 1), this.vocab_size)
    this.places = placesOf(parts, this.vocab_size, file)
    this.spelled = spellingsOf(added_tokens, (id) => this.bytesInVocabulary(id) ?? NO_BYTES, file)
    this.unknown = unknownOf(parts, file)
    const anywhere = readable.filter(({ single_word }) => !single_word)
    this.anywhere = new Map(anywhere.map(({ content, id }) => [content, id]))
    this.pieces = new TextPieces(settings, anywhere, file)
    const marks = [...this.specialIds, ...this.controlIds].filter((id) => this.places[id] > 0)
    const barred = marks.map((id) => this.places[id] - 1)
    this.pairs = new BytePairs(vocabulary, new Merges(vocabulary, parts, barred))
    this.takesWhole = settings.model.ignore_merges
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
    return this.bytesInVocabulary(id) ?? this.spelled.get(id) ?? NO_BYTES
  }

  private bytesInVocabulary(id: number): Uint8Array | undefined {
    const place = this.places[id]
    return place > 0 ? this.vocabulary.bytesAt(place - 1) : undefined
  }

  private encodePiece(text: string): number[] {
    if (text === "") return []
    const ids: number[] = []
    for (const piece of this.pieces.of(text)) {
      const added = this.anywhere.get(piece)
      if (added !== undefined) ids.push(added)
      else this.encodeBytes(utf8.encode(piece), ids)
    }
    return ids
  }

  private encodeBytes(bytes: Uint8Array, ids: number[]): void {
    const whole = this.takesWhole ? this.vocabulary.placeOf(bytes) : -1
    if (whole >= 0 && !this.isMark(this.ids[whole])) ids.push(this.ids[whole])
    else
      this.pairs.encode(bytes, (place) => {
        const id = place >= 0 ? this.ids[place] : this.unknown
        if (id !== undefined) ids.push(id)
      })
  }

  /** True for tokens that are never read from text. */
  private isMark(id: number): boolean {
    return this.specialIds.has(id) || this.controlIds.has(id)
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
    return this.bytesOf(id).length > 0 && !this.isMark(id)
  }

  /** Text of token ids; special tokens as they are spelled. */
  decode(ids: Iterable<number>): string {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
    let text = ""
    for (const id of ids) text += utf8.decode(this.bytesOf(id), { stream: true })
    return text + utf8.decode()
  }

  /** For text as it is shown: special tokens give none (transformers' `skip_special_tokens`). */
  decoder(): TokenDecoder {
    const utf8 = new TextDecoder("utf-8", { ignoreBOM: true })
    return {
      push: (token) => (this.isSpecial(token) ? "" : utf8.decode(this.bytesOf(token), { stream: true })),
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

/** By id: a token's place in the vocabulary plus one. @throws TokenizerError for an id of two tokens */
function placesOf({ vocabulary, ids }: TokenizerParts, vocab_size: number, file: string): Int32Array {
  const places = new Int32Array(vocab_size)
  for (let place = 0; place < ids.length; place++) {
    const id = ids[place]
    if (places[id] !== 0) {
      const letters = [...byteAlphabet().keys()]
      const token = JSON.stringify(Array.from(vocabulary.bytesAt(place), (byte) => letters[byte]).join(""))
      throw new TokenizerError(`${file}, field "model.vocab": token ${token} has the id ${id} of another token`)
    }
    places[id] = place + 1
  }
  return places
}

/**
 * The bytes of added tokens, by id.
 *
 * @param known of the vocabulary's tokens
 * @throws TokenizerError for ids and names that stand for two things
 */
function spellingsOf(
  added: readonly { id: number; content: string }[],
  known: (id: number) => Uint8Array,
  file: string,
): Map<number, Uint8Array> {
  const spelled = new Map<number, Uint8Array>()
  const ids = new Map<string, number>()
  for (const [i, { id, content }] of added.entries()) {
    const fault = (problem: string) =>
      new TokenizerError(`${file}, field "added_tokens.${i}.id": ${JSON.stringify(content)} ${problem}`)
    const own = utf8.encode(content)
    const other = spelled.get(id) ?? known(id)
    if (other.length > 0 && !(own.length === other.length && own.every((byte, at) => byte === other[at]))) {
      throw fault(`has the id ${id} of another token`)
    }
    const before = ids.get(content) ?? id
    if (before !== id) throw fault(`is ${id} here and ${before} before`)
    ids.set(content, id)
    spelled.set(id, own)
  }
  return spelled
}

/** The id of the unknown token, where there is one. @throws TokenizerError if the vocabulary lacks it */
function unknownOf({ settings, vocabulary, ids }: TokenizerParts, file: string): number | undefined {
  const { unk_token } = settings.model
  if (unk_token == null) return undefined
  const alphabet = byteAlphabet()
  const bytes = Array.from(unk_token, (character) => alphabet.get(character))
  const place = bytes.includes(undefined) ? -1 : vocabulary.placeOf(Uint8Array.from(bytes as number[]))
  if (place >= 0) return ids[place]
  const token = JSON.stringify(unk_token)
  throw new TokenizerError(`${file}, field "model.unk_token": ${token} is not in the vocabulary`)
}
