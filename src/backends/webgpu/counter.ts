import type { Storage } from "../../tensor/storage.js"
import { BackendError, type MemoryCounter } from "../backend.js"
import type { Program } from "../../ir/program.js"
import { allocateBlocks } from "./blocks.js"
import { type GpuBlock, type BufferDevice, Buffers, bytesTaken } from "./buffers.js"
import type { GpuFeatures } from "./features.js"
import { layOut } from "./layout.js"
import { stagingSizesOf } from "./uploads.js"
import { Workspace } from "./workspace.js"

/** Grants every buffer and makes none. */
export const GRANTING: BufferDevice = {
  createBuffer: ({ label = "", size, usage }) => ({ label, size, usage, destroy() {} }) as unknown as GPUBuffer,
  pushErrorScope: () => undefined,
  popErrorScope: async () => null,
}

/** Does all that allocates memory as `GpuMemory` and `layOut` do it, on buffers that take none. */
export class GpuCounter implements MemoryCounter {
  private readonly buffers: Buffers
  private readonly workspace: Workspace
  private readonly blocks = new Map<Storage, GpuBlock>()
  private readonly loaded: { readonly storage: Storage; readonly block: GpuBlock }[] = []

  constructor(
    private readonly features: GpuFeatures,
    description: string,
  ) {
    // What no buffer holds is for the reader of the count to refuse.
    this.buffers = new Buffers(GRANTING, description, Number.POSITIVE_INFINITY)
    this.workspace = new Workspace(this.buffers)
  }

  storages(storages: Iterable<Storage>): Promise<number> {
    return this.added(async () => {
      const missing = [...new Set(storages)].filter((storage) => !this.blocks.has(storage))
      // As they are before anything is loaded: a memory that holds them already is not asked.
      const newcomers = missing.map((storage) => ({ storage, isLoaded: !storage.isZero && !storage.extended }))
      const blocks = await allocateBlocks(newcomers, this.buffers, this.features)
      for (const [i, { storage, isLoaded }] of newcomers.entries()) {
        this.blocks.set(storage, blocks[i])
        if (isLoaded) this.loaded.push({ storage, block: blocks[i] })
      }
    })
  }

  program(program: Program): Promise<number> {
    const { buffers, workspace } = this
    const blockOf = (storage: Storage) => {
      const block = this.blocks.get(storage)
      if (!block) throw new BackendError(`${storage.name} was not counted`)
      return block
    }
    return this.added(async () => void (await layOut(program, { buffers, workspace, blockOf }, this.features)))
  }

  get staging(): number {
    return stagingSizesOf(this.loaded).reduce((sum, size) => sum + bytesTaken(size), 0)
  }

  private async added(allocate: () => Promise<void>): Promise<number> {
    const before = this.buffers.bytes
    await allocate()
    return this.buffers.bytes - before
  }
}
