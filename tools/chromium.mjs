// Chromium without a window, for tests of what runs in browsers. Found where it is installed; else Debian's package is unpacked
// into node_modules/.cache, with the libraries that it needs and the machine lacks (120 MB to download, once; no root needed).
//
//   node tools/chromium.mjs    # prints, as JSON, where it is and the environment that it needs
import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { unpackWithNeeded } from "./debian.mjs"

const PACKAGE = "chromium-headless-shell"
/** What it reads from its own folder. */
const RESOURCES = "chromium-common"
const INSTALLED = [
  "/usr/lib/chromium/chromium",
  "/usr/lib/chromium/chromium-headless-shell",
  "/opt/google/chrome/chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
]
const CACHE = fileURLToPath(new URL("../node_modules/.cache/chromium", import.meta.url))

/** For desktops; they bring OpenGL's drivers and LLVM along. */
const SPARED = ["x11-utils", "xdg-utils"]

/** Where Chromium is, and the environment that it needs; null, with the reason on stderr, where it cannot be had. */
export function chromium() {
  const installed = INSTALLED.find((path) => existsSync(path))
  if (installed) return { path: installed, env: {} }
  const path = join(CACHE, "usr/lib/chromium", PACKAGE)
  if (!existsSync(path) && !download()) return null
  const folders = ["lib", "usr/lib"]
    .map((parent) => join(CACHE, parent))
    .filter((parent) => existsSync(parent))
    .flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)))
    .filter((folder) => folder.endsWith("-linux-gnu"))
    .flatMap((folder) => [folder, join(folder, "nss"), join(folder, "pulseaudio")])
  return { path, env: { LD_LIBRARY_PATH: folders.join(":"), FONTCONFIG_SYSROOT: CACHE } }
}

function download() {
  try {
    unpackWithNeeded([PACKAGE, RESOURCES], CACHE, SPARED)
    return true
  } catch (error) {
    process.stderr.write(`Chromium could not be had from Debian's ${PACKAGE}: ${error.message}\n`)
    return false
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(JSON.stringify(chromium() ?? process.exit(1)))
