import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { readQuantizationConfig } from "../checkpoint/quantization_config.js"
import { parseGptOssConfig } from "./config.js"
import { GptOss } from "./gpt_oss.js"
import { sanitizeGptOss } from "./gpt_oss_weights.js"
import { CheckpointWeights, lazyTensors } from "./weights.js"

/**
 * The model that a checkpoint holds. Names, shapes and dtypes of all tensors are checked; their bytes stay in the file
 * until a backend wants them.
 *
 * @throws CheckpointError for an unsupported config, and for missing, superfluous or misshapen tensors
 */
export function loadGptOss(checkpoint: Checkpoint): GptOss {
  const model = new GptOss(parseGptOssConfig(checkpoint.config))
  const tensors = sanitizeGptOss(lazyTensors(checkpoint))
  const weights = new CheckpointWeights(checkpoint, tensors, readQuantizationConfig(checkpoint.config))
  model.load(weights)
  weights.finish()
  return model
}
