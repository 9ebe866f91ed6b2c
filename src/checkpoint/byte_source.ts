import { CheckpointError, quote } from "./errors.js"

/** One file's bytes, read in any order. Several reads may be in flight. */
export interface ByteSource {
  /** As given to `Directory.open`. */
  readonly name: string
  /** Bytes. */
  readonly size: number
  /**
   * Fills `into`, which may view shared or WASM memory, with the bytes from `offset`: straight, without a copy of the
   * whole elsewhere. @throws CheckpointError `out_of_range`, `truncated` or `io`
   */
  read(offset: number, into: Uint8Array): Promise<void>
  close(): Promise<void>
}

/** A folder of files: on disk, behind HTTP, picked in a browser. */
export interface Directory {
  /** For messages: a path or an address. */
  readonly name: string
  /** How the user gets a file that is missing: a clause. */
  readonly advice?: string
  /** @throws CheckpointError `file_missing`, `bad_path` for names that point outside, `io` */
  open(name: string): Promise<ByteSource>
  /** What is in the folder; names of folders end in "/". Absent where nobody can tell, as over HTTP. @throws as `open` */
  list?(): Promise<string[]>
}

/** Whether `error` says that a file is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof CheckpointError && error.code === "file_missing"
}

/** The parts of a relative path. @throws CheckpointError `bad_path` for anything that could leave its folder */
export function pathParts(name: string): string[] {
  const parts = name.split("/")
  const unsafe = parts.some((part) => part === "" || part === "." || part === ".." || /[\\:\0]/.test(part))
  if (!unsafe) return parts
  throw new CheckpointError({
    code: "bad_path",
    problem: "this name points outside the checkpoint's folder",
    expected: "a relative path below the folder, with forward slashes",
    found: quote(name),
    advice: "do not trust this checkpoint; download it again from its publisher",
  })
}

/** @throws CheckpointError `out_of_range` unless `[offset, offset + length)` lies within the source */
export function checkRange(source: { name: string; size: number }, offset: number, length: number): void {
  if (Number.isSafeInteger(offset) && offset >= 0 && offset + length <= source.size) return
  throw new CheckpointError({
    code: "out_of_range",
    file: source.name,
    problem: "a read outside the file was asked for",
    expected: `a range within ${source.size} bytes`,
    found: `${length} bytes from ${offset}`,
  })
}

/** What a file turned out to lack when it was read: it shrank, or the transfer broke off. */
export function truncated(name: string, at: number, missing: number): CheckpointError {
  return new CheckpointError({
    code: "truncated",
    file: name,
    problem: `the file ends at byte ${at}, ${missing} bytes early`,
    advice: "download the file again; it may have changed or been cut off",
  })
}

/** Splits a read into pieces of at most `chunk` bytes, `inFlight` of them at a time. */
export async function readInPieces(
  into: Uint8Array,
  { chunk, inFlight }: { chunk: number; inFlight: number },
  readPiece: (start: number, piece: Uint8Array) => Promise<void>,
): Promise<void> {
  const starts = Array.from({ length: Math.ceil(into.byteLength / chunk) }, (_, i) => i * chunk)
  await forEachLimited(starts, inFlight, (start) => readPiece(start, into.subarray(start, start + chunk)))
}

/**
 * Runs `work` on every item, at most `limit` at a time. After a failure no further work starts; it is thrown when all that
 * had started is done, so that nothing goes on behind the caller's back.
 */
export async function forEachLimited<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = []
  let next = 0
  const lane = async () => {
    while (next < items.length && failures.length === 0) {
      await work(items[next++]).catch((error: unknown) => failures.push(error))
    }
  }
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, lane))
  if (failures.length > 0) throw failures[0]
}

/** Copies a stream to `into`. @throws CheckpointError `truncated` when it ends early; what it gives beyond is dropped */
export async function drainInto(
  stream: ReadableStream<Uint8Array>,
  into: Uint8Array,
  name: string,
  offset: number,
): Promise<void> {
  const reader = stream.getReader()
  let filled = 0
  try {
    while (filled < into.byteLength) {
      const { done, value } = await reader.read()
      if (done) throw truncated(name, offset + filled, into.byteLength - filled)
      const take = Math.min(value.byteLength, into.byteLength - filled)
      into.set(value.subarray(0, take), filled)
      filled += take
    }
  } finally {
    await reader.cancel()
  }
}
