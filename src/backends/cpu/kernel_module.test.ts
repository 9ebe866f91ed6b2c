import { readFile } from "node:fs/promises"
import { describe, expect, it } from "vitest"
import { compileKernels, type KernelFiles } from "./kernel_module.js"
import { loadKernels } from "./node_cpu.js"

const text = (characters: string) => [characters.length, ...new TextEncoder().encode(characters)]
const section = (id: number, ...content: number[]) => [id, content.length, ...content]

/** A module with the kernels' import, of a memory, and one of their exports: a function that returns `answer`. */
function moduleThatSays(name: string, answer: 0 | 1): Uint8Array<ArrayBuffer> {
  const memory = [2, 3, 1, 0x80, 0x80, 4]
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, 1, 0x60, 0, 1, 0x7f),
    ...section(2, 1, ...text("env"), ...text("memory"), ...memory),
    ...section(3, 1, 0),
    ...section(7, 1, ...text(name), 0, 0),
    ...section(10, 1, 4, 0, 0x41, answer, 0x0b),
  )
}

const NONE = async () => new Uint8Array(8)
const files = (fused: Uint8Array<ArrayBuffer>): KernelFiles => ({
  fused: async () => fused,
  relaxed: async () => moduleThatSays("relaxed", 1),
  baseline: async () => moduleThatSays("baseline", 1),
})

describe.each([true, false])("kernels for memory that is shared: %s", (isShared) => {
  const imports = (shared: boolean) => ({ env: { memory: new WebAssembly.Memory({ initial: 2, maximum: 2, shared }) } })

  it.each([
    ["fused where the engine's dot products are exact", moduleThatSays("dotsAreExact", 1), "dotsAreExact", true],
    ["relaxed where they are not", moduleThatSays("dotsAreExact", 0), "relaxed", true],
    ["baseline where there is no relaxed SIMD", new Uint8Array(8), "baseline", false],
  ])("are %s", async (_, fused, expected, isRelaxed) => {
    const kernels = await compileKernels(files(fused), { isShared })
    expect(kernels).toMatchObject({ isRelaxed, isShared })
    const { exports } = await WebAssembly.instantiate(kernels.module, imports(isShared))
    expect(Object.keys(exports)).toEqual([expected])
  })

  it.each(["kernels", "kernels_relaxed", "kernels_fused"])("take no other memory: %s", async (name) => {
    await loadKernels()
    const baseline = () => readFile(new URL(`./${name}.wasm`, import.meta.url))
    const { module } = await compileKernels({ fused: NONE, relaxed: NONE, baseline }, { isShared })
    await WebAssembly.instantiate(module, imports(isShared))
    await expect(WebAssembly.instantiate(module, imports(!isShared))).rejects.toThrow(WebAssembly.LinkError)
  })
})
