import { expect, it } from "vitest"
import { apply, constant, copy, input, slice, state } from "../graph/build.js"
import type { Value } from "../graph/ir.js"
import { lower } from "../graph/lower.js"
import type { DType } from "../tensor/dtype.js"
import { itemSize } from "../tensor/dtype.js"
import { encodeFloats } from "../tensor/floats.js"
import { packedRowBytes, type Quantization } from "../tensor/quantization.js"
import { type Shape, sizeOf } from "../tensor/shape.js"
import { Storage } from "../tensor/storage.js"
import type { Backend, HostArray } from "./backend.js"
import type { BinaryFn, KernelKind, ReduceFn, UnaryFn, WeightFormat } from "./ops.js"
import { ReferenceBackend } from "./reference/backend.js"

/** Random numbers that are the same in every run. */
export class Random {
  constructor(private seed: number) {}

  /** In [0, 1). */
  uniform(): number {
    // Mulberry32.
    this.seed = (this.seed + 0x6d2b79f5) | 0
    let t = Math.imul(this.seed ^ (this.seed >>> 15), 1 | this.seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }

  below(n: number): number {
    return Math.floor(this.uniform() * n)
  }

  floats(n: number, scale = 1): Float32Array {
    return Float32Array.from({ length: n }, () => (this.uniform() * 2 - 1) * scale)
  }

  integers(n: number, below: number): Uint32Array {
    return Uint32Array.from({ length: n }, () => this.below(below))
  }

  bytes(n: number, from = 0, to = 256): Uint8Array {
    return Uint8Array.from({ length: n }, () => from + this.below(to - from))
  }
}

function stored(dtype: DType, shape: Shape, bytes: Uint8Array): Value {
  const read = async (offset: number, into: Uint8Array) => into.set(bytes.subarray(offset, offset + into.byteLength))
  return constant(new Storage("random", dtype, shape, { read }))
}

function floats(random: Random, shape: Shape, dtype: "float32" | "float16" | "bfloat16" = "float32", scale = 1): Value {
  const bytes = new Uint8Array(sizeOf(shape) * itemSize(dtype))
  encodeFloats(dtype, random.floats(sizeOf(shape), scale), bytes)
  return stored(dtype, shape, bytes)
}

function integers(random: Random, shape: Shape, below: number): Value {
  return stored("uint32", shape, new Uint8Array(random.integers(sizeOf(shape), below).buffer))
}

type FloatDType = "float32" | "float16" | "bfloat16"

/** Random weight operands of a format, `[...lead, N, K]`; scales and biases in `dtype`, or dense in it. */
function weight(random: Random, format: WeightFormat, lead: Shape, N: number, K: number, dtype: FloatDType): Value[] {
  const { quantization, bias } = format
  const tail = bias ? [floats(random, [...lead, N], dtype)] : []
  if (!quantization) return [floats(random, [...lead, N, K], dtype, K ** -0.5), ...tail]
  const rowBytes = packedRowBytes(quantization, K)
  const packed = random.bytes(sizeOf(lead) * N * rowBytes)
  const words = stored(
    "uint32",
    [...lead, N, rowBytes / 4],
    quantization.mode === "mxfp8" ? finiteE4M3(packed) : packed,
  )
  const groups = [...lead, N, K / quantization.group_size]
  if (quantization.mode === "affine") {
    const scale = 1 / 2 ** quantization.bits
    return [words, floats(random, groups, dtype, scale), floats(random, groups, dtype, 0.5), ...tail]
  }
  const scales =
    quantization.mode === "nvfp4" ? random.bytes(sizeOf(groups), 0x18, 0x38) : random.bytes(sizeOf(groups), 118, 128)
  return [words, stored("uint8", groups, scales), ...tail]
}

/** Without the two bytes that are NaN. */
function finiteE4M3(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => ((byte & 0x7f) === 0x7f ? byte & 0x80 : byte))
}

/** One program to run on both backends: its graph, and the inputs of one or more replays. */
interface Case {
  readonly name: string
  readonly outputs: Value[]
  readonly replays?: Record<string, HostArray>[]
}

const QUANTIZATIONS: Quantization[] = [
  ...([2, 3, 4, 6, 8] as const).flatMap((bits) =>
    ([32, 64, 128] as const).map((group_size) => ({ mode: "affine" as const, bits, group_size })),
  ),
  { mode: "mxfp4", bits: 4, group_size: 32 },
  { mode: "mxfp8", bits: 8, group_size: 32 },
  { mode: "nvfp4", bits: 4, group_size: 16 },
]

