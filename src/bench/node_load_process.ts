import { type LoadModelOptions, loadModel } from "../engine/node_model.js"

// One load in a process of its own: what `bench load` starts. Tells its parent how long it took.
const [path, options] = JSON.parse(process.argv[2]) as [string, LoadModelOptions]
try {
  const start = performance.now()
  const model = await loadModel(path, options)
  process.send!({ ms: performance.now() - start, backend: model.info.backend })
  await model.close()
} catch (error) {
  process.send!({ error: (error as Error).message })
}
