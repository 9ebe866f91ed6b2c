import { Command } from "commander"
import { batchCommand } from "./batch.js"
import { decodeCommand } from "./decode.js"
import { gpuCommand } from "./gpu.js"
import { kernelsCommand } from "./kernels.js"
import { loadCommand } from "./load.js"
import { prefillCommand } from "./prefill.js"

export const benchCommand = new Command("bench")
  .description("measure loading, prefill, decoding and kernels")
  .addCommand(loadCommand)
  .addCommand(prefillCommand)
  .addCommand(decodeCommand)
  .addCommand(batchCommand)
  .addCommand(kernelsCommand)
  .addCommand(gpuCommand)
