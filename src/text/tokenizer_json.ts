import { byteAlphabet } from "./byte_alphabet.js"
import { JsonBytes, JsonBytesError } from "./json_bytes.js"
import { TokenizerError } from "./tokenizer_error.js"
import { MAX_TOKENS, parseSettings, type TokenizerSettings } from "./tokenizer_settings.js"
import { EMPTY_HASH, hashOn, Vocabulary } from "./vocabulary.js"

export interface Texts {
  readonly vocabulary: Vocabulary
  /** `[vocabulary.length]`: the id of each of its texts. */
  readonly ids: Uint32Array
}

/** Of each merge, in their order: the place of what it makes, and how many bytes of that are its first part. */
export interface MergeList {
  readonly made: Uint32Array
  readonly cuts: Uint32Array
}

export interface TokenizerParts extends Texts, MergeList {
  readonly settings: TokenizerSettings
}

/** How many numbers arrays hold before they grow. What is never written takes no memory. */
const ROOM = 2 ** 21

const QUOTE = 0x22
const BACKSLASH = 0x5c
const SPACE = 0x20

/**
 * Reads tokenizer.json from its bytes. The vocabulary and the merges, nearly all of the 28 MB that gpt-oss's has, go straight
 * into arrays of numbers; the rest is JSON like any other.
 *
 * @throws TokenizerError naming the file and the field
 */
export function readTokenizerJson(json: Uint8Array, file: string): TokenizerParts {
  try {
    return new Reader(json, file).read()
  } catch (error) {
    if (error instanceof JsonBytesError) throw new TokenizerError(`${file}: ${error.message}`, { cause: error })
    throw error
  }
}

interface Section {
  readonly start: number
  readonly end: number
}

class Reader {
  private readonly json: JsonBytes
  /** The byte that each character of the byte-level alphabet stands for, -1 for those that are not in it. */
  private readonly byteOf = new Int16Array(0x200).fill(-1)
  /** What texts are read into, where they end there, and their hash. */
  private into = new Uint8Array(ROOM)
  private end = 0
  private hash = EMPTY_HASH
  /** For messages: what is being read. */
  private field = ""
  private count = 0

  /** Where those two are in the file, and what was read of them. */
  private readonly cut: { vocab?: Section; merges?: Section } = {}
  private vocabulary?: Texts
  private merges?: MergeList
  private problem?: TokenizerError

  constructor(
    bytes: Uint8Array,
    private readonly file: string,
  ) {
    this.json = new JsonBytes(bytes)
    for (const [character, byte] of byteAlphabet()) this.byteOf[character.charCodeAt(0)] = byte
  }

  read(): TokenizerParts {
    const { json } = this
    json.object((name) => {
      if (name === "model" && json.peek() === 0x7b) json.object((name) => this.readOfModel(name))
      else json.skip()
    })
    if (json.peek() !== undefined) throw new JsonBytesError("expected the end", json.at)
    // What kind of tokenizer it is comes first: others' vocabularies are no faults.
    const settings = this.settings()
    if (this.problem) throw this.problem
    const vocabulary = this.vocabulary!
    if (!this.merges) {
      json.at = this.cut.merges!.start
      this.merges = this.readMerges(vocabulary.vocabulary)
    }
    return { settings, ...vocabulary, ...this.merges }
  }

  private readOfModel(name: string): void {
    const { json } = this
    const first = json.peek()
    const start = json.at
    if ((name !== "vocab" || first !== 0x7b) && (name !== "merges" || first !== 0x5b)) {
      json.skip()
      return
    }
    if (this.cut[name]) throw new TokenizerError(`${this.file}, field "model.${name}": stands twice`)
    try {
      if (name === "vocab") this.vocabulary = this.readVocabulary()
      else if (this.vocabulary) this.merges = this.readMerges(this.vocabulary.vocabulary)
      else json.skip()
    } catch (error) {
      if (!(error instanceof TokenizerError)) throw error
      this.problem ??= error
      json.at = start
      json.skip()
    }
    this.cut[name] = { start, end: json.at }
  }

  /** Reads all but the vocabulary and the merges, as if they were empty. */
  private settings(): TokenizerSettings {
    const { bytes } = this.json
    const cut = Object.values(this.cut).sort((a, b) => a.start - b.start)
    const begins = [0, ...cut.map(({ end }) => end - 1)]
    const ends = [...cut.map(({ start }) => start + 1), bytes.length]
    let value: unknown
    try {
      const utf8 = new TextDecoder("utf-8", { fatal: true })
      value = JSON.parse(begins.map((begin, i) => utf8.decode(bytes.subarray(begin, ends[i]))).join(""))
    } catch (cause) {
      throw new TokenizerError(`${this.file}: not valid JSON (${(cause as Error).message.slice(0, 200)})`, { cause })
    }
    return parseSettings(value, this.file)
  }

