import { type Directory, readJson } from "../checkpoint/byte_source.js"
import { CheckpointError } from "../checkpoint/errors.js"

/** A JSON file that a folder may lack: undefined then. @throws as `readJson` otherwise */
export async function readOptionalJson(directory: Directory, name: string): Promise<unknown> {
  try {
    return await readJson(directory, name)
  } catch (error) {
    if (error instanceof CheckpointError && error.code === "file_missing") return undefined
    throw error
  }
}
