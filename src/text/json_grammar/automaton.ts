import { type Expression, either, literal, type Rules, sequence } from "./ebnf.js"
import { ANY_CHARACTER, jsonCharacter, type Ranges } from "./json_text.js"
import { PatternProblem, type Regular } from "./regular.js"

/** Characters and steps between them that a pattern may come to. */
const MAX_PLACES = 2000
const MAX_STEPS = 20_000

/** A part of a pattern: the places where it begins and ends, and whether it may be empty. */
interface Part {
  readonly first: readonly number[]
  readonly last: readonly number[]
  readonly empty: boolean
}

const NONE: Part = { first: [], last: [], empty: true }
const ANYTHING: Regular = { repeated: { characters: ANY_CHARACTER }, least: 0, most: Number.POSITIVE_INFINITY }

/**
 * The strings of JSON, quotes included, in which a pattern is found, as rules that recurse to the right: the automaton of
 * Glushkov, whose states are the places of characters in the pattern.
 *
 * @throws PatternProblem if it has an anchor where characters may stand before or behind, or too many places
 */
export function matchingStrings(rules: Rules, pattern: Regular, path: string): Expression {
  const automaton = new Automaton()
  return automaton.write(rules, automaton.part(anchored(pattern)), path)
}

/** The pattern that matches whole strings: what is not anchored has any characters around. */
function anchored(pattern: Regular): Regular {
  if ("any" in pattern) return { any: pattern.any.map(anchored) }
  const parts = flat(pattern)
  let [start, end] = [0, parts.length]
  while (start < end && isEdge(parts[start], "start")) start++
  while (end > start && isEdge(parts[end - 1], "end")) end--
  // An anchor that a whole alternative stands on: (^a|b)c is both of ^ac and bc.
  const inner = parts.slice(start, end)
  const before = start > 0 ? [] : [ANYTHING]
  const after = end < parts.length ? [] : [ANYTHING]
  return { all: [...before, ...inner, ...after] }
}

const isEdge = (part: Regular, edge: "start" | "end") => "edge" in part && part.edge === edge

function flat(pattern: Regular): readonly Regular[] {
  return "all" in pattern ? pattern.all.flatMap(flat) : [pattern]
}

class Automaton {
  private readonly places: Ranges[] = []
  private readonly follow: Set<number>[] = []
  private steps = 0

  part(pattern: Regular): Part {
    if ("characters" in pattern) return this.place(pattern.characters)
    if ("edge" in pattern) {
      throw new PatternProblem(
        `has ${pattern.edge === "start" ? "^" : "$"} inside: anchors stand at the ends of an alternative`,
      )
    }
    if ("any" in pattern) return this.one(pattern.any.map((part) => this.part(part)))
    if ("all" in pattern) return pattern.all.reduce<Part>((before, part) => this.join(before, this.part(part)), NONE)
    return this.repeat(pattern.repeated, pattern.least, pattern.most)
  }

  private place(characters: Ranges): Part {
    if (this.places.length >= MAX_PLACES) throw new PatternProblem(`comes to more than ${MAX_PLACES} characters`)
    const at = this.places.push(characters) - 1
    this.follow.push(new Set())
    return { first: [at], last: [at], empty: false }
  }

  private one(parts: readonly Part[]): Part {
    return {
      first: parts.flatMap((part) => part.first),
      last: parts.flatMap((part) => part.last),
      empty: parts.some((part) => part.empty),
    }
  }

  private join(a: Part, b: Part): Part {
    this.link(a.last, b.first)
    return {
      first: a.empty ? [...a.first, ...b.first] : a.first,
      last: b.empty ? [...a.last, ...b.last] : b.last,
      empty: a.empty && b.empty,
    }
  }

  /** `{2,4}` as `aa(a(a)?)?`: each place is followed by the next alone. */
  private repeat(pattern: Regular, least: number, most: number): Part {
    if (Math.max(least, Number.isFinite(most) ? most : 0) > MAX_PLACES) {
      throw new PatternProblem(`repeats more than ${MAX_PLACES} times`)
    }
    if (!Number.isFinite(most)) {
      const loop = this.part(pattern)
      this.link(loop.last, loop.first)
      if (least === 0) return { ...loop, empty: true }
      let before = NONE
      for (let i = 1; i < least; i++) before = this.join(before, this.part(pattern))
      return this.join(before, loop)
    }
    let rest = NONE
    for (let i = most; i > least; i--) rest = { ...this.join(this.part(pattern), rest), empty: true }
    for (let i = least; i > 0; i--) rest = this.join(this.part(pattern), rest)
    return rest
  }

  private link(from: readonly number[], to: readonly number[]): void {
    this.steps += from.length * to.length
    if (this.steps > MAX_STEPS) throw new PatternProblem("has too many ways through it: make it simpler")
    for (const place of from) for (const next of to) this.follow[place].add(next)
  }

  write(rules: Rules, whole: Part, path: string): Expression {
    const names = this.places.map(() => rules.fresh())
    const from = (places: Iterable<number>, mayEnd: boolean) =>
      either(...[...places].map((place) => ({ rule: names[place] })), ...(mayEnd ? [literal('"')] : []))
    const last = new Set(whole.last)
    for (const [place, characters] of this.places.entries()) {
      if (isWide(characters)) rules.countWide(path)
      rules.define(names[place], sequence(jsonCharacter(characters), from(this.follow[place], last.has(place))))
    }
    return sequence(literal('"'), from(whole.first, whole.empty))
  }
}

/** Whether most tokens of a vocabulary may be such characters. */
function isWide(characters: Ranges): boolean {
  return characters.reduce((sum, [from, to]) => sum + to - from + 1, 0) > 1000
}
