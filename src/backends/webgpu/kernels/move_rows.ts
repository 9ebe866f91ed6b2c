import { NO_INDEX } from "../../../ir/specs/rows.js"
import type { OperandsOf } from "../../../ir/operations.js"
import type { Operand } from "../../../ir/program.js"
import { type DType, itemSize } from "../../../tensor/dtype.js"
import { sizeOf } from "../../../tensor/shape.js"
import { derive, ofElements, ofRows } from "../bindable.js"
import { type Accessor, type Dispatch, dispatch, grid, reads, type View, workgroupIndex, writes } from "../dispatch.js"
import { BUILTINS, perThread } from "./per_thread.js"

const SIZE = 256

/** Rows are moved as they are, by these units of bits: words where they are whole words, elements otherwise. */
interface Units {
  readonly dtype: DType
  readonly bits: number
  /** In a row, and in a word. */
  readonly length: number
  readonly perWord: number
}

function unitsOf({ dtype, shape }: Operand): Units {
  const length = sizeOf(shape.slice(1))
  const size = itemSize(dtype)
  const bytes = length * size
  if (bytes % 4 === 0) return { dtype: "uint32", bits: 32, length: bytes / 4, perWord: 1 }
  return { dtype: size === 1 ? "uint8" : "uint16", bits: 8 * size, length, perWord: 4 / size }
}

/** An operand seen as rows of units. */
function inUnits(operand: Operand, { dtype, length }: Units): Operand {
  return { ...operand, dtype, shape: [operand.shape[0], length], strides: [length, 1] }
}

/** A thread per word of the result. */
export function take(
  _: unknown,
  { x, indices, otherwise }: OperandsOf<"take", Operand>,
  { y }: { y: Operand },
): Dispatch[] {
  const units = unitsOf(y)
  const { bits, length, perWord } = units
  const count = ofElements(inUnits(y, units), (n) => n)
  const words = derive(count, (n) => Math.ceil(n / perWord))
  const unit = (v: Record<string, Accessor>) => /* wgsl */ `
fn unit(i: u32) -> u32 {
  let index = ${v.indices.at("i / params.length")};
  ${v.otherwise ? `if (index == ${NO_INDEX}u) { return ${v.otherwise.load("i")}; }` : ""}
  return ${v.x.load("min(index, params.rows - 1u) * params.length + i % params.length")};
}`
  return [
    dispatch({
      label: "take",
      views: <Record<string, View>>{
        x: reads(inUnits(x, units), "u32"),
        indices: reads(indices, "u32"),
        ...(otherwise && { otherwise: reads(inUnits(otherwise, units), "u32") }),
        out: writes(y, "u32"),
      },
      params: { count, words, length, rows: ofRows(x, (rows) => rows) },
      workgroups: derive(words, (n) => grid(Math.ceil(n / SIZE))),
      code: (v) => /* wgsl */ `${unit(v)}
@compute @workgroup_size(${SIZE})
fn main(${BUILTINS}) {
  let i = ${workgroupIndex} * ${SIZE}u + lid;
  if (i >= params.words) { return; }
  ${
    perWord === 1
      ? `${v.out.at("i")} = unit(i);`
      : `
  let first = i * ${perWord}u;
  let end = min(first + ${perWord}u, params.count);
  var packed = 0u;
  for (var j = first; j < end; j++) { packed |= unit(j) << (${bits}u * (j - first)); }
  // Of a last word that is not full, what follows the result stays.
  if (end - first < ${perWord}u) { packed |= ${v.out.at("i")} & (0xffffffffu << (${bits}u * (end - first))); }
  ${v.out.at("i")} = packed;`
  }
}`,
    }),
  ]
}

/**
 * A thread per unit; where rows share words, each sets its bits atomically. Indices that the host does not know are not
 * checked: a row that is not there is left out.
 */
export function put(_: unknown, { state, x, indices }: OperandsOf<"put", Operand>): Dispatch[] {
  const units = unitsOf(state)
  const { bits, length, perWord } = units
  return [
    perThread({
      label: "put",
      views: {
        state: writes(state, perWord === 1 ? "u32" : "atomic<u32>"),
        x: reads(inUnits(x, units), "u32"),
        indices: reads(indices, "u32"),
      },
      params: { length, rows: state.shape[0] },
      n: ofElements(inUnits(x, units), (n) => n),
      body: ({ state, x, indices }) => `let index = ${indices.at("i / params.length")};
  if (index >= params.rows) { return; }
  let to = index * params.length + i % params.length;
  let unit = ${x.load("i")};
  ${
    perWord === 1
      ? `${state.at("to")} = unit;`
      : `
  let shift = ${bits}u * (to % ${perWord}u);
  atomicAnd(&${state.at(`to / ${perWord}u`)}, ~(${2 ** bits - 1}u << shift));
  atomicOr(&${state.at(`to / ${perWord}u`)}, unit << shift);`
  }`,
    }),
  ]
}
