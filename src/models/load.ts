import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { readQuantizationConfig } from "../checkpoint/quantization_config.js"
import { parseGptOssConfig } from "./config.js"
import { GptOss } from "./gpt_oss.js"
import { sanitizeGptOss } from "./gpt_oss_weights.js"
import { withoutTiedHead } from "./tied_head.js"
import { CheckpointWeights, lazyTensors } from "./weights.js"

/**
 * The model that a checkpoint holds. Names, shapes and dtypes of all tensors are checked; their bytes stay in the file
 * until a backend wants them, except those of a head that is stored though it is tied: see {@link withoutTiedHead}.
 *
 * @throws CheckpointError for an unsupported config, and for missing, superfluous or misshapen tensors
 */
export async function loadGptOss(checkpoint: Checkpoint): Promise<GptOss> {
  const config = parseGptOssConfig(checkpoint.config)
  const model = new GptOss(config)
  const stored = sanitizeGptOss(lazyTensors(checkpoint))
  const tensors = config.tie_word_embeddings ? await withoutTiedHead(checkpoint, stored) : stored
  const weights = new CheckpointWeights(checkpoint, tensors, readQuantizationConfig(checkpoint.config))
  model.load(weights)
  weights.finish()
  return model
}
