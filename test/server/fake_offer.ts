import type { LoadedModel, ModelOffer } from "../../src/server/models/model_pool.js"
import { RequestError } from "../../src/server/request_error.js"
import { scriptedModel } from "./scripted_model.js"

export interface FakeOffer extends ModelOffer {
  /** Times that it was loaded, or that it was tried. */
  loads: number
  /** What it was told that it may take. */
  readonly rooms: (number | undefined)[]
  /** Now: 0 or 1 if the pool is right. */
  running: number
  /** Ends it as a crash does. */
  crash(): void
}

export interface FakeSizes {
  readonly weights?: number
  /** What it takes beside weights at least, and what it would like to. */
  readonly least?: number
  readonly most?: number
  readonly aliases?: readonly string[]
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A model on offer that takes a few turns of the event loop to load, and to unload. */
export function fakeOffer(name: string, { weights = 10, least = 0, most = least, aliases }: FakeSizes = {}): FakeOffer {
  let crash = () => {}
  const offer: FakeOffer = {
    name,
    aliases,
    loads: 0,
    rooms: [],
    running: 0,
    crash: () => crash(),
    card: async () => ({
      name,
      created: 1,
      bytes: weights,
      quantization: null,
      max_context: 1 << 20,
      model_type: "gpt_oss",
    }),
    load: async (room, signal): Promise<LoadedModel> => {
      offer.loads++
      offer.rooms.push(room)
      await turn()
      await turn()
      if (signal.aborted) throw signal.reason
      const bytes = Math.min(room ?? Number.POSITIVE_INFINITY, weights + most)
      if (bytes < weights + least)
        throw new RequestError("unavailable", `${name} does not fit`, { code: "memory_limit" })
      offer.running++
      let isOver = false
      let tell: (outcome: string) => void = () => {}
      const ended = new Promise<string>((resolve) => {
        tell = resolve
      })
      const end = (outcome: string) => {
        if (!isOver) offer.running--
        isOver = true
        tell(outcome)
      }
      crash = () => end("signal SIGSEGV")
      const close = async () => {
        for (let i = 0; i < 3; i++) await turn()
        end("exit code 0")
      }
      return { model: scriptedModel(() => "", name), bytes, ended, close }
    },
  }
  return offer
}