/** Every quantization with bfloat16 scales (as published) and one dense format per float dtype, with and without a bias. */
function formats(): [string, WeightFormat, FloatDType][] {
  const quantized = QUANTIZATIONS.map((quantization, i): [string, WeightFormat, FloatDType] => [
    `${quantization.mode} ${quantization.bits}/${quantization.group_size}`,
    { quantization, bias: i % 2 === 0 },
    (["bfloat16", "float16", "float32"] as const)[i % 3],
  ])
  const published: [string, WeightFormat, FloatDType][] = [
    ["q8 with bfloat16 scales", { quantization: { mode: "affine", bits: 8, group_size: 64 }, bias: true }, "bfloat16"],
    [
      "mxfp4 with a bfloat16 bias",
      { quantization: { mode: "mxfp4", bits: 4, group_size: 32 }, bias: true },
      "bfloat16",
    ],
  ]
  const dense = (["float32", "float16", "bfloat16"] as const).map((dtype, i): [string, WeightFormat, FloatDType] => [
    `dense ${dtype}`,
    { quantization: null, bias: i !== 1 },
    dtype,
  ])
  return [...quantized, ...published, ...dense]
}

const SHAPES: readonly Shape[] = [[1], [7], [3, 5], [17, 33], [2, 3, 130]]

type Cases = (random: Random) => Case[]

