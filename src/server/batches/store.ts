import type { FileObject, StoredBatch } from "./objects.js"

/** The answer to a request of a batch. */
export interface StoredResult {
  /** Whether it goes to the output file; else to the error file. */
  readonly ok: boolean
  /** A line of that file. */
  readonly text: string
}

/**
 * Where files and batches are kept. What a method did is there when it returns, also after the process is killed. Objects are in the
 * order of their ids.
 */
export interface BatchStore {
  /** A part of a file: see `file_content.ts`. */
  writePiece(file: string, piece: number, bytes: Uint8Array): Promise<void>
  /** Null where there is none. */
  readPiece(file: string, piece: number): Promise<Uint8Array | null>
  /** Has a file whose pieces are written. */
  addFile(file: FileObject): Promise<void>
  file(id: string): Promise<FileObject | null>
  files(): Promise<readonly FileObject[]>
  /** With its pieces. @returns false where there was none */
  removeFile(id: string): Promise<boolean>

  addBatch(batch: StoredBatch): Promise<void>
  batch(id: string): Promise<StoredBatch | null>
  batches(which: "all" | "unfinished"): Promise<readonly StoredBatch[]>
  /**
   * Changes a batch that nobody else changes meanwhile.
   *
   * @param change what becomes of it; null to leave it as it is
   * @returns it as it is then, or null where it was left or is not there
   */
  changeBatch(id: string, change: (batch: StoredBatch) => StoredBatch | null): Promise<StoredBatch | null>
  /** With its results. */
  removeBatch(id: string): Promise<void>

  /** Notes the answer to the `index`-th request, unless there is one already or the batch is finished. */
  addResult(batch: string, index: number, result: StoredResult): Promise<void>
  /** Those from `from` up to `to`, which is not one of them; null for those that are not there. */
  results(batch: string, from: number, to: number): Promise<readonly (StoredResult | null)[]>
  /** The requests that are answered. */
  answered(batch: string): Promise<ReadonlySet<number>>
  counts(batch: string): Promise<{ readonly completed: number; readonly failed: number }>
  /** Of a batch that is finished. */
  removeResults(batch: string): Promise<void>

  close(): Promise<void>
}
