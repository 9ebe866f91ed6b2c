// Writes a gpt-oss checkpoint in MLX's layout, such as `minerva synth` makes, as a GGUF for llama.cpp. `npm run build` first.
//
//   node tools/write-gguf.mjs MODEL [FILE]      FILE is MODEL.gguf by default
//
// Experts keep their MXFP4 bits, attention, embedding and head become Q8_0, routers and vectors float32. Its vocabulary
// is a placeholder: llama.cpp is asked for ids alone, by `minerva bench decode|prefill --device cpu --peer llama.cpp`.
import { basename, dirname, resolve } from "node:path"
import { openModel } from "../dist/src/checkpoint/node_find_model.js"
import { nodeWritableDirectory } from "../dist/src/checkpoint/node_writable_directory.js"
import { Progress } from "../dist/src/cli/ui/progress.js"
import { formatBytes } from "../dist/src/tensor/bytes.js"
import { writeGguf } from "./gguf/container.mjs"
import { gptOssGguf } from "./gguf/gpt_oss.mjs"

const [model, file = `${model && resolve(model)}.gguf`] = process.argv.slice(2)
if (model === undefined) {
  console.error("usage: write-gguf.mjs MODEL [FILE]")
  process.exit(2)
}
try {
  await convert()
} catch (error) {
  console.error(`error: ${error.message}`)
  process.exitCode = 1
}

async function convert() {
  const { name, checkpoint } = await openModel(model)
  const sink = await nodeWritableDirectory(dirname(resolve(file))).create(basename(file))
  const progress = new Progress("writing", (done, total) => `${formatBytes(done)} of ${formatBytes(total)}`)
  try {
    const { metadata, tensors } = gptOssGguf(checkpoint, name)
    const { bytes } = await writeGguf(sink, metadata, tensors, (done, total) => progress.update(done, total))
    await sink.commit()
    progress.stop()
    console.log(`${file}: ${tensors.length} tensors, ${formatBytes(bytes)}`)
  } catch (error) {
    await sink.abort()
    throw error
  } finally {
    progress.stop()
    await checkpoint.close()
  }
}
