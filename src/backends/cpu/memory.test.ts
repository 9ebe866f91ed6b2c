import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { BackendError } from "../backend.js"
import { type CpuBlock, MAX_SEGMENT_BYTES, SegmentedMemory } from "./memory.js"

const MIB = 1 << 20

const overlap = (a: CpuBlock, b: CpuBlock) =>
  a.segment === b.segment && a.offset < b.offset + b.byteLength && b.offset < a.offset + a.byteLength

describe("segmented memory", () => {
  it.each([
    ["shared", true],
    ["ordinary", false],
  ])("%s, hands out zeroed, aligned blocks that never overlap, whatever was freed before", (_, isShared) => {
    const action = fc.record({ bytes: fc.integer({ min: 1, max: MIB / 2 }), isWork: fc.boolean(), frees: fc.nat() })
    fc.assert(
      fc.property(fc.array(action, { maxLength: 25 }), (actions) => {
        const memory = new SegmentedMemory(() => {}, MIB, isShared)
        const live: CpuBlock[] = []
        for (const { bytes, isWork, frees } of actions) {
          const block = isWork ? memory.allocateWorking("work", bytes) : memory.allocate("array", bytes)
          expect(block.offset % 64).toBe(0)
          for (const other of live) expect(overlap(block, other)).toBe(false)
          const view = memory.view(block, bytes)
          expect(view.every((byte) => byte === 0)).toBe(true)
          view.fill(0xff)
          live.push(block)
          if (frees % 2) for (const freed of live.splice(frees % live.length, 1)) memory.free(freed)
        }
      }),
      { numRuns: 30 },
    )
  })

  it("takes another segment when one is full, and keeps room for work beside the arrays", () => {
    const seen: WebAssembly.Memory[] = []
    const memory = new SegmentedMemory((segment) => seen.push(segment), MIB)
    const blocks = Array.from({ length: 6 }, () => memory.allocate("array", 300_000))
    expect(blocks.map(({ segment }) => segment)).toEqual([0, 0, 1, 1, 2, 2])
    expect(seen).toHaveLength(3)
    expect(memory.allocateWorking("work", MIB / 8 - 65536, 0).segment).toBe(0)
  })

  it.each([
    ["shared", true],
    ["ordinary", false],
  ])("%s, leaves views good while more is handed out", (_, isShared) => {
    const memory = new SegmentedMemory(() => {}, MAX_SEGMENT_BYTES, isShared)
    const first = memory.allocate("array", 1000)
    const view = memory.view(first, 1000)
    for (let i = 0; i < 10; i++) memory.allocate("array", 32 * MIB)
    view.fill(7)
    expect(memory.view(first, 1000).every((byte) => byte === 7)).toBe(true)
  })

  it("takes an ordinary memory as large as an array and its work need", () => {
    const seen: WebAssembly.Memory[] = []
    const memory = new SegmentedMemory((segment) => seen.push(segment), MAX_SEGMENT_BYTES, false)
    memory.allocate("array", MIB)
    const large = memory.allocate("array", 600 * MIB)
    expect(seen[large.segment].buffer.byteLength).toBeGreaterThan(680 * MIB)
    expect(seen.reduce((sum, { buffer }) => sum + buffer.byteLength, 0)).toBeLessThan(1300 * MIB)
  })

  it("says what did not fit", () => {
    const memory = new SegmentedMemory(() => {}, MIB)
    expect(() => memory.allocate("lm_head", MIB)).toThrow(BackendError)
    expect(() => memory.allocate("lm_head", MIB)).toThrow(/lm_head takes 1048576 bytes/)
    memory.allocate("array", 100)
    expect(() => memory.allocateWorking("work", MIB - 65536 * 2, 0)).toThrow(/no room for work/)
  })
})
