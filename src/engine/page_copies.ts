import * as mx from "../array/mx.js"
import { MxArray } from "../array/mx_array.js"
import { type CompiledFunction, compile, type InputSpecs } from "../array/transforms.js"
import type { Backend } from "../backends/backend.js"
import type { KvStore } from "../cache/kv_store.js"
import type { PageCopy } from "../cache/page_pool.js"

/** Pages copied by one replay. */
const MOST_PAGES = 16

/** Copies pages on the device, of all layers at once: what copy on write costs. */
export class PageCopies {
  private program: Promise<CompiledFunction<InputSpecs>> | null = null

  constructor(
    private readonly store: KvStore,
    private readonly backend: Backend,
  ) {}

  /** Copies pages in order, after what was submitted before. */
  async run(copies: readonly PageCopy[]): Promise<void> {
    const { page_size } = this.store
    for (let start = 0; start < copies.length; start += MOST_PAGES) {
      const some = copies.slice(start, start + MOST_PAGES)
      const slots = (page: (copy: PageCopy) => number) =>
        Uint32Array.from({ length: some.length * page_size }, (_, i) => {
          return page(some[Math.floor(i / page_size)]) * page_size + (i % page_size)
        })
      this.program ??= this.compile()
      const program = await this.program
      await program.replay({ from: slots(({ from }) => from), to: slots(({ to }) => to) })
    }
  }

  async dispose(): Promise<void> {
    ;(await this.program)?.dispose()
  }

  private compile(): Promise<CompiledFunction<InputSpecs>> {
    const rows = { name: "copied slots", max: MOST_PAGES * this.store.page_size }
    const slots = { shape: [rows], dtype: "uint32" } as const
    const inputs: InputSpecs = { from: slots, to: slots }
    const copyAll = ({ from, to }: Readonly<Record<string, MxArray>>) => {
      const effects = this.store.storages.map((storage) => {
        return mx.put(storage, mx.take(MxArray.stateOf(storage), from), to)
      })
      return { outputs: [], effects }
    }
    return compile(inputs, copyAll, { device: this.backend })
  }
}
