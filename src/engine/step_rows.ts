import type { HostArray } from "../backends/backend.js"
import type { KvSequence } from "../cache/kv_sequence.js"
import { NO_INDEX } from "../ir/specs/rows.js"
import type { InputSpecs } from "../array/transforms.js"
import { type Draws, ROW_ADJUSTMENTS, type StepStates } from "./step.js"

/** How one row's token is drawn on the device. */
export interface RowChoices {
  readonly temperature: number
  readonly top_k: number
  readonly top_p: number
  readonly min_p: number
  /** In [0, 1). */
  readonly uniform: number
  /** Changes to the row's logits, and the tokens allowed: see `mx.adjustLogits` and `mx.random.sample`. */
  readonly constraint?: Constraint
}

export interface Constraint {
  readonly adjustments: readonly Adjustment[]
  /** `[vocab_size / 32]`; all are allowed without. */
  readonly mask?: Uint32Array
}

export interface Adjustment {
  readonly id: number
  readonly bias: number
  readonly factor: number
  readonly shift: number
}

/** What is wanted of a row: a token drawn into a lane, its logits, or both. */
export interface WantedRow {
  readonly lane: number
  readonly choices: RowChoices | null
  readonly logits: boolean
}

/** Where rows of a step get their ids: given, or drawn by the step before into a lane. */
export type RowIds = { readonly ids: ArrayLike<number> } | { readonly lane: number }

export const GREEDY: RowChoices = { temperature: 0, top_k: 0, top_p: 1, min_p: 0, uniform: 0 }

/** The rows of the next step, put together row by row: what its program is fed. */
export class StepRows {
  rows = 0
  readonly wanted: WantedRow[] = []
  private sequences = 0
  private adjustments = 0
  private readonly arrays: Record<string, HostArray> = {}

  /** @param most rows of a step at most */
  constructor(
    readonly most: number,
    private readonly states: StepStates,
    private readonly vocab_size: number,
  ) {
    const { store, drawn } = states
    const most_sequences = drawn.shape[0]
    for (const name of ["ids", "sources", "positions", "sequences", "wanted", "lanes", "top_k"]) {
      this.arrays[name] = new Uint32Array(most)
    }
    for (const name of ["temperature", "top_p", "min_p", "uniform"]) this.arrays[name] = new Float32Array(most)
    for (const group of store.groups.keys()) {
      this.arrays[`slots ${group}`] = new Uint32Array(most)
      this.arrays[`tables ${group}`] = new Uint32Array(most_sequences * store.max_pages)
    }
  }

  clear(): void {
    this.rows = 0
    this.sequences = 0
    this.adjustments = 0
    this.wanted.length = 0
  }

  /** Adds `count` rows of a sequence, from position `start` on, whose slots it has. */
  add(sequence: KvSequence, start: number, count: number, source: RowIds): void {
    const { arrays, rows } = this
    const { store } = this.states
    for (let i = 0; i < count; i++) {
      arrays.ids[rows + i] = "ids" in source ? source.ids[i] : 0
      arrays.sources[rows + i] = "ids" in source ? NO_INDEX : source.lane
      arrays.positions[rows + i] = start + i
      arrays.sequences[rows + i] = this.sequences
    }
    for (const group of store.groups.keys()) {
      sequence.slots(group, start, count, arrays[`slots ${group}`] as Uint32Array, rows)
      arrays[`tables ${group}`].set(sequence.table(group), this.sequences * store.max_pages)
    }
    this.sequences++
    this.rows += count
  }

  /** Wants something of a row, the one added last unless said. @returns its place among the wanted rows */
  want(row: WantedRow, at_row = this.rows - 1): number {
    const { arrays } = this
    const at = this.wanted.push(row) - 1
    const { temperature, top_k, top_p, min_p, uniform } = row.choices ?? GREEDY
    arrays.wanted[at] = at_row
    arrays.lanes[at] = row.choices ? row.lane : NO_INDEX
    arrays.temperature[at] = temperature
    arrays.top_k[at] = top_k
    arrays.top_p[at] = top_p
    arrays.min_p[at] = min_p
    // In float32 a number just below 1 must not become 1.
    arrays.uniform[at] = Math.min(uniform, 1 - 2 ** -24)
    return at
  }

  /** What the wanted rows need together; null where nothing is drawn on the device. */
  get draws(): Draws | null {
    const choices = this.wanted.flatMap(({ choices }) => choices ?? [])
    if (choices.length === 0) return null
    if (choices.some(({ constraint }) => constraint)) return "constrained"
    return choices.every(({ temperature }) => temperature === 0) ? "greedy" : "sample"
  }

  get logits(): boolean {
    return this.wanted.some(({ logits }) => logits)
  }

  /** What to feed to a program with these inputs. */
  inputs(specs: InputSpecs): Record<string, HostArray> {
    if ("mask" in specs) this.constrain()
    return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, this.cut(name, spec.shape[1])]))
  }

  private cut(name: string, width: unknown): HostArray {
    const perRow = typeof width === "number" ? width : 1
    return this.arrays[name].subarray(0, this.lengthOf(name) * perRow)
  }

  private lengthOf(name: string): number {
    if (name.startsWith("tables")) return this.sequences
    if (["ids", "sources", "positions", "sequences"].includes(name) || name.startsWith("slots")) return this.rows
    return ADJUSTED.includes(name) ? this.adjustments : this.wanted.length
  }

  /** Writes the rows' constraints. A program takes one adjustment at least. */
  private constrain(): void {
    const { arrays, wanted } = this
    const words = Math.ceil(this.vocab_size / 32)
    if (!arrays.bias) {
      const most = ROW_ADJUSTMENTS * this.states.drawn.shape[0]
      for (const name of ADJUSTED) {
        arrays[name] = new (name.startsWith("adjusted") ? Uint32Array : Float32Array)(most)
      }
    }
    if (!arrays.mask || arrays.mask.length < wanted.length * words) {
      arrays.mask = new Uint32Array(wanted.length * words)
    }
    for (const [row, { choices }] of wanted.entries()) {
      const { mask, adjustments = [] } = choices?.constraint ?? {}
      const allowed = arrays.mask.subarray(row * words, (row + 1) * words)
      if (mask) allowed.set(mask)
      else allowed.fill(0xffffffff)
      for (const adjustment of adjustments) this.adjust(row, adjustment)
    }
    if (this.adjustments === 0) this.adjust(NO_INDEX, { id: 0, bias: 0, factor: 1, shift: 0 })
  }

  private adjust(row: number, { id, bias, factor, shift }: Adjustment): void {
    const { arrays } = this
    const at = this.adjustments++
    arrays["adjusted rows"][at] = row
    arrays["adjusted ids"][at] = id
    arrays.bias[at] = bias
    arrays.factor[at] = factor
    arrays.shift[at] = shift
  }
}

const ADJUSTED = ["adjusted rows", "adjusted ids", "bias", "factor", "shift"]
