import type { MxArray } from "../array/mx_array.js"
import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { CheckpointError } from "../checkpoint/errors.js"
import { formatShape } from "../tensor/shape.js"

const HEAD = "lm_head."
const EMBEDDING = "model.embed_tokens."

/** Compared at a time. */
const PIECE_BYTES = 16 << 20

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
  if (a.dtype !== b.dtype || formatShape(a.storage.shape) !== formatShape(b.storage.shape)) {
    return `${a.dtype} ${formatShape(a.storage.shape)}, while the embedding is ${b.dtype} ${formatShape(b.storage.shape)}`
  }
  const total = a.storage.byteLength
  const left = new Uint8Array(Math.min(PIECE_BYTES, total))
  const right = new Uint8Array(left.length)
  for (let at = 0; at < total; at += left.length) {
    const length = Math.min(left.length, total - at)
    const [x, y] = [left.subarray(0, length), right.subarray(0, length)]
    await Promise.all([checkpoint.read(a.storage.name, at, x), checkpoint.read(b.storage.name, at, y)])
    const differs = x.findIndex((byte, i) => byte !== y[i])
    if (differs >= 0) return `other bytes from byte ${at + differs} of the tensor on`
  }
  return undefined
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
