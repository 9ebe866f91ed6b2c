/** Minerva as a library for browsers: what `index.ts` is for Node, whose types it has too. */

export * from "./library.js"
export { openBackend } from "./engine/web_backend.js"
export { loadModel } from "./engine/web_model.js"
