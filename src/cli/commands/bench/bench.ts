import { Command } from "commander"
import { batchCommand } from "./batch.js"
import { decodeCommand } from "./decode.js"
import { gpuCommand } from "./gpu.js"
import { graphCommand } from "./graph.js"
import { kernelsCommand } from "./kernels.js"
import { kvCommand } from "./kv.js"
import { loadCommand } from "./load.js"
import { memoryCommand } from "./memory.js"
import { prefillCommand } from "./prefill.js"

export const benchCommand = new Command("bench")
  .addCommand(loadCommand)
  .addCommand(prefillCommand)
  .addCommand(decodeCommand)
  .addCommand(batchCommand)
  .addCommand(kvCommand)
  .addCommand(memoryCommand)
  .addCommand(kernelsCommand)
  .addCommand(gpuCommand)
  .addCommand(graphCommand)
