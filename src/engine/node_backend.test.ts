import { expect, it } from "vitest"
import { BackendError } from "../backends/backend.js"
import type { GpuProvider } from "../backends/webgpu/gpu_provider.js"
import { openBackend } from "./node_backend.js"

/** As much of an adapter as opening and closing a device takes. */
function fakeGpu(description: string, isFallbackAdapter: boolean) {
  const opened = { devices: 0, destroyed: 0 }
  const limits = new Proxy({}, { get: () => 1 << 20 })
  const device = {
    limits,
    features: new Set(["subgroups"]),
    lost: new Promise(() => {}),
    addEventListener: () => {},
    destroy: () => opened.destroyed++,
  }
  const adapter = {
    limits,
    features: device.features,
    info: { description, isFallbackAdapter, subgroupMinSize: 32, subgroupMaxSize: 32 },
    requestDevice: async () => {
      opened.devices++
      return device
    },
  }
  const provider = { requestAdapter: async () => adapter } as unknown as GpuProvider
  return { opened, openGpu: async () => provider }
}

const noAdapter = async (): Promise<GpuProvider> => ({ requestAdapter: async () => null })
const noPackage = async (): Promise<GpuProvider> => {
  throw new BackendError("no WebGPU on plan9 mips (no binary)")
}
const onOneThread = { threads: 1 } as const

it("auto takes a real GPU, and closing the backend destroys the device", async () => {
  const { opened, openGpu } = fakeGpu("NVIDIA H100", false)
  const { backend, reason } = await openBackend({}, openGpu)
  expect(backend.name).toBe("webgpu")
  expect(reason).toBe("GPU: NVIDIA H100 (subgroups)")
  await backend.close()
  expect(opened).toEqual({ devices: 1, destroyed: 1 })
})

it.each([
  ["no adapter", noAdapter, "CPU: no GPU found (WebGPU has no adapter)"],
  ["no package", noPackage, "CPU: no WebGPU on plan9 mips (no binary)"],
])("auto falls back to the CPU: %s", async (_, openGpu, expected) => {
  const { backend, reason } = await openBackend({ ...onOneThread, device: "auto" }, openGpu)
  expect(backend.name).toBe("cpu")
  expect(reason).toBe(expected)
  await backend.close()
})

it("auto leaves a software adapter alone, gpu takes it and says so", async () => {
  const { opened, openGpu } = fakeGpu("SwiftShader", true)
  const auto = await openBackend({ ...onOneThread, device: "auto" }, openGpu)
  expect(auto.backend.name).toBe("cpu")
  expect(auto.reason).toBe("CPU: no GPU found (SwiftShader is software on the CPU)")
  expect(opened).toEqual({ devices: 1, destroyed: 1 })
  await auto.backend.close()
  const gpu = await openBackend({ device: "gpu" }, openGpu)
  expect(gpu.backend.name).toBe("webgpu")
  expect(gpu.reason).toContain("software on the CPU")
  await gpu.backend.close()
})

it.each([
  ["no adapter", noAdapter],
  ["no package", noPackage],
])("gpu insists: %s", async (_, openGpu) => {
  await expect(openBackend({ device: "gpu" }, openGpu)).rejects.toThrow(/^no .*driver.*--device cpu$/)
  await expect(openBackend({ device: "gpu" }, openGpu)).rejects.toBeInstanceOf(BackendError)
})

it.each(["cpu", "reference"] as const)("%s asks for no GPU", async (device) => {
  const { backend } = await openBackend({ ...onOneThread, device }, () => {
    throw new Error("asked for a GPU")
  })
  expect(backend.name).toBe(device)
  await backend.close()
})
