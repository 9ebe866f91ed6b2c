/** Not the JSON that was expected at that place. */
export class JsonBytesError extends Error {
  /** @param at offset of a byte */
  constructor(problem: string, at: number) {
    super(`${problem} at byte ${at}`)
  }
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
/** Of a number or a word. */
const isEnd = (byte: number) => byte === 0x2c || byte === 0x5d || byte === 0x7d || isSpace(byte)
const isSpace = (byte: number) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09

/**
 * Walks over JSON as it lies in a file. For files whose large parts are read byte by byte: as a string and objects they would
 * take ten times their size.
 */
export class JsonBytes {
  at = 0

  constructor(readonly bytes: Uint8Array) {
    const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
    if (hasMark) this.at = 3
  }

  /** The next byte that is no white space, which stays the next; undefined at the end. */
  peek(): number | undefined {
    const { bytes } = this
    let { at } = this
    while (isSpace(bytes[at])) at++
    this.at = at
    return bytes[at]
  }

  /** Passes over a character. @throws JsonBytesError if another is next */
  expect(character: string): void {
    const next = this.peek()
    if (next !== character.charCodeAt(0)) {
      const found = next === undefined ? "the end" : JSON.stringify(String.fromCharCode(next))
      throw new JsonBytesError(`expected ${JSON.stringify(character)}, found ${found}`, this.at)
    }
    this.at++
  }

  /** Calls `entry` with each name of an object; it must pass over the value. */
  object(entry: (name: string) => void): void {
    this.list("{", "}", () => {
      if (this.peek() !== QUOTE) throw new JsonBytesError("expected a name", this.at)
      const name = this.value() as string
      this.expect(":")
      entry(name)
    })
  }

  /** Calls `item` before each element; it must pass over it. */
  list(open: string, close: string, item: () => void): void {
    this.expect(open)
    const end = close.charCodeAt(0)
    if (this.peek() !== end) {
      item()
      while (this.peek() === 0x2c) {
        this.at++
        item()
      }
    }
    this.expect(close)
  }

  /** Any one value. */
  value(): unknown {
    this.peek()
    const start = this.at
    this.skip()
    try {
      return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(this.bytes.subarray(start, this.at)))
    } catch {
      throw new JsonBytesError("expected JSON, found something else", start)
    }
  }

  /** Passes over any one value: where it ends is found, whether it is right is not. */
  skip(): void {
    const { bytes } = this
    const first = this.peek()
    if (first === QUOTE) this.at = this.endOfString(this.at)
    else if (first === 0x7b || first === 0x5b) this.skipNested()
    else {
      const start = this.at
      while (this.at < bytes.length && !isEnd(bytes[this.at])) this.at++
      if (this.at === start) throw new JsonBytesError("expected a value", start)
    }
  }

  private skipNested(): void {
    const { bytes } = this
    let at = this.at
    let depth = 0
    do {
      const byte = bytes[at]
      if (byte === QUOTE) {
        at = this.endOfString(at)
        continue
      }
      if (byte === 0x7b || byte === 0x5b) depth++
      else if (byte === 0x7d || byte === 0x5d) depth--
      else if (at >= bytes.length) throw new JsonBytesError("the file ends too early,", at)
      at++
    } while (depth > 0)
    this.at = at
  }

  /** Where a string that begins at `at` is over. */
  private endOfString(at: number): number {
    const { bytes } = this
    let end = at + 1
    while (bytes[end] !== QUOTE) {
      if (end >= bytes.length) throw new JsonBytesError("the file ends in a string that begins", at)
      end += bytes[end] === BACKSLASH ? 2 : 1
    }
    return end + 1
  }
}
