import type { Sym } from "../ir/dim.js"
import type { ProgramBuffer } from "../ir/program.js"
import { itemSize } from "../tensor/dtype.js"
import { BackendError, type HostArray } from "./backend.js"

const HOST_ARRAYS = { float32: Float32Array, uint32: Uint32Array, int32: Int32Array, uint8: Uint8Array }

export type InputBuffer = Extract<ProgramBuffer, { kind: "input" }>

/** How many rows each symbol of a program stands for in a replay. */
export type Rows = ReadonlyMap<Sym, number>

function describe(values: HostArray | undefined): string {
  if (!values) return "nothing"
  const [dtype] = Object.entries(HOST_ARRAYS).find(([, array]) => values instanceof array) ?? [values.constructor.name]
  return `${dtype} of ${values.length}`
}

/** The bytes to feed to an input. @throws BackendError naming the input, what it takes and what was given */
export function inputBytes(buffer: InputBuffer, values: HostArray | undefined): Uint8Array {
  const { name, dtype, byteLength, rows } = buffer
  const length = byteLength / itemSize(dtype)
  const isOfDType = values !== undefined && values instanceof HOST_ARRAYS[dtype as keyof typeof HOST_ARRAYS]
  const perRow = rows ? length / rows.max : length
  const isOfLength = rows
    ? values && values.length > 0 && values.length <= length && values.length % perRow === 0
    : values?.length === length
  if (!values || !isOfDType || !isOfLength) {
    const multiple = perRow === 1 ? "" : `, a multiple of ${perRow}`
    const expected = rows ? `${dtype} of ${perRow} to ${length}${multiple}` : `${dtype} of ${length}`
    throw new BackendError(`input ${name}: expected ${expected}, found ${describe(values)}`)
  }
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

/** Of programs whose inputs tell no rows. */
const NO_ROWS: Rows = new Map()

/**
 * The rows that a program's symbols stand for, as the lengths of its inputs tell.
 *
 * @throws BackendError as `inputBytes`, and when two inputs tell different numbers
 */
export function rowsOf(
  fed: readonly { readonly buffer: InputBuffer }[],
  inputs: Readonly<Record<string, HostArray>>,
): Rows {
  let found: Map<Sym, number> | undefined
  for (const { buffer } of fed) {
    const { rows: sym, byteLength, name } = buffer
    if (!sym) continue
    const rows = (inputBytes(buffer, inputs[name]).byteLength * sym.max) / byteLength
    const told = found?.get(sym)
    if (told !== undefined && told !== rows) {
      const other = fed.find(({ buffer }) => buffer.rows === sym)!.buffer
      throw new BackendError(`input ${name} has ${rows} ${sym.name}, expected ${told} as input ${other.name} has`)
    }
    found = (found ?? new Map<Sym, number>()).set(sym, rows)
  }
  return found ?? NO_ROWS
}

/** Whether two replays have the same numbers of rows. */
export function sameRows(a: Rows, b: Rows): boolean {
  if (a.size !== b.size) return false
  for (const [sym, rows] of a) if (b.get(sym) !== rows) return false
  return true
}
