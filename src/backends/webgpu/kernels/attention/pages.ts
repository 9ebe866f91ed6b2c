import { ofRows } from "../../bindable.js"
import { type Accessor, type Param, reads, type View } from "../../dispatch.js"
import type { Attention } from "./problem.js"

/** The views that tell which keys a row sees, and where they lie. */
export function pageViews({ positions, sequences, tables }: Attention) {
  return {
    positions: reads(positions, "u32"),
    sequences: reads(sequences, "u32"),
    tables: reads(tables, "u32"),
  } satisfies Record<string, View>
}

/** The parameters that {@link pages} needs, and the number of rows. */
export function pageParams({ output, tables, window }: Attention): Record<string, Param> {
  return { rows: ofRows(output, (rows) => rows), pages: tables.shape[1], window: window ?? 0xffffffff }
}

/** WGSL for `first_visible(position)`, the first position that a row sees, and `slot_of(sequence, position)`. */
export function pages({ pageSize }: Attention, { tables }: { readonly tables: Accessor }): string {
  const page = tables.at(`sequence * params.pages + position / ${pageSize}u`)
  return /* wgsl */ `
fn first_visible(position: u32) -> u32 { return position + 1u - min(position + 1u, params.window); }
fn slot_of(sequence: u32, position: u32) -> u32 { return ${page} * ${pageSize}u + position % ${pageSize}u; }`
}
