import type { DType } from "../../src/tensor/dtype.js"
import type { Shape } from "../../src/tensor/shape.js"
import type { WritableDirectory } from "../../src/checkpoint/byte_sink.js"
import { type TensorToWrite, writeSafetensors } from "../../src/checkpoint/safetensors_writer.js"

/** A tensor with these bytes. */
export function tensorOf(name: string, bytes: Uint8Array, dtype: DType = "uint8", shape?: Shape): TensorToWrite {
  const read = async (offset: number, into: Uint8Array) => into.set(bytes.subarray(offset, offset + into.length))
  return { name, dtype, shape: shape ?? [bytes.length], read }
}

/** A safetensors file in memory. */
export async function safetensorsFile(tensors: readonly TensorToWrite[]): Promise<Uint8Array> {
  let file = new Uint8Array(0)
  const directory: WritableDirectory = {
    name: "memory",
    create: async (name) => ({
      name,
      async write(offset, bytes) {
        const grown = new Uint8Array(Math.max(file.length, offset + bytes.length))
        grown.set(file)
        grown.set(bytes, offset)
        file = grown
      },
      commit: async () => {},
      abort: async () => {},
    }),
  }
  await writeSafetensors(directory, "memory", tensors)
  return file
}

/** Text as UTF-8, anything else as JSON. */
export function textFile(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))
}
