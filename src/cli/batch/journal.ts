import { createHash } from "node:crypto"
import { type FileHandle, open, rm } from "node:fs/promises"
import { basename, dirname } from "node:path"
import { writeFile } from "../../checkpoint/byte_sink.js"
import { nodeWritableDirectory } from "../../checkpoint/node_writable_directory.js"
import { isObject } from "../../engine/schemas.js"
import { UsageError } from "../ui/errors.js"

/** The results of a batch on their way to a file: what is finished survives the end of the process, whatever ends it. */
export class Journal {
  private last = Promise.resolve()

  private constructor(
    private readonly out: string,
    private readonly path: string,
    private readonly file: FileHandle,
    /** Finished lines of the output by their place in the input. */
    readonly finished: Map<number, string>,
  ) {}

  /**
   * Takes up what an earlier run on the same input finished; what it did not write whole is dropped.
   *
   * @param out the file that the results are for; the journal lies beside it until they are all there
   * @throws {UsageError} where the journal is of another input or model: it may hold the work of hours
   */
  static async open(out: string, input: string, model: string): Promise<Journal> {
    const path = `${out}.partial`
    const head = JSON.stringify({ input: createHash("sha256").update(input).digest("hex"), model })
    const file = await open(path, "a+")
    try {
      const [first, ...lines] = (await file.readFile("utf8")).split("\n").slice(0, -1)
      if (first !== undefined && first !== head) {
        throw new UsageError(
          `${path} holds answers to other requests, or of another model: remove it, or choose another --out`,
        )
      }
      const torn = lines.findIndex((line) => entryOf(line) === null)
      const whole = torn === -1 ? lines : lines.slice(0, torn)
      await file.truncate(first === undefined ? 0 : Buffer.byteLength([head, ...whole].join("\n")) + 1)
      if (first === undefined) await file.appendFile(`${head}\n`)
      return new Journal(out, path, file, new Map(whole.map((line) => entryOf(line)!)))
    } catch (error) {
      await file.close()
      throw error
    }
  }

  /** Notes the result of the input's `index`-th line. */
  add(index: number, result: unknown): Promise<void> {
    this.finished.set(index, JSON.stringify(result))
    // One after the other, so that only the last line can be torn.
    this.last = this.last.then(() => this.file.appendFile(`${JSON.stringify({ index, result })}\n`))
    return this.last
  }

  /** Writes the results in the order of the input and removes the journal. */
  async finish(count: number): Promise<void> {
    await this.file.close()
    const lines = Array.from({ length: count }, (_, index) => `${this.finished.get(index)}\n`)
    await writeFile(nodeWritableDirectory(dirname(this.out)), basename(this.out), Buffer.from(lines.join("")))
    await rm(this.path)
  }

  /** Leaves it for the next run. */
  close(): Promise<void> {
    return this.file.close()
  }
}

/** A result and its place; null for what is none. */
function entryOf(line: string): [number, string] | null {
  try {
    const { index, result } = JSON.parse(line) as { index: unknown; result: unknown }
    return Number.isSafeInteger(index) && isObject(result) ? [index as number, JSON.stringify(result)] : null
  } catch {
    return null
  }
}
