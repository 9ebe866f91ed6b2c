import { defineConfig } from "vitest/config"

// The tests run the compiled files: what is tested is what ships, worker threads and WASM included.
export default defineConfig({
  test: {
    include: ["dist/**/*.test.js"],
    exclude: ["**/node_modules/**"],
    pool: "forks",
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
