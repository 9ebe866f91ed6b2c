import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { BaseSequencer } from "vitest/node"
import { swiftshader } from "./tools/swiftshader.mjs"

// The command that the tests start.
await import("./tools/bundle-cli.mjs")

// The processes that run the tests inherit this: WebGPU's tests then do not depend on the machine's GPU.
Object.assign(process.env, swiftshader())

/** Begins with the file that takes longest and leaves the machine half idle meanwhile: last, it would run alone for minutes. */
class LongestFirst extends BaseSequencer {
  async sort(files) {
    const isLong = ({ moduleId }) => moduleId.includes("conformance_deno")
    return (await super.sort(files)).sort((a, b) => Number(isLong(b)) - Number(isLong(a)))
  }
}

// The tests run the compiled files: what is tested is what ships, worker threads and WASM included.
export default defineConfig({
  test: {
    include: ["dist/**/*.test.js"],
    exclude: ["**/node_modules/**"],
    pool: "forks",
    sequence: { sequencer: LongestFirst },
    // Two even on two cores: a file that waits for Deno leaves the machine half idle.
    minWorkers: 1,
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
