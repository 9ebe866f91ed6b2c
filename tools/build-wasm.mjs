// Compiles the CPU kernels (AssemblyScript) twice: for plain SIMD, and with relaxed SIMD where the engine has it.
import { mkdirSync } from "node:fs"
import asc from "assemblyscript/asc"

const SOURCE = "src/backends/cpu/wasm/index.ts"
const TARGET = "dist/src/backends/cpu"
const VARIANTS = [
  { name: "kernels", features: [] },
  { name: "kernels_relaxed", features: ["--enable", "relaxed-simd"] },
]

mkdirSync(TARGET, { recursive: true })
for (const { name, features } of VARIANTS) {
  const { error, stderr } = await asc.main([
    SOURCE,
    ...["--outFile", `${TARGET}/${name}.wasm`],
    ...["-O3", "--noAssert", "--runtime", "stub", "--use", "abort="],
    ...["--importMemory", "--noExportMemory", "--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65536"],
    ...["--enable", "simd", "--enable", "threads", ...features],
  ])
  if (error || stderr.toString()) {
    process.stderr.write(stderr.toString())
    process.exit(1)
  }
}
