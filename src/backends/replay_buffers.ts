import type { Program, ProgramBuffer } from "../ir/program.js"
import type { Storage } from "../tensor/storage.js"
import type { InputBuffer } from "./step_inputs.js"

/** A buffer of a program, with what the backend keeps for it. */
interface Kept<B, P> {
  readonly buffer: B
  readonly place: P
}

/** The buffers that every replay has to do with: sorted once, so that replays look nothing up. */
export interface ReplayBuffers<P> {
  /** To be fed. */
  readonly inputs: readonly Kept<InputBuffer, P>[]
  /** Must still lie where they did. */
  readonly storages: readonly Kept<Extract<ProgramBuffer, { kind: "storage" }>, P>[]
  /** Are written. */
  readonly written: readonly Storage[]
}

/** @param places of each of the program's buffers */
export function replayBuffers<P>({ buffers }: Pick<Program, "buffers">, places: readonly P[]): ReplayBuffers<P> {
  const inputs: Kept<InputBuffer, P>[] = []
  const storages: Kept<Extract<ProgramBuffer, { kind: "storage" }>, P>[] = []
  for (const [i, buffer] of buffers.entries()) {
    if (buffer.kind === "input") inputs.push({ buffer, place: places[i] })
    else if (buffer.kind === "storage") storages.push({ buffer, place: places[i] })
  }
  const written = storages.flatMap(({ buffer }) => (buffer.access === "write" ? [buffer.storage] : []))
  return { inputs, storages, written }
}
