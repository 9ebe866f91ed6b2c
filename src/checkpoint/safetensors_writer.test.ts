import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { CheckpointError } from "./errors.js"
import { MemorySource } from "./memory_directory.js"
import { nodeWritableDirectory, writeNodeDirectory } from "./node_writable_directory.js"
import { readHeader } from "./safetensors.js"
import { type TensorToWrite, writeSafetensors } from "./safetensors_writer.js"

const FIXTURE = new URL("../../../test/checkpoint/fixtures/every_dtype.safetensors", import.meta.url)

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "minerva-"))
})
afterEach(() => rm(folder, { recursive: true }))

function tensorOf(name: string, bytes: Uint8Array): TensorToWrite {
  return {
    name,
    dtype: "uint8",
    shape: [bytes.length],
    read: async (offset, into) => into.set(bytes.subarray(offset, offset + into.length)),
  }
}

describe("against the safetensors package", () => {
  it("reads every dtype's place, and writes the same bytes back", async () => {
    const bytes = new Uint8Array(await readFile(FIXTURE))
    const { tensors, metadata } = await readHeader(new MemorySource("every_dtype.safetensors", bytes))
    expect(tensors.size).toBe(19)
    expect(tensors.get("scalar")).toMatchObject({ dtype: "float32", shape: [], byteLength: 4 })
    expect(tensors.get("layer.float8_e8m0fnu")).toMatchObject({ dtype: "float8_e8m0", shape: [3, 5], byteLength: 15 })
    expect(tensors.get('naïve "quoted" \u{1f600}')).toMatchObject({ dtype: "uint8", shape: [7] })
    const toWrite = [...tensors.values()].reverse().map(({ name, dtype, shape, offset }) => ({
      name,
      dtype,
      shape,
      read: async (from: number, into: Uint8Array) =>
        into.set(bytes.subarray(offset + from, offset + from + into.length)),
    }))
    await writeSafetensors(nodeWritableDirectory(folder), "copy.safetensors", toWrite, Object.fromEntries(metadata))
    expect(Buffer.compare(await readFile(join(folder, "copy.safetensors")), bytes)).toBe(0)
  })
})

describe("writing", () => {
  it("puts many pieces where they belong, whatever order they come in", async () => {
    const bytes = new Uint8Array(20_000_001)
    for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 2654435761) >>> 24
    let release = () => {}
    const another = new Promise<void>((resolve) => {
      release = resolve
    })
    const lateFirst: TensorToWrite = {
      ...tensorOf("big", bytes),
      async read(offset, into) {
        if (offset === 0) await another
        else release()
        into.set(bytes.subarray(offset, offset + into.length))
      },
    }
    let written = 0
    await writeSafetensors(nodeWritableDirectory(folder), "x.safetensors", [lateFirst], {}, (n) => {
      written += n
    })
    const file = new Uint8Array(await readFile(join(folder, "x.safetensors")))
    const { tensors } = await readHeader(new MemorySource("x", file))
    expect(written).toBe(bytes.length)
    expect(Buffer.compare(file.subarray(tensors.get("big")!.offset), bytes)).toBe(0)
  })

  it("leaves nothing behind when a tensor cannot be read, and the old file as it was", async () => {
    await writeFile(join(folder, "x.safetensors"), "old")
    const failing = { ...tensorOf("w", new Uint8Array(4)), read: () => Promise.reject(new Error("no weights")) }
    const directory = nodeWritableDirectory(folder)
    await expect(writeSafetensors(directory, "x.safetensors", [failing])).rejects.toThrow("no weights")
    expect(await readdir(folder)).toEqual(["x.safetensors"])
    expect(await readFile(join(folder, "x.safetensors"), "utf8")).toBe("old")
  })

  it.skipIf(process.platform !== "linux")("writes to a device itself, and says when there is no space", async () => {
    const write = async (name: string) => {
      // A link: were it replaced, the device itself would stay.
      await symlink(`/dev/${name}`, join(folder, name))
      await writeSafetensors(nodeWritableDirectory(folder), name, [tensorOf("w", new Uint8Array(4))])
    }
    await write("null")
    await expect(write("full")).rejects.toMatchObject({
      code: "io",
      message: expect.stringMatching(/^full: .*no space left on the device \(ENOSPC\).*free some disk space/),
    })
    expect((await readdir(folder)).sort()).toEqual(["full", "null"])
    for (const name of ["null", "full"]) expect((await stat(join(folder, name))).isCharacterDevice()).toBe(true)
  })

  it("refuses names that stand twice or are reserved", async () => {
    const directory = nodeWritableDirectory(folder)
    const one = tensorOf("w", new Uint8Array(4))
    for (const names of [["w", "w"], ["__metadata__"]]) {
      const tensors = names.map((name) => ({ ...one, name }))
      await expect(writeSafetensors(directory, "x", tensors)).rejects.toMatchObject({ code: "duplicate_name" })
    }
  })

  it("does not write outside the folder", async () => {
    await expect(writeSafetensors(nodeWritableDirectory(folder), "../x", [])).rejects.toMatchObject({
      code: "bad_path",
    })
  })
})

describe("writing a folder", () => {
  it("makes it whole or not at all", async () => {
    const out = join(folder, "deep", "out")
    const failing = writeNodeDirectory(out, async (directory) => {
      await writeSafetensors(directory, "a.safetensors", [tensorOf("w", new Uint8Array(4))])
      throw new Error("stopped")
    })
    await expect(failing).rejects.toThrow("stopped")
    expect(await readdir(join(folder, "deep"))).toEqual([])
    await writeNodeDirectory(out, (directory) => writeSafetensors(directory, "a.safetensors", []))
    expect(await readdir(join(folder, "deep"))).toEqual(["out"])
    expect(await readdir(out)).toEqual(["a.safetensors"])
  })

  it("refuses a folder that holds something", async () => {
    await writeFile(join(folder, "mine.txt"), "")
    const error = await writeNodeDirectory(folder, async () => {}).catch((error: unknown) => error)
    expect(error).toBeInstanceOf(CheckpointError)
    expect(error).toMatchObject({ code: "exists", message: expect.stringContaining("mine.txt") })
  })
})
