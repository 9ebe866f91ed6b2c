// SwiftShader, a Vulkan implementation on the CPU, for tests of WebGPU where there is no GPU. Found where a Chromium is
// installed; else taken out of Debian's package into node_modules/.cache (a download of 31 MB, once; no root needed).
//
//   eval "$(node tools/swiftshader.mjs)"    # then node, vitest or deno find it
import { existsSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { unpackPackage } from "./debian.mjs"

const PACKAGE = "chromium-common"
const ICD = "vk_swiftshader_icd.json"
const FILES = ["libvk_swiftshader.so", ICD, "libvulkan.so.1"]
const INSTALLED = ["/usr/lib/chromium", "/opt/google/chrome"]
const CACHE = fileURLToPath(new URL("../node_modules/.cache/swiftshader", import.meta.url))
const UNPACKED = join(CACHE, "usr/lib/chromium")

/**
 * The environment variables with which processes started from here on find SwiftShader, and no other Vulkan driver;
 * null, with the reason on stderr, where it cannot be had.
 */
export function swiftshader() {
  if (process.platform !== "linux") return null
  const holds = (folder) => FILES.every((file) => existsSync(join(folder, file)))
  const folder = [...INSTALLED, UNPACKED].find(holds) ?? download()
  if (!folder) return null
  return {
    VK_ICD_FILENAMES: join(folder, ICD),
    // Dawn and wgpu load libvulkan.so.1 by its name.
    LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":"),
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
  }
}

function download() {
  try {
    unpackPackage(
      PACKAGE,
      CACHE,
      FILES.map((file) => `./usr/lib/chromium/${file}`),
    )
    return UNPACKED
  } catch (error) {
    process.stderr.write(`SwiftShader could not be had from Debian's ${PACKAGE}: ${error.message}\n`)
    return null
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, value] of Object.entries(swiftshader() ?? process.exit(1))) console.log(`export ${name}='${value}'`)
}
