/// <reference lib="esnext.disposable" preserve="true" />

/**
 * Minerva as a library for Node.
 *
 *     import { loadModel } from "minerva-mlx"
 *
 *     const model = await loadModel("models/minerva-tiny")
 *     for await (const event of model.chat([{ role: "user", content: "What is 17 + 25?" }], { temperature: 0 })) {
 *       if (event.type === "content") process.stdout.write(event.text)
 *       if (event.type === "summary") console.log(event.finish_reason, event.generation_tps)
 *     }
 *     for await (const result of model.generate("Once upon a time", { max_tokens: 40, seed: 7 })) {
 *       if (result.type === "token") process.stdout.write(result.text)
 *     }
 *     await model.close()
 *
 * What is reached from here stands in the published types, which need neither the DOM's, Node's nor WebGPU's.
 */

export * from "./library.js"
export { openBackend } from "./engine/node_backend.js"
export { loadModel } from "./engine/node_model.js"
