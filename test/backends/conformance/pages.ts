import { input } from "../../../src/graph/build.js"
import type { Dim } from "../../../src/ir/dim.js"
import type { Value } from "../../../src/ir/value.js"

/** Which page holds which positions of which sequence. */
export interface PageLayout {
  readonly sequences: number
  readonly page_size: number
  /** Positions that each sequence may come to. */
  readonly total: number
  /** Pages that each sequence has: fewer than its positions take, where a window lets it use them again. All by default. */
  readonly kept?: number
  /** Where the pages lie: a permutation of all of them; pages of sequences in turn by default. */
  readonly order?: readonly number[]
}

/** Pages that sequences fill, as a store would hand them out. */
export class Pages {
  /** Entries of a table. */
  readonly perTable: number
  /** Rows of a cache. */
  readonly slots: number
  readonly page_size: number
  private readonly kept: number
  private readonly next: number[]
  private fed = 0

  constructor(private readonly layout: PageLayout) {
    const { sequences, page_size, total, kept } = layout
    this.page_size = page_size
    this.perTable = Math.ceil(total / page_size)
    this.kept = Math.min(kept ?? this.perTable, this.perTable)
    this.slots = this.kept * sequences * page_size
    // Each a bit further into its text than the one before.
    this.next = Array.from({ length: sequences }, (_, id) => 2 * id)
  }

  /** The inputs that name where rows go and what they see. */
  inputs(rows: Dim): { positions: Value; sequences: Value; slots: Value; tables: Value } {
    const ids = (name: string) => input(name, [rows], "uint32")
    return { positions: ids("positions"), sequences: ids("sequences"), slots: ids("slots"), tables: this.tablesInput() }
  }

  private tablesInput(): Value {
    return input("tables", [this.layout.sequences, this.perTable], "uint32")
  }

  /** What to feed for the next rows, of the sequences in turn unless said, at each one's next positions unless said. */
  feed(rows: number, ids?: readonly number[], positions?: ArrayLike<number>) {
    const { sequences: count } = this.layout
    const sequences = Uint32Array.from({ length: rows }, (_, l) => ids?.[l] ?? (this.fed + l) % count)
    const at = sequences.map((id, l) => positions?.[l] ?? this.next[id]++)
    this.fed += rows
    return { positions: at, sequences, slots: at.map((p, l) => this.slot(sequences[l], p)), tables: this.tables() }
  }

  slot(sequence: number, position: number): number {
    const { page_size } = this.layout
    return this.page(sequence, Math.floor(position / page_size)) * page_size + (position % page_size)
  }

  /** `[sequences, perTable]`: pages that are in use again hold later positions, which no row may then see. */
  tables(): Uint32Array {
    const { perTable } = this
    return Uint32Array.from({ length: this.layout.sequences * perTable }, (_, i) =>
      this.page(Math.floor(i / perTable), i % perTable),
    )
  }

  private page(sequence: number, n: number): number {
    const { sequences, order } = this.layout
    const page = (n % this.kept) * sequences + sequence
    return order ? order[page] : page
  }
}

/** Pages enough for a window while so many rows of one sequence are appended at once. */
export function pagesKept(window: number | null, rows: number, page_size: number): number | undefined {
  return window === null ? undefined : Math.ceil((window - 1 + rows) / page_size) + 1
}
