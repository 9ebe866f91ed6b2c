import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { FakeHub, filesOf, REPOSITORY } from "../../../test/hub/fake_hub.js"
import { findModel } from "../../checkpoint/node_find_model.js"
import { EMBEDDED_MODEL } from "../options.js"
import { createProgram } from "../program.js"
import { canAsk, confirm } from "../ui/confirm.js"

vi.mock("../ui/confirm.js", () => ({ canAsk: vi.fn(() => true), confirm: vi.fn() }))

let hub: FakeHub
let home: string
beforeEach(async () => {
  home = mkdtempSync(join(tmpdir(), "minerva-offer-"))
  hub = await FakeHub.open(filesOf(EMBEDDED_MODEL))
  const cache = { HF_HUB_CACHE: join(home, "hub"), XDG_CACHE_HOME: home, HF_HOME: home, HF_ENDPOINT: hub.url }
  for (const [name, value] of Object.entries(cache)) vi.stubEnv(name, value)
  vi.spyOn(process.stdout, "write").mockReturnValue(true)
  vi.spyOn(process.stderr, "write").mockReturnValue(true)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  vi.restoreAllMocks()
  vi.mocked(canAsk).mockReturnValue(true)
  vi.mocked(confirm).mockReset()
  await hub.close()
  rmSync(home, { recursive: true })
})

const minerva = async (...args: string[]) => (await createProgram("0", args)).parseAsync(args, { from: "user" })

it.each([[["inspect", REPOSITORY]], [["inspect", "-m", REPOSITORY]], [["graph", REPOSITORY]]])(
  "%j offers to pull a model that is not here, and goes on with it",
  async (args) => {
    vi.mocked(confirm).mockResolvedValue(true)
    await minerva(...args, "-d", "reference")
    expect(vi.mocked(confirm).mock.calls).toEqual([[expect.stringContaining(REPOSITORY), true]])
    expect((await findModel(REPOSITORY)).folder).toContain(home)
    await minerva(...args, "-d", "reference")
    expect(confirm).toHaveBeenCalledTimes(1)
  },
)

it("without a yes, or without anybody to ask, the error says how to get it", async () => {
  vi.mocked(confirm).mockResolvedValue(false)
  await expect(minerva("inspect", REPOSITORY)).rejects.toThrow(`minerva pull ${REPOSITORY}`)
  vi.mocked(canAsk).mockReturnValue(false)
  await expect(minerva("inspect", REPOSITORY)).rejects.toThrow(`minerva pull ${REPOSITORY}`)
  expect(confirm).toHaveBeenCalledTimes(1)
  expect(hub.seen).toEqual([])
})

it.each([["./nothing"], ["/nothing/here"], ["https://example.com/a/b"], ["gpt2"]])(
  "%s is not offered",
  async (model) => {
    await expect(minerva("inspect", model)).rejects.toMatchObject({ name: "CheckpointError" })
    expect(confirm).not.toHaveBeenCalled()
  },
)

it("the embedded model is not asked about", async () => {
  await minerva("inspect", "-d", "reference")
  expect(confirm).not.toHaveBeenCalled()
})
