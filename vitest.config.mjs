import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import { swiftshader } from "./tools/swiftshader.mjs"

// The processes that run the tests inherit this: WebGPU's tests then do not depend on the machine's GPU.
Object.assign(process.env, swiftshader())

// The tests run the compiled files: what is tested is what ships, worker threads and WASM included.
export default defineConfig({
  test: {
    include: ["dist/**/*.test.js"],
    exclude: ["**/node_modules/**"],
    pool: "forks",
    // Two even on two cores: a file that waits for Deno leaves the machine half idle.
    minWorkers: 1,
    maxWorkers: Math.max(2, availableParallelism() - 1),
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