/** Cases for every kernel there is: a new kernel does not compile without some. */
const CASES: Record<KernelKind, Cases> = {
  copy: (random) => [
    ...(["float32", "float16", "bfloat16"] as const).map((dtype) => ({
      name: `${dtype} to float32`,
      outputs: [copy(floats(random, [3, 37], dtype), "float32")],
    })),
    { name: "strided", outputs: [copy(slice(floats(random, [9, 10, 6]), [1, 0, 1], [9, 10, 6], [3, 2, 2]))] },
    { name: "to bfloat16 and back", outputs: [copy(copy(floats(random, [5, 13]), "bfloat16"), "float32")] },
    {
      name: "to float16 and back",
      outputs: [copy(copy(floats(random, [5, 13], "float32", 100), "float16"), "float32")],
    },
  ],
  unary: (random) =>
    (["neg", "abs", "exp", "log", "sqrt", "rsqrt", "sigmoid", "silu"] satisfies UnaryFn[]).flatMap((fn) =>
      SHAPES.map((shape) => {
        const x = floats(random, shape, "float32", fn === "sigmoid" || fn === "silu" ? 30 : 4)
        const positive = apply({ kind: "unary", fn: "abs" }, [x])
        return {
          name: fn,
          outputs: [apply({ kind: "unary", fn }, [["log", "sqrt", "rsqrt"].includes(fn) ? positive : x])],
        }
      }),
    ),
  binary: (random) =>
    (["add", "subtract", "multiply", "divide", "maximum", "minimum"] satisfies BinaryFn[]).flatMap((fn) => {
      const op = (a: Shape, b: Shape) => [apply({ kind: "binary", fn }, [floats(random, a), floats(random, b)])]
      return [
        ...SHAPES.map((shape) => ({ name: fn, outputs: op(shape, shape) })),
        { name: `${fn}, broadcast`, outputs: [...op([5, 1, 9], [4, 1]), ...op([33], [7, 33]), ...op([1], [3, 6])] },
        {
          name: `${fn}, strided`,
          outputs: [
            apply({ kind: "binary", fn }, [
              slice(floats(random, [8, 6]), [0, 1], [8, 6], [2, 2]),
              floats(random, [4, 3]),
            ]),
          ],
        },
      ]
    }),
  reduce: (random) =>
    (["sum", "mean", "max"] satisfies ReduceFn[]).flatMap((fn) =>
      [[1], [9, 1], [4, 33], [2, 3, 515]].map((shape) => ({
        name: fn,
        outputs: [apply({ kind: "reduce", fn }, [floats(random, shape, "float32", 3)])],
      })),
    ),
  softmax: (random) =>
    [[1], [3, 4], [17, 33], [2, 515]].map((shape) => ({
      name: `[${shape}]`,
      outputs: [apply({ kind: "softmax" }, [floats(random, shape, "float32", 40)])],
    })),
  argmax: (random) =>
    [
      [1, 1],
      [3, 7],
      [2, 1030],
    ].flatMap((shape) => [
      { name: `[${shape}]`, outputs: [apply({ kind: "argmax" }, [floats(random, shape)])] },
      { name: `[${shape}], with ties`, outputs: [apply({ kind: "argmax" }, [tied(random, shape)])] },
    ]),
  top_k: (random) =>
    (
      [
        [[1, 4], 4],
        [[3, 10], 3],
        [[5, 32], 4],
        [[2, 128], 4],
        [[2, 515], 17],
      ] as [Shape, number][]
    ).flatMap(([shape, k]) => [
      { name: `${k} of [${shape}]`, outputs: [apply({ kind: "top_k", k }, [floats(random, shape)])] },
      { name: `${k} of [${shape}], with ties`, outputs: [apply({ kind: "top_k", k }, [tied(random, shape)])] },
    ]),
  take_along_axis: (random) => [
    {
      name: "[5, 33]",
      outputs: [apply({ kind: "take_along_axis" }, [floats(random, [5, 33]), integers(random, [5, 4], 33)])],
    },
  ],
  categorical: (random) =>
    [7, 515].map((n) => ({
      name: `of ${n}`,
      outputs: [
        apply({ kind: "categorical" }, [
          floats(random, [33, n], "float32", 5),
          stored("float32", [1], new Uint8Array(Float32Array.of(0.7).buffer)),
          stored("float32", [33], new Uint8Array(Float32Array.from({ length: 33 }, () => random.uniform()).buffer)),
        ]),
      ],
    })),
  embedding: (random) =>
    formats().map(([name, format, dtype]) => {
      const bare = { ...format, bias: false }
      return {
        name,
        outputs: [
          apply({ kind: "embedding", format: bare }, [
            integers(random, [9], 31),
            ...weight(random, bare, [], 31, 256, dtype),
          ]),
        ],
      }
    }),
  matmul: (random) => [
    ...formats().flatMap(([name, format, dtype]) =>
      (
        [
          [1, 5, 128],
          [3, 33, 384],
          [17, 9, 256],
          [70, 40, 128],
        ] as const
      ).map(([L, N, K]) => ({
        name: `${name}, ${L} rows, ${N}x${K}`,
        outputs: [
          apply({ kind: "matmul", format, residual: false }, [
            floats(random, [L, K]),
            ...weight(random, format, [], N, K, dtype),
          ]),
        ],
      })),
    ),
    ...(
      [
        [1, 101, 2880],
        [5, 7, 2880],
        [2, 3, 96],
        [4, 2, 32],
      ] as const
    ).map(([L, N, K]) => {
      const format: WeightFormat = { quantization: { mode: "mxfp4", bits: 4, group_size: 32 }, bias: true }
      return {
        name: `mxfp4, ${L} rows, ${N}x${K}`,
        outputs: [
          apply({ kind: "matmul", format, residual: false }, [
            floats(random, [L, K], "float32", 10),
            ...weight(random, format, [], N, K, "bfloat16"),
          ]),
        ],
      }
    }),
    ...(
      [
        [1, 12, 50],
        [6, 5, 3],
      ] as const
    ).map(([L, N, K]) => {
      const format: WeightFormat = { quantization: null, bias: false }
      return {
        name: `dense, ${L} rows, ${N}x${K}`,
        outputs: [apply({ kind: "matmul", format, residual: false }, [floats(random, [L, K]), floats(random, [N, K])])],
      }
    }),
    ...[1, 6].map((L) => {
      const format: WeightFormat = { quantization: { mode: "affine", bits: 8, group_size: 64 }, bias: true }
      const operands = [
        floats(random, [L, 192]),
        ...weight(random, format, [], 10, 192, "bfloat16"),
        floats(random, [L, 10]),
      ]
      return {
        name: `with a residual, ${L} rows`,
        outputs: [apply({ kind: "matmul", format, residual: true }, operands)],
      }
    }),
    {
      name: "every second row of a weight",
      outputs: [1, 5].map((L) => {
        const format: WeightFormat = { quantization: { mode: "affine", bits: 8, group_size: 64 }, bias: true }
        const rows = weight(random, format, [], 24, 128, "bfloat16").map((operand) => everySecond(operand, 0, 1))
        return apply({ kind: "matmul", format, residual: false }, [floats(random, [L, 128]), ...rows])
      }),
    },
    {
      name: "rows whose activations are zero, and huge ones",
      outputs: [0, 1e6].map((scale) => {
        const format: WeightFormat = { quantization: { mode: "affine", bits: 8, group_size: 64 }, bias: false }
        return apply({ kind: "matmul", format, residual: false }, [
          floats(random, [2, 128], "float32", scale),
          ...weight(random, format, [], 6, 128, "bfloat16"),
        ])
      }),
    },
  ],
  gather_matmul: (random) =>
    formats().flatMap(([name, format, dtype]) => [
      { name: `${name}, a row per token`, outputs: [1, 19].map((L) => gather(random, format, dtype, [L, 128], L)) },
      { name: `${name}, a row per slot`, outputs: [1, 19].map((L) => gather(random, format, dtype, [L, 3, 128], L)) },
    ]),
  gather_swiglu: (random) =>
    formats()
      .flatMap(([name, format, dtype]) =>
        [1, 21].map((L) => ({ name: `${name}, ${L} rows`, outputs: [gatherSwiglu(random, format, dtype, L, false)] })),
      )
      .concat(
        [1, 21].map((L) => ({
          name: `interleaved gate and up rows, ${L} rows`,
          outputs: [
            gatherSwiglu(
              random,
              { quantization: { mode: "mxfp4", bits: 4, group_size: 32 }, bias: true },
              "bfloat16",
              L,
              true,
            ),
          ],
        })),
      ),
  rms_norm: (random) =>
    (
      [
        [[1, 7], "float32"],
        [[17, 192], "bfloat16"],
        [[3, 2880], "float16"],
      ] as [Shape, FloatDType][]
    ).map(([shape, dtype]) => ({
      name: `[${shape}], weight ${dtype}`,
      outputs: [
        apply({ kind: "rms_norm", eps: 1e-5 }, [
          floats(random, shape, "float32", 5),
          floats(random, shape.slice(-1), dtype),
        ]),
      ],
    })),
  rope: (random) =>
    (
      [
        [1, 8, 64],
        [9, 3, 32],
        [5, 2, 6],
      ] as const
    ).map(([L, H, D]) => ({
      name: `[${L}, ${H}, ${D}]`,
      outputs: [
        apply({ kind: "rope", scale: 1.3466 }, [
          floats(random, [L, H, D]),
          integers(random, [L], 100_000),
          stored(
            "float32",
            [D / 2],
            new Uint8Array(Float32Array.from({ length: D / 2 }, (_, i) => 150000 ** ((-2 * i) / D)).buffer),
          ),
        ]),
      ],
    })),
  kv_append: (random) => [
    {
      name: "wrapping around a ring",
      outputs: [
        apply({ kind: "kv_append" }, [cache(10), input("x", [4, 2, 8], "float32"), input("positions", [4], "uint32")]),
      ],
      replays: Array.from({ length: 5 }, (_, step) => ({
        x: random.floats(4 * 2 * 8),
        positions: Uint32Array.from({ length: 4 }, (_, i) => step * 4 + i),
      })),
    },
  ],
  attention: (random) =>
    (
      [
        { L: 1, heads: 4, kv: 2, D: 64, capacity: 40, steps: 40, window: null, sinks: true },
        { L: 1, heads: 8, kv: 1, D: 32, capacity: 12, steps: 30, window: 8, sinks: true },
        { L: 5, heads: 4, kv: 4, D: 16, capacity: 64, steps: 6, window: null, sinks: false },
        { L: 7, heads: 6, kv: 2, D: 64, capacity: 20, steps: 9, window: 9, sinks: true },
        { L: 33, heads: 2, kv: 1, D: 8, capacity: 300, steps: 4, window: 100, sinks: true },
        { L: 3, heads: 2, kv: 1, D: 6, capacity: 9, steps: 3, window: 1, sinks: true },
      ] as const
    ).map(({ L, heads, kv, D, capacity, steps, window, sinks }) => {
      const positions = input("positions", [L], "uint32")
      const append = (name: string) =>
        apply({ kind: "kv_append" }, [cache(capacity, kv, D), input(name, [L, kv, D], "float32"), positions])
      const operands = [input("q", [L, heads, D], "float32"), append("k"), append("v"), positions]
      return {
        name: `${L} rows, ${heads}/${kv} heads of ${D}, window ${window}, capacity ${capacity}`,
        outputs: [
          apply(
            { kind: "attention", scale: D ** -0.5, window, sinks },
            sinks ? [...operands, floats(random, [heads], "bfloat16", 2)] : operands,
          ),
        ],
        replays: Array.from({ length: steps }, (_, step) => ({
          q: random.floats(L * heads * D, 4),
          k: random.floats(L * kv * D, 4),
          v: random.floats(L * kv * D),
          positions: Uint32Array.from({ length: L }, (_, i) => step * L + i),
        })),
      }
    }),
  swiglu: (random) =>
    SHAPES.map((shape) => ({
      name: `[${shape}]`,
      outputs: [
        apply({ kind: "swiglu", alpha: 1.702, limit: 7 }, [
          floats(random, shape, "float32", 12),
          floats(random, shape, "float32", 12),
        ]),
      ],
    })),
  weighted_sum: (random) =>
    (
      [
        [1, 4, 2880],
        [9, 1, 5],
        [6, 3, 33],
      ] as const
    ).map(([L, k, N]) => ({
      name: `[${L}, ${k}, ${N}]`,
      outputs: [apply({ kind: "weighted_sum" }, [floats(random, [L, k, N]), floats(random, [L, k])])],
    })),
}

