// Many short requests on one model, 32 at a time: node tools/soak/requests.mjs [REQUESTS] [MODEL]. `npm run build` first.
// Prints the process's memory, and the pages that are held when nobody runs, as it goes. Both have to stay where they are.
import { loadModel } from "../../dist/src/index.js"

const total = Number(process.argv[2] ?? 10_000)
const model = await loadModel(process.argv[3] ?? "models/minerva-tiny", { max_context: 512 })
const CLIENTS = 32
let started = 0
let failed = 0

async function ask(i) {
  const content = `What is ${i} + ${(i * 7) % 100}?`
  const controller = new AbortController()
  let tokens = 0
  try {
    const options = { max_tokens: 1 + (i % 12), temperature: i % 2, seed: i, signal: controller.signal }
    for await (const event of model.chat([{ role: "user", content }], options)) {
      if (event.type === "token" && ++tokens === 3 && i % 5 === 0) controller.abort(new Error("left"))
    }
  } catch (error) {
    if (error.message !== "left") failed++
  }
}

async function client() {
  while (started < total) {
    const i = started++
    await ask(i)
    if (i % Math.ceil(total / 10) === 0) report(i)
  }
}

function report(done) {
  globalThis.gc?.()
  const { rss, heapUsed } = process.memoryUsage()
  const mb = (bytes) => `${Math.round(bytes / 1e6)} MB`
  console.log(`${done} requests: ${mb(rss)} resident, ${mb(heapUsed)} heap, ${failed} failed`)
}

await Promise.all(Array.from({ length: CLIENTS }, client))
report(total)
const { running, waiting, pages, free_pages } = model.load
console.log(`in the end ${running} run, ${waiting} wait, ${free_pages} of ${pages} pages are free`)
await model.close()
