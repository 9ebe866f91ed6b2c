import { setImmediate, setTimeout } from "node:timers"

/** What Dawn's classes have that is awaited. */
const AWAITED: Readonly<Record<string, readonly string[]>> = {
  GPU: ["requestAdapter"],
  GPUAdapter: ["requestDevice"],
  GPUDevice: ["createComputePipelineAsync", "createRenderPipelineAsync", "popErrorScope"],
  GPUQueue: ["onSubmittedWorkDone"],
  GPUBuffer: ["mapAsync"],
  GPUShaderModule: ["getCompilationInfo"],
}

/** Turns after which waiting is by naps, and those after which it is by the clock: some 5 ms later. */
const NAPS_AFTER = 4
const CLOCK_AFTER = 44
const NAP_MS = 0.1
const CLOCK_MS = 1

type Awaited = (this: unknown, ...args: unknown[]) => Promise<unknown>
type Classes = Readonly<Record<string, { readonly prototype: object } | undefined>>

const cell = new Int32Array(new SharedArrayBuffer(4))
/** Since something was last asked for, or came. */
let turns = 0

/**
 * Paces how Dawn looks for what is awaited of it. By itself it does in every turn of the event loop, each time by a new function for
 * setImmediate: 100,000 a second, whose collection stops the process for a tenth of a second every second or so. Here it naps in
 * between; nothing comes later than a nap, or a millisecond where it has taken several already.
 *
 * @param classes of the `webgpu` package
 */
export function paceTurns(classes: Classes): void {
  for (const [name, methods] of Object.entries(AWAITED)) {
    const prototype = classes[name]?.prototype as Record<string, Awaited> | undefined
    for (const method of methods) if (prototype?.[method]) prototype[method] = paced(prototype[method])
  }
}

function paced(method: Awaited): Awaited {
  return function (...args) {
    restart()
    const promise = withOwnTurns(() => method.apply(this, args))
    promise.then(restart, restart)
    return promise
  }
}

function restart(): void {
  turns = 0
}

/** Dawn asks for its next turn where it is called, and in the turn itself: through the global function, which is another one meanwhile. */
function withOwnTurns<T>(call: () => T): T {
  const own = globalThis.setImmediate
  globalThis.setImmediate = nextTurn as unknown as typeof own
  try {
    return call()
  } finally {
    globalThis.setImmediate = own
  }
}

function nextTurn(look: () => void): void {
  const turn = () => withOwnTurns(look)
  turns++
  if (turns <= NAPS_AFTER) setImmediate(turn)
  else if (turns > CLOCK_AFTER) setTimeout(turn, CLOCK_MS)
  else {
    setImmediate(() => {
      Atomics.wait(cell, 0, 0, NAP_MS)
      turn()
    })
  }
}
