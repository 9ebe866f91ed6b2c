/** Pieces of EBNF as xgrammar reads it. */

/** A text as a terminal. */
export function literal(text: string): string {
  return text === "" ? '""' : `"${[...text].map((character) => escaped(character, '"')).join("")}"`
}

/** Characters of a class, by code point; both ends included. */
export function classOf(ranges: readonly (readonly [number, number])[]): string {
  const one = (code: number) => escaped(String.fromCodePoint(code), "-]^[")
  return `[${ranges.map(([from, to]) => (from === to ? one(from) : `${one(from)}-${one(to)}`)).join("")}]`
}

export function sequence(...parts: readonly string[]): string {
  const said = parts.filter((part) => part !== "" && part !== '""')
  return said.length === 0 ? '""' : said.join(" ")
}

export function either(...parts: readonly string[]): string {
  const different = [...new Set(parts)]
  return different.length === 1 ? different[0] : `(${different.map((part) => `(${part})`).join(" | ")})`
}

export function optional(part: string): string {
  return `((${part}) | "")`
}

function escaped(character: string, special: string): string {
  const code = character.codePointAt(0)!
  if (character === "\\" || special.includes(character)) return `\\${character}`
  if (code >= 0x20 && code < 0x7f) return character
  return code > 0xffff ? `\\U${code.toString(16).padStart(8, "0")}` : `\\u${code.toString(16).padStart(4, "0")}`
}
