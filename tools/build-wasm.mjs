// Compiles the CPU kernels (AssemblyScript) three times: for plain SIMD, with relaxed SIMD, and with its dot products of bytes for weights of
// eight bits, too, where the engine takes them as unsigned.
import { mkdirSync, readFileSync } from "node:fs"
import { basename, resolve } from "node:path"
import asc from "assemblyscript/asc"

const SOURCE = "src/backends/cpu/wasm/index.ts"
const TARGET = "dist/src/backends/cpu"
const VARIANTS = [
  { name: "kernels", features: [], fused: false },
  { name: "kernels_relaxed", features: ["--enable", "relaxed-simd"], fused: false },
  { name: "kernels_fused", features: ["--enable", "relaxed-simd"], fused: true },
]

/** Reads a source file, or null; of wasm/fused.ts, with the constant that this build has. */
function read(fused) {
  return (name, folder) => {
    try {
      const text = readFileSync(resolve(folder ?? ".", name), "utf8")
      return basename(name) === "fused.ts" ? text.replace(/FUSED: bool = \w+/, `FUSED: bool = ${fused}`) : text
    } catch {
      return null
    }
  }
}

mkdirSync(TARGET, { recursive: true })
for (const { name, features, fused } of VARIANTS) {
  const args = [
    SOURCE,
    ...["--outFile", `${TARGET}/${name}.wasm`],
    ...["-O3", "--noAssert", "--runtime", "stub", "--use", "abort="],
    ...["--importMemory", "--noExportMemory", "--sharedMemory", "--initialMemory", "1", "--maximumMemory", "65536"],
    ...["--enable", "simd", "--enable", "threads", ...features],
  ]
  const { error, stderr } = await asc.main(args, { readFile: read(fused) })
  if (error || stderr.toString()) {
    process.stderr.write(stderr.toString())
    process.exit(1)
  }
}
