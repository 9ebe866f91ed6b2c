/** A file being written, in any order. Nothing of it is seen under its name before `commit`. */
export interface ByteSink {
  readonly name: string
  /** Several writes may be in flight. */
  write(offset: number, bytes: Uint8Array): Promise<void>
  /** Makes the file appear, whole. */
  commit(): Promise<void>
  /** Drops what was written. */
  abort(): Promise<void>
}

/** A folder that files can be written to. */
export interface WritableDirectory {
  readonly name: string
  /** @throws CheckpointError `bad_path`, `io` */
  create(name: string): Promise<ByteSink>
}

/** Writes a small file as a whole. */
export async function writeFile(directory: WritableDirectory, name: string, bytes: Uint8Array): Promise<void> {
  const sink = await directory.create(name)
  try {
    await sink.write(0, bytes)
    await sink.commit()
  } catch (error) {
    await sink.abort()
    throw error
  }
}

/** Writes `value` as indented JSON. */
export function writeJson(directory: WritableDirectory, name: string, value: unknown): Promise<void> {
  return writeFile(directory, name, new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`))
}
