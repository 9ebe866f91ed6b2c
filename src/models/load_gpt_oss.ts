import type { Checkpoint } from "../checkpoint/checkpoint.js"
import { readQuantizationConfig } from "../checkpoint/quantization_config.js"
import { parseGptOssConfig } from "./config.js"
import { GptOss } from "./gpt_oss.js"
import { sanitizeGptOss } from "./gpt_oss_weights.js"
import { CheckpointWeights, lazyTensors } from "./weights.js"

/**
 * The model a checkpoint holds, every tensor found and of the right shape; no weight is read yet.
 *
 * @throws CheckpointError for an unsupported model and for tensors that are missing, left over or of another shape
 */
export function loadGptOss(checkpoint: Checkpoint): GptOss {
  const model = new GptOss(parseGptOssConfig(checkpoint.config))
  const tensors = sanitizeGptOss(lazyTensors(checkpoint))
  const weights = new CheckpointWeights(checkpoint, tensors, readQuantizationConfig(checkpoint.config))
  model.load(weights)
  weights.finish()
  return model
}
