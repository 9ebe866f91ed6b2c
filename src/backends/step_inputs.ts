import { itemSize } from "../tensor/dtype.js"
import type { ProgramBuffer } from "../ir/program.js"
import { BackendError, type HostArray } from "./backend.js"

const HOST_ARRAYS = { float32: Float32Array, uint32: Uint32Array, int32: Int32Array, uint8: Uint8Array }

function describe(values: HostArray | undefined): string {
  if (!values) return "nothing"
  const [dtype] = Object.entries(HOST_ARRAYS).find(([, array]) => values instanceof array) ?? [values.constructor.name]
  return `${dtype} of ${values.length}`
}

/** The bytes to feed to an input. @throws BackendError naming the input, what it takes and what was given */
export function inputBytes(
  { name, dtype, byteLength }: Extract<ProgramBuffer, { kind: "input" }>,
  values: HostArray | undefined,
): Uint8Array {
  const expected = `${dtype} of ${byteLength / itemSize(dtype)}`
  const found = describe(values)
  if (!values || found !== expected) throw new BackendError(`input ${name}: expected ${expected}, found ${found}`)
  return new Uint8Array(values.buffer, values.byteOffset, byteLength)
}
