import { EMPTY, type Expression, either, literal, type Ranges, type Rules, sequence } from "./ebnf.js"
import { ANY_CHARACTER, characterThen } from "./json_text.js"
import { PatternProblem, type Regular } from "./regular.js"

/** Characters and steps between them that a pattern may come to. */
const MAX_PLACES = 2000
const MAX_STEPS = 20_000

/** Sets of places that a text may be at. */
const MAX_STATES = 500

/** A part of a pattern: the places where it begins and ends, and whether it may be empty. */
interface Part {
  readonly first: readonly number[]
  readonly last: readonly number[]
  readonly empty: boolean
}

const NONE: Part = { first: [], last: [], empty: true }
const ANYTHING: Regular = { repeated: { characters: ANY_CHARACTER }, least: 0, most: Number.POSITIVE_INFINITY }

/**
 * The strings of JSON, quotes included, in which a pattern is found.
 *
 * @throws PatternProblem if it has an anchor where characters may stand before or behind, or is too large
 */
export function matchingStrings(rules: Rules, pattern: Regular, path: string): Expression {
  return sequence(literal('"'), texts(rules, anchored(pattern), literal('"'), path))
}

/** The texts of a pattern without anchors that need no escapes in JSON. */
export function matchingTexts(rules: Rules, pattern: Regular, path: string): Expression {
  return texts(rules, pattern, EMPTY, path)
}

/**
 * As rules that recurse to the right, one for each state of a deterministic automaton: in xgrammar, alternatives that begin
 * alike cost time and are not always told apart.
 */
function texts(rules: Rules, pattern: Regular, end: Expression, path: string): Expression {
  const automaton = new Automaton()
  return automaton.write(rules, automaton.part(pattern), end, path)
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

  /** Sets of places become states. */
  write(rules: Rules, whole: Part, end: Expression, path: string): Expression {
    const last = new Set(whole.last)
    const known = new Map<string, Expression>()
    const waiting: { readonly name: string; readonly next: ReadonlySet<number>; readonly mayEnd: boolean }[] = []
    const state = (next: ReadonlySet<number>, mayEnd: boolean): Expression => {
      const key = `${mayEnd} ${[...next].sort((a, b) => a - b).join(" ")}`
      const found = known.get(key)
      if (found) return found
      if (known.size >= MAX_STATES) throw new PatternProblem("has too many ways through it: make it simpler")
      const name = rules.fresh()
      known.set(key, { rule: name })
      waiting.push({ name, next, mayEnd })
      return { rule: name }
    }
    const start = state(new Set(whole.first), whole.empty)
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      const ways = [...this.ways(one.next)].map(([, { ranges, places }]) => {
        if (isWide(ranges)) rules.countWide(path)
        const next = new Set(places.flatMap((place) => [...this.follow[place]]))
        return characterThen(
          ranges,
          state(
            next,
            places.some((place) => last.has(place)),
          ),
        )
      })
      rules.define(one.name, either(...ways, ...(one.mayEnd ? [end] : [])))
    }
    return start
  }

  /** Characters by the places, out of `next`, that they all lead to. */
  private ways(next: ReadonlySet<number>): Map<string, { ranges: [number, number][]; places: readonly number[] }> {
    const borders = new Set<number>()
    for (const place of next) for (const [from, to] of this.places[place]) borders.add(from).add(to + 1)
    const sorted = [...borders].sort((a, b) => a - b)
    const ways = new Map<string, { ranges: [number, number][]; places: readonly number[] }>()
    for (const [i, from] of sorted.entries()) {
      const places = [...next].filter((place) => this.places[place].some(([low, high]) => low <= from && from <= high))
      if (places.length === 0) continue
      const key = places.join(" ")
      const way = ways.get(key) ?? { ranges: [], places }
      const to = sorted[i + 1] - 1
      const previous = way.ranges.at(-1)
      if (previous && previous[1] === from - 1) previous[1] = to
      else way.ranges.push([from, to])
      ways.set(key, way)
    }
    return ways
  }
}

/** Whether most tokens of a vocabulary may be such characters. */
function isWide(characters: Ranges): boolean {
  return characters.reduce((sum, [from, to]) => sum + to - from + 1, 0) > 1000
}
