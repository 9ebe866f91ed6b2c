import { constant, state } from "../graph/build.js"
import { GraphError } from "../ir/graph_error.js"
import type { Dims } from "../ir/dim.js"
import type { Value } from "../ir/value.js"
import type { DType } from "../tensor/dtype.js"
import type { Shape } from "../tensor/shape.js"
import { Storage } from "../tensor/storage.js"

/** The element types JavaScript has arrays for. */
export type HostTypedArray =
  | Float32Array
  | Float64Array
  | Uint32Array
  | Int32Array
  | Uint16Array
  | Int16Array
  | Uint8Array
  | Int8Array

type HostDType = "float32" | "float64" | "uint32" | "int32" | "uint16" | "int16" | "uint8" | "int8"

const HOST_ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  uint32: Uint32Array,
  int32: Int32Array,
  uint16: Uint16Array,
  int16: Int16Array,
  uint8: Uint8Array,
  int8: Int8Array,
} as const satisfies Record<HostDType, unknown>

/**
 * A lazy array: a shape, a dtype and a promise of a value. Operations on it record graph nodes; nothing is computed
 * until `mx.evaluate`, or until a function compiled by `mx.compile` is replayed. An array has no home: see `Storage`.
 */
export class MxArray {
  /** @param value the value of the graph that this array is; after `mx.eval`, the constant it evaluated to */
  constructor(public value: Value) {}

  /** An array whose bytes are (or will be read) in a storage: weights, for instance. */
  static of(storage: Storage): MxArray {
    return new MxArray(constant(storage))
  }

  /** What a state holds when a step starts: see `mx.put` and `mx.fast.kvAppend`. */
  static stateOf(storage: Storage): MxArray {
    return new MxArray(state(storage))
  }

  /** An array holding a copy of host values. @throws GraphError when the shape does not have `data.length` elements */
  static from(data: HostTypedArray, shape: Shape = [data.length]): MxArray {
    const dtype = (Object.keys(HOST_ARRAYS) as HostDType[]).find((name) => data instanceof HOST_ARRAYS[name])!
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    const storage = new Storage("array", dtype, shape, {
      read: async (offset, into) => into.set(bytes.subarray(offset, offset + into.byteLength)),
    })
    if (storage.byteLength !== bytes.byteLength) {
      throw new GraphError(`array: ${data.length} values do not fill shape [${shape.join(", ")}]`)
    }
    return MxArray.of(storage)
  }

  get shape(): Dims {
    return this.value.shape
  }

  get dtype(): DType {
    return this.value.dtype
  }

  /** The storage of an evaluated array or leaf. @throws GraphError before evaluation */
  get storage(): Storage {
    const { op } = this.value.node
    if (op.kind === "constant" || op.kind === "state") return op.storage
    throw new GraphError(`${op.kind} has no value yet: call mx.evaluate first`)
  }

  /**
   * The values, copied to the host, row-major.
   * @throws GraphError before evaluation, and for dtypes JavaScript lacks (cast with mx.astype first)
   */
  async data(): Promise<HostTypedArray> {
    const { storage } = this
    if (!(storage.dtype in HOST_ARRAYS)) {
      throw new GraphError(`${storage.dtype} has no JavaScript array: cast with mx.astype(x, "float32") first`)
    }
    const bytes = new Uint8Array(storage.byteLength)
    await storage.read(0, bytes)
    return new HOST_ARRAYS[storage.dtype as HostDType](bytes.buffer)
  }
}
