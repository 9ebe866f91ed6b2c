import { ParameterError } from "./errors.js"

/** Why a generation ended; `tool_calls` when the model asked for a tool. */
export type FinishReason = "stop" | "length" | "tool_calls"

/**
 * Watches streamed text for stop strings that may straddle tokens. Text is held back only as long as it could still become
 * a stop string, and what comes out does not depend on how the text was split: the stop string that ends first wins,
 * the longest one if several end together.
 *
 *     const stops = new StopStrings(["\n\n"])
 *     stops.push("one\n")   // "one": the line break waits
 *     stops.push("two")     // "\ntwo"
 */
export class StopStrings {
  /** The stop string that was found. Nothing comes out any more once it is set. */
  matched: string | undefined
  /** Per stop string: how many of its UTF-16 units the text so far ends with (Knuth, Morris and Pratt 1977). */
  private readonly progress: Uint32Array
  private readonly failures: readonly Uint32Array[]
  private held = ""

  /** @param stops none of them empty */
  constructor(readonly stops: readonly string[]) {
    this.progress = new Uint32Array(stops.length)
    this.failures = stops.map(failureTable)
  }

  /** Takes the next piece of text and returns what can be shown: everything before a stop string, never part of one. */
  push(delta: string): string {
    if (this.matched !== undefined) return ""
    const text = this.held + delta
    for (let at = this.held.length; at < text.length; at++) {
      const stop = this.advance(text.charCodeAt(at))
      if (stop === undefined) continue
      this.matched = stop
      this.held = ""
      return text.slice(0, at + 1 - stop.length)
    }
    const shown = text.length - Math.max(0, ...this.progress)
    this.held = text.slice(shown)
    return text.slice(0, shown)
  }

  /** The text is over, or a part of it that no stop string reaches across: returns what was held back. */
  end(): string {
    const rest = this.held
    this.held = ""
    this.progress.fill(0)
    return rest
  }

  private advance(unit: number): string | undefined {
    let found: string | undefined
    for (let i = 0; i < this.stops.length; i++) {
      const stop = this.stops[i]
      let matched = this.progress[i]
      while (matched > 0 && stop.charCodeAt(matched) !== unit) matched = this.failures[i][matched - 1]
      if (stop.charCodeAt(matched) === unit) matched++
      this.progress[i] = matched
      if (matched === stop.length && (found === undefined || stop.length > found.length)) found = stop
    }
    return found
  }
}

/** `table[i]`: length of the longest proper prefix of `pattern` that ends at `pattern[i]`. */
function failureTable(pattern: string): Uint32Array {
  const table = new Uint32Array(pattern.length)
  for (let i = 1, matched = 0; i < pattern.length; i++) {
    while (matched > 0 && pattern.charCodeAt(i) !== pattern.charCodeAt(matched)) matched = table[matched - 1]
    if (pattern.charCodeAt(i) === pattern.charCodeAt(matched)) matched++
    table[i] = matched
  }
  return table
}

/**
 * The `stop` parameter as a list.
 *
 * @throws {ParameterError} when a stop string is empty or there are more than 16
 */
export function parseStop(stop?: string | readonly string[] | null): readonly string[] {
  const stops = typeof stop === "string" ? [stop] : (stop ?? [])
  const valid = Array.isArray(stops) && stops.every((s) => typeof s === "string" && s.length > 0) && stops.length <= 16
  if (!valid) throw new ParameterError("stop", "a string or up to 16 strings, none empty", stop)
  return stops
}
