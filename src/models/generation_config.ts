import * as z from "zod"
import type { Directory } from "../checkpoint/byte_source.js"
import { checked } from "./checked.js"
import { checkEndTokens, endTokens } from "./config.js"
import { readOptionalJson } from "../checkpoint/json_file.js"
import type { SamplingDefaults } from "./sampling_defaults.js"

export interface GenerationConfig {
  /** Beside those of config.json. */
  readonly eos_token_ids: readonly number[]
  /** Only what the file says. */
  readonly sampling: SamplingDefaults
}

const FILE = "generation_config.json"

const schema = z.looseObject({
  eos_token_id: endTokens,
  do_sample: z.boolean().nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  // vLLM's way to say that all tokens stay is -1.
  top_k: z
    .int()
    .min(-1)
    .nullish()
    .transform((k) => (k === -1 ? 0 : k)),
  top_p: z.number().min(0).max(1).nullish(),
})

/**
 * Reads generation_config.json, which a folder may lack. `do_sample: false` is temperature 0, as in transformers.
 *
 * @param vocab_size ids must lie below it
 * @throws CheckpointError `bad_json` or `bad_config`, naming the field
 */
export async function readGenerationConfig(directory: Directory, vocab_size: number): Promise<GenerationConfig> {
  const json = await readOptionalJson(directory, FILE)
  if (json === undefined) return { eos_token_ids: [], sampling: {} }
  const { eos_token_id, do_sample, temperature, top_k, top_p } = checked(schema, json, FILE)
  checkEndTokens(eos_token_id, vocab_size, FILE)
  if (do_sample === false) return { eos_token_ids: eos_token_id, sampling: { temperature: 0 } }
  const given = Object.entries({ temperature, top_k, top_p }).filter(([, value]) => value != null)
  return { eos_token_ids: eos_token_id, sampling: Object.fromEntries(given) }
}
