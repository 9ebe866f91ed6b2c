import { vi } from "vitest"

/** A device that has no memory for a buffer: like one that refuses it, and whatever is done with the invalid buffer. */
export interface LimitedDevice {
  /** Buffers asked for, the refused one included. */
  readonly asked: number
  /** Errors that no scope caught. */
  readonly uncaptured: number
  restore(): void
}

/**
 * Makes a real device run out of memory.
 *
 * @param granted how many buffers it still grants
 */
export function limitDevice(device: GPUDevice, granted: number): LimitedDevice {
  const scopes: { readonly filter: GPUErrorFilter; error: GPUError | null }[] = []
  const real = {
    createBuffer: device.createBuffer.bind(device),
    push: device.pushErrorScope.bind(device),
    pop: device.popErrorScope.bind(device),
  }
  let [asked, uncaptured] = [0, 0]
  const count = () => uncaptured++
  device.addEventListener("uncapturederror", count)
  const spies = [
    vi.spyOn(device, "pushErrorScope").mockImplementation((filter) => {
      scopes.push({ filter, error: null })
      return real.push(filter)
    }),
    vi.spyOn(device, "popErrorScope").mockImplementation(async () => {
      const scope = scopes.pop()
      const error = await real.pop()
      return scope?.error ?? error
    }),
    vi.spyOn(device, "createBuffer").mockImplementation((descriptor) => {
      if (++asked <= granted) return real.createBuffer(descriptor)
      const scope = scopes.findLast(({ filter }) => filter === "out-of-memory")
      if (scope) scope.error = { message: "Allocation failed" }
      else uncaptured++
      real.push("validation")
      const invalid = real.createBuffer({ ...descriptor, size: 2 ** 50 })
      void real.pop()
      return invalid
    }),
  ]
  return {
    get asked() {
      return asked
    },
    get uncaptured() {
      return uncaptured
    },
    restore: () => {
      for (const spy of spies) spy.mockRestore()
      device.removeEventListener("uncapturederror", count)
    },
  }
}