/** Values of which many are equal. */
function tied(random: Random, shape: Shape): Value {
  return stored(
    "float32",
    shape,
    new Uint8Array(Float32Array.from({ length: sizeOf(shape) }, () => random.below(3)).buffer),
  )
}

function everySecond(operand: Value, axis: number, first: number): Value {
  const at = (value: number) => operand.shape.map((_, i) => (i === axis ? value : 0))
  return slice(
    operand,
    at(first),
    operand.shape,
    operand.shape.map((_, i) => (i === axis ? 2 : 1)),
  )
}

function gather(random: Random, format: WeightFormat, dtype: FloatDType, xShape: Shape, L: number): Value {
  const operands = [floats(random, xShape), integers(random, [L, 3], 5), ...weight(random, format, [5], 11, 128, dtype)]
  return apply({ kind: "gather_matmul", format }, operands)
}

function gatherSwiglu(random: Random, format: WeightFormat, dtype: FloatDType, L: number, interleaved: boolean): Value {
  const both = weight(random, format, [5], 26, 128, dtype)
  const half = (first: number) =>
    interleaved ? both.map((operand) => everySecond(operand, 1, first)) : weight(random, format, [5], 13, 128, dtype)
  const operands = [floats(random, [L, 128], "float32", 3), integers(random, [L, 3], 5), ...half(0), ...half(1)]
  return apply({ kind: "gather_swiglu", gate: format, up: format, alpha: 1.702, limit: 7 }, operands)
}

