import { createHash } from "node:crypto"
import { type FileHandle, open, readFile, rename, rm, writeFile } from "node:fs/promises"

/** The results of a batch on their way to a file: what is finished survives the end of the process, whatever ends it. */
export class Journal {
  /** Finished lines of the output by their place in the input. */
  readonly finished = new Map<number, string>()

  private constructor(
    private readonly out: string,
    private readonly path: string,
    private readonly file: FileHandle,
    /** Bytes of it. */
    private end: number,
  ) {}

  /**
   * Takes up what an earlier run on the same input finished; what it did not write whole is dropped. A journal of another input
   * begins anew.
   *
   * @param out the file that the results are for; the journal lies beside it until they are all there
   */
  static async open(out: string, input: string): Promise<Journal> {
    const path = `${out}.partial`
    const head = `${JSON.stringify({ input: createHash("sha256").update(input).digest("hex") })}\n`
    const kept = await readFile(path, "utf8").catch(() => "")
    const whole = kept.startsWith(head) ? kept.slice(0, kept.lastIndexOf("\n") + 1) : head
    const file = await open(path, "w")
    const { bytesWritten } = await file.write(whole)
    const journal = new Journal(out, path, file, bytesWritten)
    for (const line of whole.slice(head.length).split("\n").filter(Boolean)) {
      const { index, result } = JSON.parse(line) as { index: number; result: unknown }
      journal.finished.set(index, JSON.stringify(result))
    }
    return journal
  }

  /** Notes the result of the input's `index`-th line. */
  async add(index: number, result: unknown): Promise<void> {
    const line = Buffer.from(`${JSON.stringify({ index, result })}\n`)
    this.finished.set(index, JSON.stringify(result))
    const at = this.end
    this.end += line.byteLength
    await this.file.write(line, 0, line.byteLength, at)
  }

  /** Writes the results in the order of the input and removes the journal. */
  async finish(count: number): Promise<void> {
    await this.file.close()
    const lines = Array.from({ length: count }, (_, index) => `${this.finished.get(index)}\n`)
    await writeFile(`${this.out}.tmp`, lines.join(""))
    await rename(`${this.out}.tmp`, this.out)
    await rm(this.path)
  }

  /** Leaves it for the next run. */
  close(): Promise<void> {
    return this.file.close()
  }
}
