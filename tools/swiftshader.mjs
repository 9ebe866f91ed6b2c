// SwiftShader, a Vulkan implementation on the CPU, for tests of WebGPU where there is no GPU. Found where a Chromium is
// installed; else taken out of Debian's package into node_modules/.cache (a download of 31 MB, once; no root needed).
//
//   eval "$(node tools/swiftshader.mjs)"    # then node, vitest or deno find it
import { execFileSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const PACKAGE = "chromium-common"
const ICD = "vk_swiftshader_icd.json"
const FILES = ["libvk_swiftshader.so", ICD, "libvulkan.so.1"]
const INSTALLED = ["/usr/lib/chromium", "/opt/google/chrome"]
const CACHE = fileURLToPath(new URL("../node_modules/.cache/swiftshader", import.meta.url))

/**
 * The environment variables with which processes started from here on find SwiftShader, and no other Vulkan driver;
 * null, with the reason on stderr, where it cannot be had.
 */
export function swiftshader() {
  if (process.platform !== "linux") return null
  const holds = (folder) => FILES.every((file) => existsSync(join(folder, file)))
  const folder = [...INSTALLED, CACHE].find(holds) ?? download()
  if (!folder) return null
  return {
    VK_ICD_FILENAMES: join(folder, ICD),
    // Dawn and wgpu load libvulkan.so.1 by its name.
    LD_LIBRARY_PATH: [folder, process.env.LD_LIBRARY_PATH].filter(Boolean).join(":"),
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? tmpdir(),
  }
}

function download() {
  mkdirSync(CACHE, { recursive: true })
  const work = mkdtempSync(join(CACHE, "download-"))
  const run = (command, args) => execFileSync(command, args, { cwd: work, stdio: ["ignore", "pipe", "pipe"] })
  const apt = (...args) => run("apt-get", ["-q", ...args])
  try {
    try {
      apt("download", PACKAGE)
    } catch {
      // Without package lists, or with old ones: lists of our own, which need no root.
      for (const folder of ["lists/partial", "cache/archives/partial"])
        mkdirSync(join(work, folder), { recursive: true })
      const options = ["-o", `Dir::State::lists=${join(work, "lists")}`, "-o", `Dir::Cache=${join(work, "cache")}`]
      apt(...options, "update")
      apt(...options, "download", PACKAGE)
    }
    const archive = readdirSync(work).find((name) => name.endsWith(".deb"))
    const paths = FILES.map((file) => `./usr/lib/chromium/${file}`)
    execFileSync("sh", ["-c", 'dpkg --fsys-tarfile "$0" | tar -x --strip-components=4 "$@"', archive, ...paths], {
      cwd: work,
    })
    for (const file of FILES) renameSync(join(work, file), join(CACHE, file))
    return CACHE
  } catch (error) {
    process.stderr.write(`SwiftShader could not be had from Debian's ${PACKAGE}: ${error.message}\n`)
    return null
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const [name, value] of Object.entries(swiftshader() ?? process.exit(1))) console.log(`export ${name}='${value}'`)
}
