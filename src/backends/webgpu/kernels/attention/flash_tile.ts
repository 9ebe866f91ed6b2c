/** A tile of queries (rows of some heads that share keys) against a tile of keys. */
export interface FlashTile {
  readonly queries: number
  readonly keys: number
  readonly threads: number
}

/** The arithmetic of a tile, in float32 by threads or in float16 by subgroup matrices. WGSL throughout. */
export interface FlashMath {
  readonly tile: FlashTile
  readonly enable: readonly ("f16" | "subgroups" | "chromium_experimental_subgroup_matrix")[]
  readonly builtins: string
  readonly declarations: string
  /** Statements before the loop over keys. */
  readonly start: string
  /** Puts 4 float32 (a vec4f) or a unit of float16 of row `r`, elements `d` on, where queries, keys or values lie. */
  put(what: "query" | "key" | "value", half: boolean, unit: string, r: string, d: string): string
  /** Whether values lie beside keys, so that both can be staged at once. */
  readonly together: boolean
  /** Scores of the tile into {@link score}. */
  readonly scores: string
  /** An lvalue: row `r`, key `c`. */
  score(r: string, c: string): string
  /** Stores a weight. */
  weight(r: string, c: string, value: string): string
  /** Sums times `factors[r]` plus weights times values. */
  readonly accumulate: string
  /** Calls `store` for each sum of row `r`, element `d`: times `factors[r]`. */
  finish(store: (r: string, d: string, value: string) => string): string
}

/** Workgroup memory for what a tile keeps about its rows and keys: a word a thread and a key; a factor, range and sequence a row. */
export function heldBytes({ queries, keys, threads }: FlashTile): number {
  return 4 * (threads + keys + 4 * queries + 4)
}