  private readVocabulary(): Texts {
    const { json } = this
    let starts = new Uint32Array(ROOM)
    let ids = new Uint32Array(ROOM)
    this.begin("model.vocab")
    json.list("{", "}", () => {
      const at = json.at
      if (this.count + 1 === ids.length) [ids, starts] = [doubled(ids), doubled(starts)]
      this.text(false)
      json.expect(":")
      ids[this.count++] = this.id(at)
      starts[this.count] = this.end
    })
    const vocabulary = new Vocabulary(this.into.slice(0, this.end), starts.slice(0, this.count + 1))
    if (vocabulary.twice === undefined) return { vocabulary, ids: ids.slice(0, this.count) }
    throw this.fault(`token ${spelled(vocabulary.bytesAt(vocabulary.twice))} stands twice`)
  }

  /** A token's id. @param token where its text begins */
  private id(token: number): number {
    const { json } = this
    const { bytes } = json
    json.peek()
    const start = json.at
    let id = 0
    while (bytes[json.at] >= 0x30 && bytes[json.at] <= 0x39 && id <= MAX_TOKENS) id = id * 10 + bytes[json.at++] - 0x30
    const isNumber = json.at === start + 1 || (json.at > start && bytes[start] !== 0x30)
    const next = isNumber ? json.peek() : undefined
    if (id <= MAX_TOKENS && (next === 0x2c || next === 0x7d)) return id
    json.at = token
    this.field += `.${String(json.value()).slice(0, 80)}`
    throw this.fault(`expected a whole number from 0 to ${MAX_TOKENS}, its id`)
  }

  private readMerges(vocabulary: Vocabulary): MergeList {
    const { json } = this
    let made = new Uint32Array(ROOM)
    let cuts = new Uint32Array(ROOM)
    const times = new Uint32Array(vocabulary.length)
    this.begin("model.merges")
    json.list("[", "]", () => {
      this.end = 0
      this.hash = EMPTY_HASH
      const cut = json.peek() === 0x5b ? this.pair() : this.text(true)
      // Most files have the merges in the order of what they make.
      const place = vocabulary.findNear(this.count > 0 ? made[this.count - 1] : 0, this.hash, this.into, this.end)
      if (place < 0) throw this.fault(`${spelled(this.into.subarray(0, this.end))} is not in the vocabulary`)
      if (++times[place] > this.end + 1) {
        throw this.fault(`more merges than ${spelled(this.into.subarray(0, this.end))} has cuts make it`)
      }
      if (this.count === made.length) [made, cuts] = [doubled(made), doubled(cuts)]
      cuts[this.count] = cut
      made[this.count++] = place
    })
    return { made: made.slice(0, this.count), cuts: cuts.slice(0, this.count) }
  }

  /** Reads a merge's parts. @returns the bytes of the first */
  private pair(): number {
    const { json } = this
    json.expect("[")
    this.text(false)
    const length = this.end
    json.expect(",")
    this.text(false)
    json.expect("]")
    return length
  }

  /**
   * Reads a token's bytes, behind those that were read before.
   *
   * @param isMerge whether it is two tokens, with a space between
   * @returns where the space was, 0 for none
   */
  private text(isMerge: boolean): number {
    const { json, byteOf } = this
    const { bytes } = json
    if (json.peek() !== QUOTE) throw this.fault("expected a string")
    let { into, end, hash } = this
    let cut = 0
    let at = json.at + 1
    for (let code = bytes[at++]; code !== QUOTE; code = bytes[at++]) {
      if (code >= 0xc2 && code <= 0xc7 && (bytes[at] & 0xc0) === 0x80)
        code = ((code & 0x1f) << 6) | (bytes[at++] & 0x3f)
      else if (code >= 0x80) code = 0
      else if (code === BACKSLASH) {
        const escaped = escapedAt(bytes, at)
        code = escaped.code
        at += escaped.length
      }
      const byte = byteOf[code]
      if (byte >= 0) {
        if (end === into.length) into = this.into = doubled(into)
        into[end++] = byte
        hash = hashOn(hash, byte)
      } else if (code === SPACE && isMerge && cut === 0) cut = end
      else throw this.fault(`${quotable(json.value())} is not spelled in the byte-level alphabet`)
    }
    json.at = at
    this.end = end
    this.hash = hash
    return cut
  }

  private begin(field: string): void {
    this.field = field
    this.count = 0
    this.end = 0
  }

  private fault(problem: string): TokenizerError {
    const field = this.field === "model.merges" ? `${this.field}.${this.count}` : this.field
    return new TokenizerError(`${this.file}, field "${field}": ${problem}`)
  }
}

function doubled<T extends Uint8Array | Uint32Array>(array: T): T {
  const larger = new (array.constructor as new (length: number) => T)(array.length * 2)
  larger.set(array)
  return larger
}

/** What stands behind a backslash: a character, and the bytes that it takes. */
function escapedAt(bytes: Uint8Array, at: number): { code: number; length: number } {
  const length = bytes[at] === 0x75 ? 5 : 1
  const text = String.fromCharCode(...bytes.subarray(at, at + length))
  try {
    return { code: JSON.parse(`"\\${text}"`).charCodeAt(0), length }
  } catch {
    return { code: 0, length }
  }
}

/** A text as vocabularies spell it, for messages. */
function spelled(bytes: Uint8Array): string {
  const letters = [...byteAlphabet().keys()]
  return quotable(Array.from(bytes.subarray(0, 80), (byte) => letters[byte]).join(""))
}

const quotable = (value: unknown) => JSON.stringify(String(value).slice(0, 80))
