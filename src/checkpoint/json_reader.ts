/** Deeper nesting than this is refused, as serde_json does. */
const MAX_DEPTH = 128

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const SPACE = /[ \t\n\r]*/y

const WORDS: readonly (readonly [string, unknown])[] = [
  ["null", null],
  ["true", true],
  ["false", false],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
]

/** Not valid JSON, or not what was expected at that place. */
export class JsonError extends Error {
  /** @param at offset in the text, UTF-16 units */
  constructor(
    readonly problem: string,
    readonly at: number,
  ) {
    super(`${problem} at character ${at}`)
  }
}

/** A name that stands twice in one object: `JSON.parse` would silently keep the last. */
export class DuplicateKeyError extends JsonError {
  constructor(
    readonly key: string,
    at: number,
  ) {
    super("a name stands twice in one object", at)
  }
}

/**
 * Reads JSON value by value as the caller expects it. Unlike `JSON.parse` it refuses duplicate names, tells integers from
 * other numbers, and builds no objects whose keys could be mistaken for prototypes. Methods throw JsonError.
 */
export class JsonReader {
  private at = 0
  private depth = 0

  constructor(private readonly text: string) {}

  /** Calls `entry` with each key; it must read the value. */
  object(entry: (key: string) => void): void {
    const seen = new Set<string>()
    this.list("{", "}", () => {
      const at = this.at
      const key = this.string()
      if (seen.has(key)) throw new DuplicateKeyError(key, at)
      seen.add(key)
      this.expect(":")
      entry(key)
    })
  }

  /** Calls `item` before each element; it must read it. */
  array(item: () => void): void {
    this.list("[", "]", item)
  }

  string(): string {
    const at = this.at
    if (this.text[at] !== '"') throw this.expected("a string")
    let end = this.text.indexOf('"', at + 1)
    while (end > 0 && this.escaped(end)) end = this.text.indexOf('"', end + 1)
    if (end < 0) throw new JsonError("a string has no end", at)
    this.at = end + 1
    this.space()
    const value = parseString(this.text.slice(at, end + 1), at)
    if (/\p{Surrogate}/u.test(value)) throw new JsonError("a string holds half of a surrogate pair", at)
    return value
  }

  /** An integer from 0 to 2^53 - 1, written without sign, fraction or exponent. */
  unsigned(): number {
    const at = this.at
    const lexeme = this.match(NUMBER, "an unsigned integer")
    const value = Number(lexeme)
    if (/^\d+$/.test(lexeme) && Number.isSafeInteger(value)) return value
    throw new JsonError(`expected an unsigned integer below 2^53, found ${lexeme.slice(0, 30)}`, at)
  }

  /** True, and consumed, when the next value is null. */
  null(): boolean {
    return this.word("null")
  }

  /** Any one value, as `JSON.parse` gives it, but with `NaN`, `Infinity` and `-Infinity`, which Python writes and reads. */
  value(): unknown {
    const next = this.text[this.at]
    if (next === "{") {
      const entries: [string, unknown][] = []
      this.object((key) => entries.push([key, this.value()]))
      return Object.fromEntries(entries)
    }
    if (next === "[") {
      const items: unknown[] = []
      this.array(() => items.push(this.value()))
      return items
    }
    if (next === '"') return this.string()
    const word = WORDS.find(([text]) => this.word(text))
    return word ? word[1] : Number(this.match(NUMBER, "a value"))
  }

  /** Passes over any one value. */
  skip(): void {
    const next = this.text[this.at]
    if (next === "{") this.object(() => this.skip())
    else if (next === "[") this.array(() => this.skip())
    else if (next === '"') this.string()
    else if (!this.word("null") && !this.word("true") && !this.word("false")) this.match(NUMBER, "a value")
  }

  /** Nothing may follow but white space. */
  end(): void {
    if (this.at < this.text.length) throw new JsonError("expected the end", this.at)
  }

  private list(open: string, close: string, item: () => void): void {
    this.expect(open)
    if (++this.depth > MAX_DEPTH) throw new JsonError(`nested deeper than ${MAX_DEPTH}`, this.at)
    if (this.text[this.at] !== close) {
      item()
      while (this.text[this.at] === ",") {
        this.expect(",")
        item()
      }
    }
    this.expect(close)
    this.depth--
  }

  /** Whether an odd number of backslashes stands before. */
  private escaped(at: number): boolean {
    let backslashes = 0
    while (this.text[at - 1 - backslashes] === "\\") backslashes++
    return backslashes % 2 === 1
  }

  private word(word: string): boolean {
    if (!this.text.startsWith(word, this.at)) return false
    this.at += word.length
    this.space()
    return true
  }

  private expect(character: string): void {
    if (!this.word(character)) throw this.expected(`"${character}"`)
  }

  private match(pattern: RegExp, what: string): string {
    pattern.lastIndex = this.at
    const lexeme = pattern.exec(this.text)?.[0]
    if (lexeme === undefined) throw this.expected(what)
    this.at += lexeme.length
    this.space()
    return lexeme
  }

  private space(): void {
    SPACE.lastIndex = this.at
    SPACE.test(this.text)
    this.at = SPACE.lastIndex
  }

  private expected(what: string): JsonError {
    const found = this.at < this.text.length ? JSON.stringify(this.text[this.at]) : "the end"
    return new JsonError(`expected ${what}, found ${found}`, this.at)
  }
}

function parseString(lexeme: string, at: number): string {
  try {
    return JSON.parse(lexeme)
  } catch {
    throw new JsonError("a string holds a control character or an unknown escape", at)
  }
}
