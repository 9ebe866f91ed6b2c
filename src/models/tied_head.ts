import type { MxArray } from "../array/mx_array.js"
import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { CheckpointError } from "../checkpoint/errors.js"
import { itemSize } from "../tensor/dtype.js"
import { decodeFloats, type FloatDType, isFloatDType } from "../tensor/floats.js"
import { formatShape, sizeOf } from "../tensor/shape.js"

const HEAD = "lm_head."
const EMBEDDING = "model.embed_tokens."

/** Elements compared at a time. */
const PIECE = 4 << 20

/**
 * The tensors of a model with `tie_word_embeddings`, less a head that repeats the embedding: some programs store it again.
 * Both are read once, in pieces, and only where there is such a head.
 *
 * @throws CheckpointError `bad_config` for a head that is another: using either would not be what the other says
 */
export async function withoutTiedHead(
  checkpoint: Checkpoint,
  tensors: ReadonlyMap<string, MxArray>,
): Promise<ReadonlyMap<string, MxArray>> {
  const kept = new Map(tensors)
  for (const [name, head] of tensors) {
    if (!name.startsWith(HEAD)) continue
    const embedding = tensors.get(EMBEDDING + name.slice(HEAD.length))
    const difference = await differenceOf(checkpoint, head, embedding)
    if (difference) throw contradiction(checkpoint, name, difference)
    kept.delete(name)
  }
  return kept
}

async function differenceOf(checkpoint: Checkpoint, a: MxArray, b: MxArray | undefined): Promise<string | undefined> {
  if (!b) return "the embedding has no such tensor"
  const comparable = a.dtype === b.dtype || (isFloatDType(a.dtype) && isFloatDType(b.dtype))
  if (!comparable || formatShape(a.storage.shape) !== formatShape(b.storage.shape)) {
    return `${a.dtype} ${formatShape(a.storage.shape)}, while the embedding is ${b.dtype} ${formatShape(b.storage.shape)}`
  }
  const size = sizeOf(a.storage.shape)
  for (let at = 0; at < size; at += PIECE) {
    const length = Math.min(PIECE, size - at)
    const [x, y] = await Promise.all([a, b].map((array) => piece(checkpoint, array, at, length)))
    // Values where the dtypes differ, bytes where they are the same.
    const [left, right] = a.dtype === b.dtype ? [x, y] : [decoded(a, x), decoded(b, y)]
    const differs = left.findIndex((value, i) => !Object.is(value, right[i]))
    if (differs >= 0)
      return `other values from element ${at + Math.floor((differs * length) / left.length)} of the tensor on`
  }
  return undefined
}

async function piece(checkpoint: Checkpoint, array: MxArray, at: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length * itemSize(array.dtype))
  await checkpoint.read(array.storage.name, at * itemSize(array.dtype), bytes)
  return bytes
}

function decoded({ dtype }: MxArray, bytes: Uint8Array): Float32Array {
  const values = new Float32Array(bytes.length / itemSize(dtype))
  decodeFloats(dtype as FloatDType, bytes, values)
  return values
}

function contradiction(checkpoint: Checkpoint, tensor: string, found: string): CheckpointError {
  return new CheckpointError({
    code: "bad_config",
    file: checkpoint.tensors.get(tensor)?.file,
    tensor,
    problem:
      "config.json says tie_word_embeddings, that the output head is the embedding, but the weights hold a head that differs from it",
    expected: `the same as ${EMBEDDING}${tensor.slice(HEAD.length)}, or no ${tensor}`,
    found,
    advice:
      'set "tie_word_embeddings" to false in config.json if the model has a head of its own, else remove lm_head from the weights',
  })
}