function cache(capacity: number, heads = 2, headDim = 8): Value {
  return state(new Storage("cache", "float32", [capacity, heads, headDim], null))
}

async function bytesOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(storage.byteLength)
  await storage.read(0, bytes)
  return bytes
}

/** Runs a case's replays, results poisoned before each; returns the results of each replay. */
async function run(
  { outputs, replays = [{}] }: Case,
  backend: Backend,
): Promise<{ dtype: DType; bytes: Uint8Array }[][]> {
  const program = lower(outputs)
  for (const { storage } of program.buffers.flatMap((buffer) => (buffer.kind === "storage" ? [buffer] : [])))
    storage.evict(backend)
  const executable = await backend.compile(program)
  const results: { dtype: DType; bytes: Uint8Array }[][] = []
  for (const inputs of replays) {
    for (const storage of program.results) storage.replicaIn(backend)?.view?.().fill(0xff)
    await executable.replay(inputs)
    results.push(
      await Promise.all(
        program.results.map(async (storage) => ({ dtype: storage.dtype, bytes: await bytesOf(storage) })),
      ),
    )
  }
  executable.dispose()
  for (const buffer of program.buffers) if (buffer.kind === "storage") buffer.storage.dispose()
  return results
}

function relativeError(a: Float32Array, b: Float32Array): number {
  let difference = 0
  let norm = 0
  for (let i = 0; i < b.length; i++) {
    difference += (a[i] - b[i]) ** 2
    norm += b[i] ** 2
  }
  return norm === 0 ? Math.sqrt(difference) : Math.sqrt(difference / norm)
}

/** Declares tests that hold every kernel of a backend against the reference, within the tolerance the backend states. */
export function itConforms(createBackend: () => Backend | Promise<Backend>): void {
  it.each(Object.keys(CASES) as KernelKind[])("%s", async (kind) => {
    const backend = await createBackend()
    const reference = new ReferenceBackend()
    try {
      for (const [i, testCase] of CASES[kind](new Random(kind.length)).entries()) {
        const expected = await run(testCase, reference)
        const found = await run(testCase, backend)
        const name = `${kind} ${i}: ${testCase.name}`
        for (const [step, results] of expected.entries()) {
          for (const [j, { dtype, bytes }] of results.entries()) {
            const other = found[step][j].bytes
            if (dtype === "float32") {
              const error = relativeError(new Float32Array(other.buffer), new Float32Array(bytes.buffer))
              expect(error, `${name}, replay ${step}, output ${j}`).toBeLessThanOrEqual(backend.tolerance(kind))
            } else expect(other, name).toEqual(bytes)
          }
        }
      }
    } finally {
      await backend.close()
    }
  })
}
