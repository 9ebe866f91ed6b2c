import type { Port } from "../../src/server/models/wire.js"

export interface PortPair<A, B> {
  readonly left: Port<A, B>
  readonly right: Port<B, A>
  /** As when a process is killed: nothing arrives any more at either side. */
  cut(reason: string): void
}

/** Two ends of a pipe in memory. What goes through is cloned as between processes, and arrives in a later turn of the event loop. */
export function portPair<A, B>(): PortPair<A, B> {
  let isCut = false
  const port = <Out, In>(other: () => Port<In, Out>): Port<Out, In> => ({
    send: (message) => {
      const copy = structuredClone(message)
      setImmediate(() => isCut || other().receive(copy))
    },
    receive: () => {},
    gone: () => {},
  })
  const left: Port<A, B> = port<A, B>(() => right)
  const right: Port<B, A> = port<B, A>(() => left)
  const cut = (reason: string) => {
    isCut = true
    left.gone(reason)
    right.gone(reason)
  }
  return { left, right, cut }
}
