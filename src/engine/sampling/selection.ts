/**
 * Partial selection over a vector of logits: a full sort of 200,000 entries per token would cost more than a small model's
 * forward pass. Order throughout: larger value first, lower id first among equals.
 */

/** True when `a` comes before `b`. */
function before(values: Float32Array, a: number, b: number): boolean {
  return values[a] > values[b] || (values[a] === values[b] && a < b)
}

/** Index of the largest value, the lowest index among equals; -1 when a value is NaN or all are -Infinity. */
export function argmax(values: Float32Array): number {
  let best = -1
  let largest = Number.NEGATIVE_INFINITY
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    const value = values[i]
    // 0 * NaN and 0 * Infinity are NaN; -Infinity is how a token is forbidden, and passes.
    sum += value === Number.NEGATIVE_INFINITY ? 0 : value * 0
    if (value > largest) {
      largest = value
      best = i
    }
  }
  return sum === 0 ? best : -1
}

/**
 * Writes the ids of the `k` first values, in order, to the front of `out`.
 * A bounded heap: O(n) for the values that do not enter, which are nearly all.
 *
 * @returns how many were written: min(k, values.length)
 */
export function topK(values: Float32Array, k: number, out: Uint32Array): number {
  const size = Math.min(k, values.length)
  for (let i = 0; i < size; i++) {
    // Sift up; the root is the last of the kept ones in order.
    let at = i
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!before(values, out[parent], i)) break
      out[at] = out[parent]
      at = parent
    }
    out[at] = i
  }
  if (size === 0) return 0
  for (let i = size; i < values.length; i++) {
    if (values[i] > values[out[0]]) siftDown(values, out, size, i)
  }
  for (let end = size - 1; end > 0; end--) {
    const last = out[0]
    siftDown(values, out, end, out[end])
    out[end] = last
  }
  return size
}

/** Replaces the root of the heap `out[0..size)` by `id` and restores the heap. */
function siftDown(values: Float32Array, out: Uint32Array, size: number, id: number): void {
  let at = 0
  for (;;) {
    let child = 2 * at + 1
    if (child >= size) break
    if (child + 1 < size && before(values, out[child], out[child + 1])) child++
    if (!before(values, id, out[child])) break
    out[at] = out[child]
    at = child
  }
  out[at] = id
}

/**
 * Finds the last id of the shortest ordered prefix of `ids[0..count)` whose masses reach `target`: quickselect by mass,
 * O(count) on average. Reorders `ids`.
 *
 * @param mass by id, not by position
 */
export function massCut(
  values: Float32Array,
  mass: Float64Array,
  ids: Uint32Array,
  count: number,
  target: number,
): number {
  let from = 0
  let to = count
  let reached = 0
  while (to - from > 1) {
    const pivot = medianOfThree(values, ids[from], ids[(from + to) >> 1], ids[to - 1])
    let front = from
    let frontMass = 0
    let pivotAt = from
    for (let i = from; i < to; i++) {
      const id = ids[i]
      if (id === pivot) pivotAt = i
      if (!before(values, id, pivot)) continue
      if (pivotAt === front) pivotAt = i
      ids[i] = ids[front]
      ids[front++] = id
      frontMass += mass[id]
    }
    // Now ids[from..front) come before the pivot, and the pivot goes to ids[front].
    ids[pivotAt] = ids[front]
    ids[front] = pivot
    if (reached + frontMass >= target && front > from) {
      to = front
    } else if (reached + frontMass + mass[pivot] >= target || front + 1 === to) {
      return pivot
    } else {
      reached += frontMass + mass[pivot]
      from = front + 1
    }
  }
  return ids[from]
}

function medianOfThree(values: Float32Array, a: number, b: number, c: number): number {
  const first = before(values, a, b) ? a : b
  const second = before(values, a, b) ? b : a
  if (before(values, c, first)) return first
  return before(values, c, second) ? c : second
}
