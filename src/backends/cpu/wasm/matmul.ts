import { gluInto } from "./glu"
import { add, aim, allocate, begin, BLOCK, clear, count, multiplyRange, select, targets, TILE } from "./products"
import { NONE } from "./rows"
import { blockRows, take } from "./share"
import { decodeRow, Weight } from "./weight"

// Threads take blocks of rows from `counter`, which starts at zero. A row's results do not depend on who computes it.

/** out[L, N] = x[L, K] W^T (+ bias) (+ residual[L, N], unless its address is 0). */
export function matmul(
  x: usize, rows: u32, weight: Weight, N: u32, residual: usize, out: usize, quantized: usize, counter: usize,
  scratch: usize, part: u32, parts: u32
): void {
  begin(x, rows, rows, weight, quantized, scratch)
  for (let row: u32 = 0; row < rows; row++) add(row, out + (row * N << 2))
  const block = blockRows(N, TILE, parts)
  for (let from = take(counter, block); from < N; from = take(counter, block)) {
    const to = min(N, from + block)
    multiplyRange(0, from, to, 0)
    if (residual != 0) addColumns(out, residual, rows, N, from, to)
  }
}

function addColumns(out: usize, residual: usize, rows: u32, N: u32, from: u32, to: u32): void {
  for (let row: u32 = 0; row < rows; row++) {
    for (let n = from; n < to; n++) {
      const at = (row * N + n) << 2
      store<f32>(out + at, load<f32>(out + at) + load<f32>(residual + at))
    }
  }
}

/** Lists the products of one expert: all pairs (token, slot) whose id it is. */
function listExpert(ids: usize, pairs: u32, slots: u32, perSlot: bool, expert: u32, out: usize, N: u32): void {
  clear()
  for (let pair: u32 = 0; pair < pairs; pair++) {
    if (load<u32>(ids + (pair << 2)) == expert) add(perSlot ? pair : pair / slots, out + (pair * N << 2))
  }
}

function checkIds(ids: usize, pairs: u32, experts: u32): void {
  for (let pair: u32 = 0; pair < pairs; pair++) if (load<u32>(ids + (pair << 2)) >= experts) unreachable()
}

/**
 * out[L, k, N] = x W[ids[L, k]]^T (+ bias): x is `[L, k, K]` if `perSlot`, else `[L, K]`. Pairs are grouped by expert,
 * so that each expert's weights are read once.
 */
export function gather_matmul(
  x: usize, rows: u32, slots: u32, perSlot: bool, ids: usize, weight: Weight, experts: u32, N: u32, out: usize,
  quantized: usize, counter: usize, scratch: usize, part: u32, parts: u32
): void {
  const pairs = rows * slots
  checkIds(ids, pairs, experts)
  begin(x, perSlot ? pairs : rows, pairs, weight, quantized, scratch)
  const block = blockRows(N, TILE, parts)
  const blocks = (N + block - 1) / block
  let passed: u32 = 0
  let next = take(counter, 1)
  for (let expert: u32 = 0; expert < experts; expert++) {
    listExpert(ids, pairs, slots, perSlot, expert, out, N)
    if (count == 0) continue
    for (; next < passed + blocks; next = take(counter, 1)) {
      const from = (next - passed) * block
      multiplyRange(expert, from, min(N, from + block), 0)
    }
    passed += blocks
  }
}

/** out[L, k, N] = glu(x Wgate[ids]^T, x Wup[ids]^T), x `[L, K]`. Both weights have the same K and format. */
export function gather_glu(
  x: usize, rows: u32, slots: u32, ids: usize, gate: Weight, up: Weight, experts: u32, N: u32, alpha: f32, cubic: f32,
  limit: f32, offset: f32, out: usize, quantized: usize, counter: usize, scratch: usize, part: u32, parts: u32
): void {
  const pairs = rows * slots
  checkIds(ids, pairs, experts)
  begin(x, rows, pairs, gate, quantized, scratch)
  const outTargets = targets
  const upTargets = allocate(pairs << 2)
  const upBytes = BLOCK << 2
  const ups = allocate(pairs * upBytes)
  for (let pair: u32 = 0; pair < pairs; pair++) store<usize>(upTargets + (pair << 2), ups + pair * upBytes)
  const block = blockRows(N, TILE, parts)
  const blocks = (N + block - 1) / block
  let passed: u32 = 0
  let next = take(counter, 1)
  for (let expert: u32 = 0; expert < experts; expert++) {
    listExpert(ids, pairs, slots, false, expert, out, N)
    if (count == 0) continue
    for (; next < passed + blocks; next = take(counter, 1)) {
      const from = (next - passed) * block
      const to = min(N, from + block)
      select(gate)
      multiplyRange(expert, from, to, 0)
      // A whole block of gate rows before as many up rows: long stretches of memory are read faster.
      select(up)
      aim(upTargets)
      multiplyRange(expert, from, to, from)
      aim(outTargets)
      for (let i: u32 = 0; i < count; i++) {
        const target = load<usize>(outTargets + (i << 2)) + (from << 2)
        gluInto(target, target, ups + i * upBytes, to - from, alpha, cubic, limit, offset)
      }
    }
    passed += blocks
  }
}

/** out[L, n] = rows `ids` of a weight, the last one for NONE. Another id beyond `vocab` traps. */
export function embedding(
  ids: usize, rows: u32, weight: Weight, vocab: u32, out: usize, part: u32, parts: u32
): void {
  for (let row = part; row < rows; row += parts) {
    const given = load<u32>(ids + (row << 2))
    const id = given == NONE ? vocab - 1 : given
    if (id >= vocab) unreachable()
    decodeRow(weight, 0, id, out + (row * weight.K << 2))
  }
}
