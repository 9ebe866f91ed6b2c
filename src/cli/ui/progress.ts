import cliProgress from "cli-progress"

/** A bar on standard error while something long runs; nothing when that is not a terminal. */
export class Progress {
  private readonly bar: cliProgress.SingleBar | undefined

  /** @param format turns done and total into what stands behind the bar */
  constructor(label: string, format: (done: number, total: number) => string = (done, total) => `${done} of ${total}`) {
    if (!process.stderr.isTTY) return
    this.bar = new cliProgress.SingleBar({
      stream: process.stderr,
      clearOnComplete: true,
      hideCursor: true,
      gracefulExit: false,
      format: (options, { progress, value, total }) => {
        const size = Math.round(progress * 30)
        const bar =
          (options.barCompleteString ?? "").slice(0, size) + (options.barIncompleteString ?? "").slice(0, 30 - size)
        return `${label} ${bar} ${format(value, total)}`
      },
      barCompleteChar: "━",
      barIncompleteChar: "╌",
    })
  }

  /** Shows the bar from the first call on. */
  readonly update = (done: number, total: number): void => {
    if (!this.bar) return
    if (!this.bar.isActive) this.bar.start(total, done)
    this.bar.setTotal(total)
    this.bar.update(done)
  }

  /** Removes the bar. */
  stop(): void {
    this.bar?.stop()
  }
}
