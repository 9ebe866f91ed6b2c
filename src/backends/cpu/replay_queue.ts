/** Lets replays run one after the other. */
export class ReplayQueue {
  private last: Promise<void> = Promise.resolve()

  /** Runs `replay` when those before it are done. */
  run(replay: () => Promise<void>): Promise<void> {
    const turn = this.last.then(replay)
    this.last = turn.catch(() => {})
    return turn
  }

  /** Resolves when the replays so far are done, however they ended. */
  idle(): Promise<void> {
    return this.last
  }
}
