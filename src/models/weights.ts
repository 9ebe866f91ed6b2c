import type { Weight } from "../array/mx.js"
import { MxArray } from "../array/mx_array.js"
import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { formatDims, largest } from "../ir/dim.js"
import { CheckpointError } from "../checkpoint/errors.js"
import { inferQuantization, type QuantizationConfig } from "../checkpoint/quantization_config.js"
import type { WeightSource } from "../nn/module.js"
import { type DType, itemSize } from "../tensor/dtype.js"
import { packedRowBytes, type Quantization } from "../tensor/quantization.js"
import { formatShape, type Shape, sizeOf } from "../tensor/shape.js"
import { Storage } from "../tensor/storage.js"

const FLOATS: readonly DType[] = ["float32", "float16", "bfloat16"]
const PACKED: readonly DType[] = ["uint32", "uint8"]

/** What PyTorch's modules save besides their weights: tables that are computed from the config, and masks. */
const BUFFER = /(^|\.)(rotary_emb\.\w+|inv_freq|position_ids|masked_bias|causal_mask|attn\.bias)$/

/** Every tensor of a checkpoint as an array whose bytes are still in the file. */
export function lazyTensors(checkpoint: Checkpoint): Map<string, MxArray> {
  const arrays = new Map<string, MxArray>()
  for (const [name, { dtype, shape }] of checkpoint.tensors) {
    const read = (offset: number, into: Uint8Array) => checkpoint.read(name, offset, into)
    arrays.set(name, MxArray.of(new Storage(name, dtype, shape, { read })))
  }
  return arrays
}

/** Hands a model its tensors, checked against what the config implies, and knows which were never asked for. */
export class CheckpointWeights implements WeightSource {
  private readonly taken = new Set<string>()

  /** @param tensors by MLX's names: see `sanitizeGptOss` */
  constructor(
    private readonly checkpoint: Checkpoint,
    private readonly tensors: ReadonlyMap<string, MxArray>,
    private readonly quantization: QuantizationConfig,
  ) {}

  take(name: string, shape: Shape): MxArray {
    return this.checked(name, shape, FLOATS)
  }

  takeWeight(path: string, shape: Shape): Weight {
    if (!this.tensors.has(`${path}.scales`)) {
      return { weight: this.checked(`${path}.weight`, shape, FLOATS), quantization: null }
    }
    return this.packed(path, shape, this.quantizationOf(path, shape))
  }

  /** The config's word where it names the module, and must fit the shapes; else what the shapes say. */
  private quantizationOf(path: string, shape: Shape): Quantization {
    const weight = this.tensors.get(`${path}.weight`)
    const scales = this.tensors.get(`${path}.scales`)
    const configured = this.quantization.quantizationOf(path)
    const inferred = weight && scales ? inferQuantization(known(weight), known(scales), shape[shape.length - 1]) : null
    const isNamed = this.quantization.names(path)
    if (inferred && !isNamed) return inferred
    if (configured && (!inferred || describe(configured) === describe(inferred))) return configured
    throw new CheckpointError({
      code: "bad_quantization",
      file: "config.json",
      field: isNamed ? `quantization.${path}` : "quantization",
      problem: inferred
        ? `config.json and the stored tensors disagree about ${path}`
        : `nothing tells how ${path} is quantized, though the checkpoint holds ${path}.scales`,
      expected: inferred ? `${describe(inferred)}, as the shapes of ${path}.weight and .scales say` : undefined,
      found: configured ? describe(configured) : isNamed ? "that it is not quantized" : "nothing for that module",
      advice: "take config.json from the same revision as the weights",
    })
  }

  /**
   * @throws CheckpointError if the checkpoint holds tensors that the model did not take, other than buffers and empty ones: it
   * is not the model config.json says
   */
  finish(): void {
    const isNeedless = (name: string, array: MxArray) => BUFFER.test(name) || sizeOf(known(array).shape) === 0
    const unused = [...this.tensors]
      .filter(([name, array]) => !this.taken.has(name) && !isNeedless(name, array))
      .map(([name]) => name)
    if (unused.length === 0) return
    throw new CheckpointError({
      code: "unexpected_tensor",
      file: this.fileOf(unused[0]),
      tensor: unused[0],
      expected: "only tensors of the model that config.json describes",
      found: `${unused.length} more, such as ${unused.slice(0, 3).join(", ")}`,
      advice: "check that config.json and the weights are of the same model",
    })
  }

  private packed(path: string, shape: Shape, quantization: Quantization): Weight {
    const rows = shape.slice(0, -1)
    const K = shape[shape.length - 1]
    const { group_size } = quantization
    const groups = [...rows, Math.ceil(K / group_size)]
    const name = `${path}.weight`
    const words = packedRowBytes(quantization, K) / itemSize(this.tensors.get(name)?.dtype ?? "uint32")
    const weight = this.checked(name, [...rows, words], PACKED)
    if (quantization.mode !== "affine") {
      return { weight, scales: this.checked(`${path}.scales`, groups, ["uint8"]), quantization }
    }
    const scales = this.checked(`${path}.scales`, groups, FLOATS)
    return { weight, scales, biases: this.checked(`${path}.biases`, groups, FLOATS), quantization }
  }

  private checked(name: string, shape: Shape, dtypes: readonly DType[]): MxArray {
    const array = this.tensors.get(name)
    if (!array) throw this.checkpoint.missingTensor(name, this.tensors.keys())
    const sameShape = array.shape.length === shape.length && array.shape.every((dim, axis) => dim === shape[axis])
    if (!sameShape || !dtypes.includes(array.dtype)) {
      throw new CheckpointError({
        code: "wrong_shape",
        file: this.fileOf(name),
        tensor: name,
        expected: `${dtypes.join(" or ")} ${formatShape(shape)}`,
        found: `${array.dtype} ${formatDims(array.shape)}`,
        advice: "config.json and the weights must be of the same model",
      })
    }
    this.taken.add(name)
    return array
  }

  private fileOf(name: string): string {
    return this.checkpoint.tensors.get(name)?.file ?? "the checkpoint"
  }
}

function describe({ mode, bits, group_size }: Quantization): string {
  return `${mode} ${bits}-bit in groups of ${group_size}`
}

/** Of weights every dimension is known. */
function known({ dtype, shape }: MxArray): { dtype: DType; shape: Shape } {
  return { dtype, shape: largest(shape) }
}
