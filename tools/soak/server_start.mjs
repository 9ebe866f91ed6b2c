// How long `minerva serve` takes from the start of its process until it takes requests: node tools/soak/server_start.mjs [RUNS] [MODEL].
import { spawn } from "node:child_process"
import { setTimeout as sleep } from "node:timers/promises"

const runs = Number(process.argv[2] ?? 5)
const PORT = 11499
const args = [
  "dist/bundle/cli/main.js",
  "serve",
  process.argv[3] ?? "models/minerva-tiny",
  "--port",
  String(PORT),
  "--device",
  "cpu",
]

for (let run = 0; run < runs; run++) {
  const start = performance.now()
  const server = spawn(process.execPath, args, { stdio: "ignore" })
  const exited = new Promise((resolve) => server.on("exit", resolve))
  const isReady = () =>
    fetch(`http://127.0.0.1:${PORT}/ready`).then(
      ({ status }) => status === 200,
      () => false,
    )
  while (!(await isReady())) await sleep(5)
  console.log(`ready after ${(performance.now() - start).toFixed(0)} ms`)
  server.kill()
  await exited
}
