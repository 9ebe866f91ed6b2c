import { MxArray } from "../../src/array/mx_array.js"
import type { Checkpoint } from "../../src/checkpoint/checkpoint.js"
import { type QuantizationFormat, readQuantizationConfig } from "../../src/checkpoint/quantization_config.js"
import { parseGptOssConfig } from "../../src/models/config.js"
import { GptOss } from "../../src/models/gpt_oss.js"
import { sanitizeGptOss } from "../../src/models/gpt_oss_weights.js"
import { gptOssLayout } from "../../src/models/layout.js"
import { PRESETS, type PresetName, publishedConfig } from "../../src/models/presets.js"
import { CheckpointWeights } from "../../src/models/weights.js"
import { Storage } from "../../src/tensor/storage.js"

/** A model as published, whose weights fail when they are read: its steps can be traced and planned. */
export function unreadModel(preset: PresetName, format: QuantizationFormat, layers?: number) {
  const json = publishedConfig(PRESETS[preset], format, layers)
  const config = parseGptOssConfig(json)
  const quantization = readQuantizationConfig(json)
  const layout = gptOssLayout(config, format, (path) => quantization.quantizationOf(path))
  const arrays = layout.map(({ name, dtype, shape }) => {
    const read = () => Promise.reject(new Error("a weight was read"))
    return [name, MxArray.of(new Storage(name, dtype, shape, { read }))] as const
  })
  const model = new GptOss(config)
  model.load(new CheckpointWeights({} as Checkpoint, sanitizeGptOss(new Map(arrays)), quantization))
  return { model, layout }
}
