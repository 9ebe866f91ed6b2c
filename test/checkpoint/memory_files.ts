import type { ByteSink, WritableDirectory } from "../../src/checkpoint/byte_sink.js"
import type { Directory } from "../../src/checkpoint/byte_source.js"
import { memoryDirectory } from "../../src/checkpoint/memory_directory.js"
import { type TensorToWrite, writeSafetensors } from "../../src/checkpoint/safetensors_writer.js"
import type { DType } from "../../src/tensor/dtype.js"
import type { Shape } from "../../src/tensor/shape.js"

/** A tensor with these bytes. */
export function tensorOf(name: string, bytes: Uint8Array, dtype: DType = "uint8", shape?: Shape): TensorToWrite {
  const read = async (offset: number, into: Uint8Array) => into.set(bytes.subarray(offset, offset + into.length))
  return { name, dtype, shape: shape ?? [bytes.length], read }
}

/** A folder in memory that can be written to. */
export function memoryFolder(): Directory & WritableDirectory & { readonly files: Map<string, Uint8Array> } {
  const files = new Map<string, Uint8Array>()
  const create = async (name: string): Promise<ByteSink> => {
    let file = new Uint8Array(0)
    return {
      name,
      async write(offset, bytes) {
        const grown = new Uint8Array(Math.max(file.length, offset + bytes.length))
        grown.set(file)
        grown.set(bytes, offset)
        file = grown
      },
      commit: async () => void files.set(name, file),
      abort: async () => {},
    }
  }
  return { ...memoryDirectory(files), files, create }
}

/** A safetensors file in memory. */
export async function safetensorsFile(tensors: readonly TensorToWrite[]): Promise<Uint8Array> {
  const folder = memoryFolder()
  await writeSafetensors(folder, "file", tensors)
  return folder.files.get("file")!
}

/** Text as UTF-8, anything else as JSON. */
export function textFile(value: unknown): Uint8Array {
  return new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value))
}
