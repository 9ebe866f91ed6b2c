import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const tiny = fileURLToPath(new URL("../../../models/minerva-tiny", import.meta.url))

/** A JSON file of models/minerva-tiny. */
export const tinyJson = (file: string) => JSON.parse(readFileSync(join(tiny, file), "utf8"))

/**
 * A folder with the weights of models/minerva-tiny and its JSON files, some of them others: null leaves a file out, a
 * string is written as it is.
 */
export function modelFolder(files: Readonly<Record<string, unknown>>): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "minerva-model-"))
  symlinkSync(join(tiny, "model.safetensors"), join(path, "model.safetensors"))
  const all = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]
  for (const file of all) {
    const contents = file in files ? files[file] : tinyJson(file)
    if (contents === null) continue
    writeFileSync(join(path, file), typeof contents === "string" ? contents : JSON.stringify(contents))
  }
  return { path, remove: () => rmSync(path, { recursive: true }) }
}
